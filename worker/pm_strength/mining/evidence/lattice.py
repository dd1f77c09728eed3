"""Sums over the distinct trades of every slice of a group, in one fixed order of slices. Compiled.

The slices are those of the cube, but for the empty subset; here it is walked once more with its rows in
order of time, which `tally.py` needs. At each slice its rows are summed by the values of all dimensions that
follow, then partitioned by one dimension after the other (BUC: Beyer and Ramakrishnan, SIGMOD 1999). The walk
can be repeated: to sum another number of each trade, or to add a number of each slice to its trades.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..cube.compiled import compiled
from .nodes import Group, Node, cell_of, dimension_of, gather, scatter, tally_rows, write_slices
from .tally import clear, new_tally

# What a walk does: find the slices with their sums, sum a number of the trades, or add one to the trades.
FIND, GATHER, SCATTER = range(3)


class Slices(NamedTuple):
    """The slices below the empty subset, in the walk's own order: their codes (-1: not in it) and sums.

    The columns of `sums`: the trades, the sums of squares for each length, the sums of the records. `made`
    is what repeats the walk. For each of its steps: how many slices it has made, whether it took the last
    two dimensions at once, and the numbers of the step and of the slice that come after all below it.
    """

    codes: Any
    sums: Any
    made: Any


@compiled
def walk(
    group: Group, n_min: float, limit: int, what: int, found: Slices, r: Any, out: Any, stop: Any
) -> Slices:
    """Walk over all slices of 1 to `limit` dimensions with `n_min` trades.

    FIND: returns the slices with their sums. GATHER: adds the sum of `r` (one a trade) over each of the
    slices that were `found` to `out`; only trades with a number other than 0 are looked at. SCATTER: adds
    `r` (one a slice) to `out`, one a trade, where the trade is in the slice. Ends early once `stop[0]` is
    set.
    """
    count, width = len(group.codes), len(group.cards)
    offset = _offsets(group.cards, count)
    cells = offset[-1]
    levels = max(1, min(limit, width))
    index = np.empty((levels, count), np.uint32)
    none = np.zeros(levels, np.int64)
    lo, hi, first, split = none.copy(), none.copy(), none.copy(), none.copy()
    for row in range(count):
        if what != GATHER or r[group.trade[row]] != 0.0:
            index[0, hi[0]] = row
            hi[0] += 1
    # a node's step and slices, the next one to be gone into, and the dimension of the one before (-1: none)
    step, begin, end = none.copy(), none.copy(), none.copy()
    following, went = none.copy(), none.copy()
    segment = np.zeros((levels, cells + 1), np.int64)
    current = np.full(width, -1, np.int32)
    tally = new_tally(cells if what == FIND else 1, group.wide)
    cell_sum, seen = np.zeros(1 if what == FIND else cells), np.zeros(1 if what == FIND else cells, np.int32)
    codes, sums, made = found.codes, found.sums, found.made
    if what == FIND:
        codes = np.empty((256, width), np.int32)
        sums, made = np.empty((256, 1 + group.kinds + group.columns)), np.empty((256, 4), np.int64)
    # as a literal 0 everything below would be compiled once more for it
    slices = steps = np.int64(0)
    level = 0
    fresh = True
    while level >= 0 and stop[0] == 0 and limit > 0 and width > 0:
        if fresh:
            fresh = False
            size = hi[level] - lo[level]
            # the last two dimensions at once, where that takes no more cells than there are rows
            both = first[level] + 2 <= width and level + 2 <= limit and 0 < cells - offset[width] <= size
            if what != FIND:
                both = made[steps, 1] == 1
            last = width + 1 if both else width
            node = Node(
                *(index[level, lo[level] : hi[level]], first[level], last),
                *(offset[first[level]], offset[last]),
            )
            if what == FIND:
                clear(tally, node.begin, node.end, group.wide)
                tally_rows(group, offset, node, tally)
                codes, sums, enough = write_slices(
                    group, offset, node, tally, n_min, current, codes, sums, slices
                )
                if steps == len(made):
                    longer = np.empty((2 * steps, 4), np.int64)
                    longer[:steps] = made
                    made = longer
                made[steps, 0], made[steps, 1] = enough, both
            else:
                enough = made[steps, 0]
                if enough > 0:
                    cell_sum[node.begin : node.end] = 0.0
                    seen[node.begin : node.end] = -1
                if enough > 0 and what == GATHER:
                    gather(group, offset, node, r, cell_sum, seen)
                    for s in range(slices, slices + enough):
                        out[s] += cell_sum[cell_of(group, offset, node, codes, s)]
                elif enough > 0:
                    for s in range(slices, slices + enough):
                        cell_sum[cell_of(group, offset, node, codes, s)] = r[s]
                    scatter(group, offset, node, cell_sum, seen, out)
            step[level], begin[level], following[level], went[level] = steps, slices, slices, -1
            slices += enough
            steps += 1
            end[level] = slices if level + 1 < limit else begin[level]
            split[level] = width - 2 if both else width - 1

        s, d = following[level], width
        if went[level] >= 0:
            current[went[level]] = -1
        if s < end[level]:
            d = dimension_of(codes, s, first[level])
        if d >= split[level]:
            if what == FIND:
                made[step[level], 2], made[step[level], 3] = steps, slices
            level -= 1
            continue
        if went[level] != d:
            _partition(
                *(group, d, index[level], lo[level], hi[level]),
                *(codes, begin[level], s, end[level], segment[level], index[level + 1]),
            )
        at = s - begin[level]
        if what == GATHER and segment[level, at] == segment[level, at + 1]:
            # none of the trades is below: go on behind it
            went[level], following[level] = d, s + 1
            slices, steps = made[steps, 3], made[steps, 2]
            continue
        current[d], went[level], following[level] = codes[s, d], d, s + 1
        lo[level + 1], hi[level + 1], first[level + 1] = segment[level, at], segment[level, at + 1], d + 1
        level += 1
        fresh = True
    return Slices(codes[:slices], sums[:slices], made[:steps])


@compiled
def _offsets(cards: Any, count: int) -> Any:
    """Where the cells of each column begin, and how many there are of all for `count` rows."""
    width = len(cards)
    offset = np.zeros(width + 2, np.int64)
    for d in range(width):
        offset[d + 1] = offset[d] + cards[d] + 1
    offset[width + 1] = offset[width]
    if width > 1 and (cards[width - 2] + 1) * (cards[width - 1] + 1) <= count:
        offset[width + 1] += (cards[width - 2] + 1) * (cards[width - 1] + 1)
    return offset


@compiled
def _partition(
    group: Group,
    d: int,
    index: Any,
    lo: int,
    hi: int,
    slices: Any,
    begin: int,
    first: int,
    end: int,
    segment: Any,
    below: Any,
) -> None:
    """Put a node's rows of the slices of one dimension, from `first` on, into `below`, slice by slice.

    They are in order of time as before; `segment[s - begin]` is where those of slice s begin.
    """
    codes = group.codes
    rows_of = np.zeros(group.cards[d] + 1, np.int64)
    for at in range(lo, hi):
        rows_of[codes[index[at], d]] += 1
    place = np.full(group.cards[d] + 1, -1, np.int64)
    position = lo
    s = first
    while s < end and slices[s, d] >= 0:
        v = slices[s, d]
        segment[s - begin] = place[v] = position
        position += rows_of[v]
        s += 1
        segment[s - begin] = position
    for at in range(lo, hi):
        row = index[at]
        v = codes[row, d]
        if place[v] >= 0:
            below[place[v]] = row
            place[v] += 1
