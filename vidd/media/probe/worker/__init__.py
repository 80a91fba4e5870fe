"""Opens recordings for a probe. Runs in a child: the daemon never imports it."""
