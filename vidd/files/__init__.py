"""Files on a local disk: atomic writes, clones, checksums, free space, directory trees."""
