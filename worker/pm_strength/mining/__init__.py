"""Mining: events to lessons, by every combination of scope dimensions with enough trades.

Reads top to bottom: encode (JSON scopes to integer codes), cube (codes to slices and their sums),
decay and edge (sums to statistics), lessons (the public frame and its rows).
"""

from .lessons import lesson_rows, mine_lessons

__all__ = ["lesson_rows", "mine_lessons"]
