"""Looks at the sampled frames with a detector, in children of its own. Only they import what it needs (vidd[annotate])."""
