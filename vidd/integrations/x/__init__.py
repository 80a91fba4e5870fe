"""X (formerly Twitter): the posts of a person, by its API v2."""
