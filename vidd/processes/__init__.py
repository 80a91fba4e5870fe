"""Child processes: starting, watching, limiting and ending them, and the protocol of our own workers."""
