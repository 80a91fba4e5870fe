"""Data sets: annotated frames as objects and lists that a training program reads."""
