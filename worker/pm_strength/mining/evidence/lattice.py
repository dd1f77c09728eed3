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
from ..cube.sums import add
from .tally import Tally, clear, lengthen, new_tally, squares_of, trades_of

# What a walk does: find the slices with their sums, sum a number of the trades, or add one to the trades.
FIND, GATHER, SCATTER = range(3)


class Group(NamedTuple):
    """A group's rows in order of time, the rows of a trade together.

    `codes` is rows x dimensions, `cards[d]` where a dimension is missing or rare. Its last column is no
    dimension: it holds code * (cards[-1] + 1) + code of the last two, where these are no more than there are
    rows. `trade` numbers the trades from 0, `single` says whether each has one row. `records` has the numbers
    that are summed, `wide` rows of 8 for each row, of which the first `columns` are used; `blocks` is
    rows x 4: the blocks of the first `kinds` lengths that are looked at, then 0.
    """

    codes: Any
    cards: Any
    trade: Any
    single: bool
    records: Any
    wide: int
    columns: int
    blocks: Any
    kinds: int


class Slices(NamedTuple):
    """The slices below the empty subset, in the walk's own order: their codes (-1: not in it) and sums.

    The columns of `sums`: the trades, the sums of squares for each length, the sums of the records. `made`
    is how many slices each step of the walk has made, which is what repeats it.
    """

    codes: Any
    sums: Any
    made: Any


class Node(NamedTuple):
    """Some rows, and the columns from `first` to `last` they are summed by, in cells `begin` to `end`."""

    rows: Any
    first: int
    last: int
    begin: int
    end: int


@compiled
def walk(
    group: Group, n_min: float, limit: int, what: int, found: Slices, r: Any, out: Any, stop: Any
) -> Slices:
    """Walk over all slices of 1 to `limit` dimensions with `n_min` trades.

    FIND: returns the slices with their sums. GATHER: writes the sum of `r` (one a trade) over each of
    the slices that were `found` to `out`. SCATTER: adds `r` (one a slice) to `out`, one a trade, where the
    trade is in the slice. Ends early once `stop[0]` is set.
    """
    count, width = len(group.codes), len(group.cards)
    offset = _offsets(group.cards, count)
    cells = offset[-1]
    levels = max(1, min(limit, width))
    index = np.empty((levels, count), np.uint32)
    index[0] = np.arange(count)
    none = np.zeros(levels, np.int64)
    lo, hi, first, split = none.copy(), none.copy(), none.copy(), none.copy()
    # a node's slices, the next one to be gone into, and the dimension of the one before (-1: none)
    begin, end, following, went = none.copy(), none.copy(), none.copy(), none.copy()
    segment = np.zeros((levels, cells + 1), np.int64)
    current = np.full(width, -1, np.int32)
    tally = new_tally(cells if what == FIND else 1, group.wide)
    cell_sum, seen = np.zeros(1 if what == FIND else cells), np.zeros(1 if what == FIND else cells, np.int32)
    codes, sums, made = found.codes, found.sums, found.made
    if what == FIND:
        codes = np.empty((256, width), np.int32)
        sums, made = np.empty((256, 1 + group.kinds + group.columns)), np.empty(256, np.int64)
    # as a literal 0 everything below would be compiled once more for it
    slices = steps = np.int64(0)
    level = 0
    hi[0], fresh = count, True
    while level >= 0 and stop[0] == 0 and limit > 0 and width > 0:
        if fresh:
            fresh = False
            size = hi[level] - lo[level]
            # the last two dimensions at once, where that takes no more cells than there are rows
            both = first[level] + 2 <= width and level + 2 <= limit and 0 < cells - offset[width] <= size
            last = width + 1 if both else width
            node = Node(
                *(index[level, lo[level] : hi[level]], first[level], last),
                *(offset[first[level]], offset[last]),
            )
            if what == FIND:
                clear(tally, node.begin, node.end, group.wide)
                _tally_rows(group, offset, node, tally)
                codes, sums, enough = _write(group, offset, node, tally, n_min, current, codes, sums, slices)
                if steps == len(made):
                    longer = np.empty(2 * steps, np.int64)
                    longer[:steps] = made
                    made = longer
                made[steps] = enough
            else:
                enough = made[steps]
                if enough > 0:
                    cell_sum[node.begin : node.end] = 0.0
                    seen[node.begin : node.end] = -1
                if enough > 0 and what == GATHER:
                    _gather(group, offset, node, r, cell_sum, seen)
                    for s in range(slices, slices + enough):
                        out[s] = cell_sum[_cell(group, offset, node, codes, s)]
                elif enough > 0:
                    for s in range(slices, slices + enough):
                        cell_sum[_cell(group, offset, node, codes, s)] = r[s]
                    _scatter(group, offset, node, cell_sum, seen, out)
            begin[level], following[level], went[level] = slices, slices, -1
            slices += enough
            steps += 1
            end[level] = slices if level + 1 < limit else begin[level]
            split[level] = width - 2 if both else width - 1

        s, d = following[level], width
        if went[level] >= 0:
            current[went[level]] = -1
        if s < end[level]:
            d = _dimension(codes, s, first[level])
        if d >= split[level]:
            level -= 1
            continue
        if went[level] != d:
            _partition(
                *(group, d, index[level], lo[level], hi[level]),
                *(codes, begin[level], s, end[level], segment[level], index[level + 1]),
            )
        at = s - begin[level]
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
def _dimension(codes: Any, s: int, first: int) -> int:
    """The first dimension, from `first` on, that a slice has."""
    d = first
    while codes[s, d] < 0:
        d += 1
    return d


