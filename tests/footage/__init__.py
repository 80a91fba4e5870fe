"""Recordings made for tests: whole, of every kind, damaged, field by field."""
