"""pretalx: the programme of an event, and the link to a talk's video written back."""
