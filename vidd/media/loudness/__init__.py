"""Measures and normalizes loudness."""
