"""What the sources of a programme share: a talk of a schedule, its times, the schedule's document, and the watch over it."""
