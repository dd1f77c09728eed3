"""The cube: every combination of dimensions of a group that has enough trades, and its sums.

Reads along the data: signed and rows (a group's events to rows whose sums count trades), walk (over the
slices of one group, with sums, pairs, dense and found), iceberg (all groups, over threads).
"""
