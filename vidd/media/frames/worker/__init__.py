"""Decodes frames and encodes task videos, in a child: the daemon never imports this package."""
