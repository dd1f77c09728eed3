"""Files: strands and events read from a disk, lessons written to it."""
