"""Evidence: how sure it is that a slice differs from the rest of its group, and what it is worth.

Reads along the data: trades (a group's distinct trades in order of time), shared_time (what trades of the
same days have in common), lattice (sums over the trades of all slices, compiled), bayes (from sums to
evidence), edges and tilts (the guarded profile's fit), weigh (all of it, for each lesson).
"""
