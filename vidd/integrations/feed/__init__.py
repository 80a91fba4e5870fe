"""RSS and Atom feeds: the posts of whoever publishes one."""
