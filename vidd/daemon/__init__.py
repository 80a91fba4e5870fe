"""The composition root: puts together everything that runs in one daemon."""
