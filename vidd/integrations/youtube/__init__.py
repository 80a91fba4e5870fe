"""YouTube: uploads, metadata, playlists, quota."""
