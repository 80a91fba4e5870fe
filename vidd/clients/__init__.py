"""Clients of other systems, each turning foreign answers into the three fates."""
