"""Draws posts as cards: one picture for each post."""
