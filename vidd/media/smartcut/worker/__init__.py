"""Copies packets and joins them with encoded parts. Runs in a child: the daemon never imports it."""
