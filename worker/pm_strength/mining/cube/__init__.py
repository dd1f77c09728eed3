"""The cube: every combination of dimensions of a group that has enough trades, and its sums."""
