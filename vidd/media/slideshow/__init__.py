"""Makes a video of pictures: timing, argument lists, a client for the daemon, a worker in a child."""
