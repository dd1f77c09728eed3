"""From a group's events to the rows that are walked over: codes counted and replaced, records. Compiled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .compiled import compiled

# A record: weight, then weight times y, y^2, t, t^2 and t*y; then y and t themselves.
W, WY, WYY, WT, WTT, WTY, Y, T = range(8)


class Rows(NamedTuple):
    """A group: codes (rows x dimensions, `cards[d]` where dimension d is missing) and records.

    A record's products are of y about `centre` and of t about some hour, its last two numbers are y
    and t themselves. Rows from `simple` on carry no signs: they are counted once a slice for each
    number in `trade`, by which they are sorted.
    """

    codes: Any
    weight: Any
    records: Any
    trade: Any
    simple: Any
    cards: Any
    centre: Any


@compiled
def count_codes(codes: Any, offset: Any) -> Any:
    """In how many rows each code is; those of dimension d from `offset[d]` on, the missing one last.

    A missing code counts as 0 rows.
    """
    counts = np.zeros(offset[-1], np.int64)
    rows, width = codes.shape
    for i in range(rows):
        for d in range(width):
            if codes[i, d] >= 0:
                counts[offset[d] + codes[i, d]] += 1
    return counts


@compiled
def recode(codes: Any, order: Any, offset: Any, cards: Any, becomes: Any) -> Any:
    """The codes that `becomes` has for each, a missing one (-1) being the last of its dimension.

    `order`: the dimensions that are wanted.
    """
    rows, width = len(codes), len(order)
    replaced = np.empty((rows, width), codes.dtype)
    for i in range(rows):
        for j in range(width):
            d = order[j]
            code = codes[i, d]
            replaced[i, j] = becomes[offset[d] + (code if code >= 0 else cards[d])]
    return replaced


@compiled
def make_records(weight: Any, y: Any, t: Any, centre: float, middle: float) -> Any:
    """The records of so many rows, rows x 8."""
    records = np.empty((len(weight), 8))
    for i in range(len(weight)):
        w, dy, dt = weight[i], y[i] - centre, t[i] - middle
        records[i, W], records[i, WY], records[i, WYY] = w, w * dy, w * dy * dy
        records[i, WT], records[i, WTT], records[i, WTY] = w * dt, w * dt * dt, w * dt * dy
        records[i, Y], records[i, T] = y[i], t[i]
    return records
