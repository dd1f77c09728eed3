"""Mining: events to lessons, by every combination of scope dimensions with enough trades.

Reads along the data: encode (JSON scopes to integer codes), cube (all slices with enough trades, and
their sums), decay and edge (sums to statistics), lessons (the public frame and its rows).
"""

from .lessons import lesson_rows, mine_lessons

__all__ = ["lesson_rows", "mine_lessons"]
