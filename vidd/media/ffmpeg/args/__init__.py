"""Argument lists for ffmpeg, as pure functions."""
