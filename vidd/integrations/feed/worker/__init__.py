"""Parses feeds, in a child."""
