"""Full encodes: cuts and renditions, in segments that survive a restart."""
