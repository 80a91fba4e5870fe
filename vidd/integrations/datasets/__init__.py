"""Data sets: frames that people annotated, as objects and lists that a training program reads."""
