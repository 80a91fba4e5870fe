"""Files on a local disk: atomic writes, clones, digests, free space, trees."""
