"""Mining: events to lessons, by every combination of scope dimensions with enough trades.

Reads along the data: encode (JSON scopes to integer codes), signed and rows (a group's events to rows
whose sums count trades), kernel (the walk over a group, with sums, pairs, dense and found), cube (all
groups, over threads), decay and edge (sums to statistics), lessons (the public frame and its rows).
"""

from .lessons import lesson_rows, mine_lessons

__all__ = ["lesson_rows", "mine_lessons"]
