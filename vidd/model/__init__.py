"""Nouns and rules. No I/O, standard library only."""
