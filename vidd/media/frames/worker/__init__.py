"""Decodes frames and encodes task videos. Runs in a child: the daemon never imports it."""
