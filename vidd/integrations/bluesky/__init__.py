"""Bluesky, and other AppViews of its network: timelines of posts that are for everybody."""
