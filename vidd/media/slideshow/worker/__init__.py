"""Reads the pictures and the audio of a slideshow, in a child: the daemon never imports this package."""
