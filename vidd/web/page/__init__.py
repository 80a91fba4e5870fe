"""The page: rendered here, readable without a script, and kept up to date by server-sent events."""
