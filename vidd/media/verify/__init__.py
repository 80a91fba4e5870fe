"""Checks an output before anything leaves."""
