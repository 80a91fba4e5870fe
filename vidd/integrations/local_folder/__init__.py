"""Folders of this machine: watched, and published into."""
