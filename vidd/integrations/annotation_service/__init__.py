"""The annotation service: its HTTP call, its documents in MongoDB, its answers."""
