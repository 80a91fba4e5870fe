"""pCloud: files, folders, links."""
