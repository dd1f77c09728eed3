"""Files: strands, events and lessons as they come from and go to a disk."""
