"""Detects objects in sampled frames. Runs in a child: the daemon never imports it."""
