"""Reads and writes the images of a data set. Runs in a child: the daemon never imports it."""
