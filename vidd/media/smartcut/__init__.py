"""Cuts a talk out and encodes only what must be encoded."""
