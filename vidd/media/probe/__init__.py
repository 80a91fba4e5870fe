"""Reads what is in a recording: streams, times, keyframes."""
