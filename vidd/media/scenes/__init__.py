"""Finds the scenes of a video."""
