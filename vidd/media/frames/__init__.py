"""Extracts frames of a recording at a rate, for annotators: a client for the daemon, a worker in a child."""
