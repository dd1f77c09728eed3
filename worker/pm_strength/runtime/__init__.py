"""Runtime: overrides that hold become one multiplier, and a multiplier becomes a size. Data in, data out."""
