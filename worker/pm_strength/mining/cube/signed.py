"""Rows with signs: what makes the number of distinct trades of every slice a plain sum.

A trade with rows r1, r2, ... lies in a slice if any of them does. By inclusion and exclusion that is
the sum over all non-empty sets of its rows of (-1)^(size + 1) if every row of the set lies in the
slice; and all of them do if the row of the dimensions in which they agree does. So the trade becomes
rows of agreements with weights that add up to 1 in each of its slices and to 0 elsewhere, and
everything that is summed over distinct trades (n, y, y^2, t, ...) is summed over rows. Equal rows
merge, so that a trade with two rows that differ becomes three: both, and what they share, minus one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiled import compiled

# A trade that would become more rows than this keeps its own, and is counted once a slice.
MAX_ROWS = 64


@compiled
def sign_rows(codes: Any, trade: Any, missing: Any) -> Any:
    """Signed rows of a group whose events are sorted by trade.

    `codes`: events x dimensions, `missing[d]` where an event lacks dimension d. Returns the codes,
    the weight and an event (for its trade's outcome) of each row; and the events of trades with too
    many agreements, which have no such rows. No weight is 0.
    """
    events, width = codes.shape
    # the k-th event of a trade doubles its rows at most
    room = more = 0
    for event in range(events):
        again = event > 0 and trade[event] == trade[event - 1]
        more = min(2 * more, 2 * MAX_ROWS) if again else 1
        room += more if more <= MAX_ROWS else 0
    out_codes = np.empty((room, width), codes.dtype)
    out_weight = np.empty(room)
    out_event = np.empty(room, np.int64)
    plain = np.empty(events, np.int64)
    count = plain_count = 0
    row = np.empty(width, codes.dtype)
    change = np.zeros(MAX_ROWS)
    start = 0
    while start < events:
        end = start + 1
        while end < events and trade[end] == trade[start]:
            end += 1
        if end == start + 1:
            for d in range(width):
                out_codes[count, d] = codes[start, d]
            out_weight[count], out_event[count] = 1.0, start
            count += 1
            start = end
            continue
        begin = count
        fits = True
        for event in range(start, end):
            if _find(codes[event], out_codes, begin, count) < count:
                continue  # what an equal row lies in, the trade lies in already
            # the row itself, and what it shares with each row that is there
            there = count
            for known in range(begin - 1, there):
                weight = 1.0
                for d in range(width):
                    same = known < begin or out_codes[known, d] == codes[event, d]
                    row[d] = codes[event, d] if same else missing[d]
                if known >= begin:
                    weight = -out_weight[known]
                at = _find(row, out_codes, begin, count)
                if at == count:
                    if count - begin == MAX_ROWS:
                        fits = False
                        break
                    out_codes[count] = row
                    out_weight[count] = 0.0
                    change[count - begin] = 0.0
                    count += 1
                change[at - begin] += weight
            if not fits:
                break
            for at in range(begin, count):
                out_weight[at] += change[at - begin]
                change[at - begin] = 0.0
        filled, count = count, begin
        if not fits:
            change[:] = 0.0
            for event in range(start, end):
                plain[plain_count] = event
                plain_count += 1
        else:
            for at in range(begin, filled):
                if out_weight[at] != 0.0:
                    out_codes[count], out_weight[count], out_event[count] = (
                        out_codes[at],
                        out_weight[at],
                        start,
                    )
                    count += 1
        start = end
    return out_codes[:count], out_weight[:count], out_event[:count], plain[:plain_count]


@compiled
def _find(row: Any, among: Any, begin: int, end: int) -> int:
    """The first of the rows [begin, end) that is equal to `row`; `end` if there is none."""
    for at in range(begin, end):
        same = True
        for d in range(len(row)):
            if among[at, d] != row[d]:
                same = False
                break
        if same:
            return at
    return end