@compiled
def _tally_rows(group: Group, offset: Any, node: Node, tally: Tally) -> None:
    """Add the distinct trades of a node's rows to its cells.

    The loop calls nothing that takes an array: counting who holds it would take most of the time.
    """
    codes, records, blocks, trade = group.codes, group.records, group.blocks, group.trade
    sums, runs, seen = tally.sums, tally.runs, tally.seen
    single, wide = group.single, group.wide
    for row in node.rows:
        for d in range(node.first, node.last):
            cell = offset[d] + codes[row, d]
            if not single:
                if seen[cell] == trade[row]:
                    continue
                seen[cell] = trade[row]
            add(sums, cell * wide, records, row * wide)
            if wide > 1:
                add(sums, cell * wide + 1, records, row * wide + 1)
            lengthen(runs, cell, blocks, row)


@compiled
def _write(
    group: Group,
    offset: Any,
    node: Node,
    tally: Tally,
    n_min: float,
    current: Any,
    codes: Any,
    sums: Any,
    held: int,
) -> tuple[Any, Any, int]:
    """Write the slices of a node's cells with `n_min` trades after the first `held`; returns how many."""
    width = len(group.cards)
    enough, at = np.int64(0), held
    for cell in range(node.begin, node.end):
        enough += trades_of(tally, cell) >= n_min
    if held + enough > len(codes):
        codes, sums = _grown(codes, sums, held, enough)
    for d in range(node.first, min(node.last, width)):
        for v in range(group.cards[d]):
            if trades_of(tally, offset[d] + v) >= n_min:
                _write_cell(group, tally, offset[d] + v, current, codes, sums, at)
                codes[at, d] = v
                at += 1
    if node.last > width:
        stride = group.cards[width - 1] + 1
        for v in range(group.cards[width - 2]):
            for u in range(stride - 1):
                cell = offset[width] + v * stride + u
                if trades_of(tally, cell) >= n_min:
                    _write_cell(group, tally, cell, current, codes, sums, at)
                    codes[at, width - 2], codes[at, width - 1] = v, u
                    at += 1
    return codes, sums, at - held


@compiled
def _write_cell(group: Group, tally: Tally, cell: int, current: Any, codes: Any, sums: Any, at: int) -> None:
    for e in range(len(current)):
        codes[at, e] = current[e]
    sums[at, 0] = trades_of(tally, cell)
    for h in range(group.kinds):
        sums[at, 1 + h] = squares_of(tally, cell, h)
    for e in range(group.columns):
        sums[at, 1 + group.kinds + e] = tally.sums[cell * group.wide + e // 8, e % 8]


@compiled
def _cell(group: Group, offset: Any, node: Node, codes: Any, s: int) -> int:
    """The cell of a slice that a node has made."""
    width = len(group.cards)
    d = _dimension(codes, s, node.first)
    if d == width - 2 and codes[s, width - 1] >= 0:
        return int(offset[width] + codes[s, d] * (group.cards[width - 1] + 1) + codes[s, width - 1])
    return int(offset[d] + codes[s, d])


@compiled
def _gather(group: Group, offset: Any, node: Node, r: Any, cell_sum: Any, seen: Any) -> None:
    """Sum a number of the distinct trades of a node's rows in its cells."""
    codes, trades, single = group.codes, group.trade, group.single
    for row in node.rows:
        trade = trades[row]
        number = r[trade]
        for d in range(node.first, node.last):
            cell = offset[d] + codes[row, d]
            if single or seen[cell] != trade:
                seen[cell] = trade
                cell_sum[cell] += number


@compiled
def _scatter(group: Group, offset: Any, node: Node, cell_sum: Any, seen: Any, out: Any) -> None:
    """Add the number of each cell to the distinct trades of its rows."""
    codes, trades, single = group.codes, group.trade, group.single
    for row in node.rows:
        trade = trades[row]
        number = 0.0
        for d in range(node.first, node.last):
            cell = offset[d] + codes[row, d]
            if single or seen[cell] != trade:
                seen[cell] = trade
                number += cell_sum[cell]
        out[trade] += number


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


@compiled
def _grown(codes: Any, sums: Any, held: int, more: int) -> tuple[Any, Any]:
    size = max(held + more, 2 * len(codes))
    new_codes, new_sums = np.empty((size, codes.shape[1]), codes.dtype), np.empty((size, sums.shape[1]))
    new_codes[:held], new_sums[:held] = codes[:held], sums[:held]
    return new_codes, new_sums
