"""Builders of what tests work on, one module per part of vidd."""
