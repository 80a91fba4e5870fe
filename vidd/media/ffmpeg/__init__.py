"""Runs ffmpeg and knows what it prints, reads and writes."""
