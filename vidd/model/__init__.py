"""Data classes and rules: jobs, publications, media, talks, events. No I/O; standard library only."""
