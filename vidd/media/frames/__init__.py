"""Takes frames out of a recording at a rate, for annotators."""
