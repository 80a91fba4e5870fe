"""Measures an output for its check. Runs in a child: the daemon never imports it."""
