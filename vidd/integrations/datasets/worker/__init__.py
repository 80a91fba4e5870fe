"""Makes the images and lists of a data set. Runs in a child: the daemon never imports it."""
