"""Facebook: videos of a page."""
