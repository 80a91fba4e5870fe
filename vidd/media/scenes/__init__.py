"""Detects the scenes of a video and splits it into them."""
