"""ffmpeg and PyAV: arguments, runs, probes, checks."""
