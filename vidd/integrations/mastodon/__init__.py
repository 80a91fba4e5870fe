"""Mastodon, and servers that speak its client API: timelines of public posts."""
