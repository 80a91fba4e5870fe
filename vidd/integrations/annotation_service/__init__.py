"""The annotation service: its call, its MongoDB documents, its answers."""
