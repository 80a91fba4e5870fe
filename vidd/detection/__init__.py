"""Detectors: their settings, and the worker that runs them on sampled frames in a child (vidd[annotate])."""
