"""Sums over the distinct trades of every slice of a group, in one fixed order of slices. Compiled.

The slices are those of the cube; here it is walked once more with its trades in order of time, because the
trades of a slice within a block are no sum over rows: in order of time they are runs, and the sum of the
squares of their lengths grows by 2 * length + 1 with each trade. The walk partitions rows by one dimension
at a time, as the cube does (BUC: Beyer and Ramakrishnan, SIGMOD 1999), and can be repeated: to sum another
number of each trade, or to add a number of each slice to its trades.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..cube.compiled import compiled
from ..cube.sums import add

# What a walk does: find the slices with their sums, sum a number of the trades, or add one to the trades.
FIND, GATHER, SCATTER = range(3)

# A record has eight numbers, which are added at once: 1, r, and the group's trades in the trade's block of
# each length. The sums of a slice are those of the records, the squares for each length, and the scores.
N, R, CROWD, RECORD = 0, 1, 2, 8


class Group(NamedTuple):
    """A group's rows in order of time, the rows of a trade together.

    `codes` is dimensions x rows, `cards[d]` where a dimension is missing or rare; `trade` numbers the trades
    from 0, `single` says whether each has one row. `records` is rows x 8, `scores` rows x 8 or x 0 of further
    numbers to be summed, `blocks` (rows x lengths) the blocks of time that are looked at.
    """

    codes: Any
    cards: Any
    trade: Any
    single: bool
    records: Any
    scores: Any
    blocks: Any


class Slices(NamedTuple):
    """The slices below the empty subset: their codes (-1: not in it), and their sums; the walk's own order.

    `made` is how many slices each step of the walk has made, which is what repeats it.
    """

    codes: Any
    sums: Any
    made: Any


@compiled
def walk(
    group: Group, n_min: float, limit: int, what: int, found: Slices, r: Any, out: Any, stop: Any
) -> Slices:
    """Walk over all slices of 1 to `limit` dimensions with `n_min` trades.

    FIND: returns the slices with their sums. GATHER: writes the sum of `r` (one a trade) over each of
    the slices that were `found` to `out`. SCATTER: adds `r` (one a slice) to `out`, one a trade, where the
    trade is in the slice. Ends early once `stop[0]` is set.
    """
    width, count = group.codes.shape
    kinds, extra = group.blocks.shape[1], group.scores.shape[1]
    columns = RECORD + kinds + extra
    largest = 1
    for d in range(width):
        largest = max(largest, group.cards[d] + 1)
    levels = max(1, min(limit, width))
    index = np.empty((levels + 1, count), np.int32)
    index[0] = np.arange(count)
    lo, hi, at_dim = (
        np.zeros(levels + 1, np.int64),
        np.zeros(levels + 1, np.int64),
        np.zeros(levels + 1, np.int64),
    )
    segment = np.zeros((levels + 1, largest + 1), np.int64)
    value = np.zeros((levels + 1, largest), np.int64)
    kept, next_child = np.zeros(levels + 1, np.int64), np.zeros(levels + 1, np.int64)
    current = np.full(width, -1, np.int32)
    sums, seen = np.zeros((largest, RECORD)), np.zeros(largest, np.int64)
    scores = np.zeros((largest, RECORD))
    block, runs = np.zeros((largest, kinds), np.int32), np.zeros((largest, 2 * kinds))
    value_sum = np.zeros(largest)
    # a number of each row, in the order of the node's rows
    laid = np.empty((levels + 1, count if what == GATHER else 0))
    rows_of = np.zeros(largest, np.int64)
    codes, out_sums, made = found.codes, found.sums, found.made
    if what == FIND:
        codes, out_sums, made = (
            np.empty((256, width), np.int32),
            np.empty((256, columns)),
            np.empty(256, np.int64),
        )
    slices = steps = level = 0
    hi[0], at_dim[0] = count, -1
    if what == GATHER:
        for row in range(count):
            laid[0, row] = r[group.trade[row]]
    while level >= 0 and stop[0] == 0 and limit > 0:
        if next_child[level] < kept[level]:
            child = next_child[level]
            next_child[level] += 1
            current[at_dim[level]] = value[level, child]
            lo[level + 1], hi[level + 1] = segment[level, child], segment[level, child + 1]
            at_dim[level + 1] = at_dim[level]
            kept[level + 1] = next_child[level + 1] = 0
            level += 1
            if what == GATHER:
                for at in range(lo[level], hi[level]):
                    laid[level, at] = r[group.trade[index[level, at]]]
            continue
        if at_dim[level] >= 0 and kept[level] > 0:
            current[at_dim[level]] = -1
        kept[level] = next_child[level] = 0
        at_dim[level] += 1
        d = at_dim[level]
        if d >= width:
            level -= 1
            continue

        column, card = group.codes[d], group.cards[d]
        rows = index[level, lo[level] : hi[level]]
        deeper = level + 1 < limit and d + 1 < width
        if what == FIND:
            _sum_rows(group, column, card, rows, sums, scores, seen, block, runs, rows_of)
            enough = 0
            for v in range(card):
                if sums[v, N] >= n_min:
                    value[level, enough] = v
                    enough += 1
            if slices + enough > len(codes):
                codes, out_sums = _grown(codes, out_sums, slices, enough)
            for k in range(enough):
                v = value[level, k]
                for e in range(width):
                    codes[slices + k, e] = current[e]
                codes[slices + k, d] = v
                for e in range(RECORD):
                    out_sums[slices + k, e] = sums[v, e]
                for h in range(kinds):
                    out_sums[slices + k, RECORD + h] = runs[v, 2 * h + 1]
                for e in range(extra):
                    out_sums[slices + k, RECORD + kinds + e] = scores[v, e]
            if steps == len(made):
                longer = np.empty(2 * steps, np.int64)
                longer[:steps] = made
                made = longer
            made[steps] = enough
        else:
            enough = made[steps]
            for k in range(enough):
                value[level, k] = codes[slices + k, d]
            if enough > 0 and what == GATHER:
                _gather(group, column, card, rows, laid[level, lo[level] :], value_sum, seen)
                for k in range(enough):
                    out[slices + k] = value_sum[value[level, k]]
            elif enough > 0:
                value_sum[: card + 1] = 0.0
                for k in range(enough):
                    value_sum[value[level, k]] = r[slices + k]
                _scatter(group, column, card, rows, value_sum, seen, out)
            if enough > 0 and deeper:
                _count_rows(column, card, rows, rows_of)
        slices += enough
        steps += 1
        if deeper and enough > 0:
            _partition(
                column, card, rows, rows_of, value[level], enough, lo[level], segment[level], index[level + 1]
            )
            kept[level] = enough
    return Slices(codes[:slices], out_sums[:slices], made[:steps])


@compiled
def _sum_rows(
    group: Group,
    column: Any,
    card: int,
    rows: Any,
    sums: Any,
    scores: Any,
    seen: Any,
    block: Any,
    runs: Any,
    rows_of: Any,
) -> None:
    """Sum the distinct trades of some rows by the values of one dimension."""
    kinds, extra = group.blocks.shape[1], group.scores.shape[1]
    seen[: card + 1] = -1
    rows_of[: card + 1] = 0
    sums[: card + 1] = 0.0
    block[: card + 1] = -1
    runs[: card + 1] = 0.0
    if extra > 0:
        scores[: card + 1] = 0.0
    for row in rows:
        v = column[row]
        rows_of[v] += 1
        if not group.single:
            if seen[v] == group.trade[row]:
                continue
            seen[v] = group.trade[row]
        add(sums, v, group.records, row)
        if extra > 0:
            add(scores, v, group.scores, row)
        for h in range(kinds):
            if block[v, h] != group.blocks[row, h]:
                block[v, h] = group.blocks[row, h]
                runs[v, 2 * h] = 0.0
            runs[v, 2 * h + 1] += 2.0 * runs[v, 2 * h] + 1.0
            runs[v, 2 * h] += 1.0


@compiled
def _gather(group: Group, column: Any, card: int, rows: Any, laid: Any, value_sum: Any, seen: Any) -> None:
    """Sum a number of the distinct trades of some rows by the values of one dimension."""
    value_sum[: card + 1] = 0.0
    if group.single:
        for at in range(len(rows)):
            value_sum[column[rows[at]]] += laid[at]
        return
    seen[: card + 1] = -1
    for at in range(len(rows)):
        v, trade = column[rows[at]], group.trade[rows[at]]
        if seen[v] != trade:
            seen[v] = trade
            value_sum[v] += laid[at]


@compiled
def _scatter(group: Group, column: Any, card: int, rows: Any, value_sum: Any, seen: Any, out: Any) -> None:
    """Add the number of each value to the distinct trades of its rows."""
    seen[: card + 1] = -1
    for row in rows:
        v, trade = column[row], group.trade[row]
        if seen[v] != trade:
            seen[v] = trade
            out[trade] += value_sum[v]


@compiled
def _count_rows(column: Any, card: int, rows: Any, rows_of: Any) -> None:
    for v in range(card + 1):
        rows_of[v] = 0
    for row in rows:
        rows_of[column[row]] += 1


@compiled
def _partition(
    column: Any,
    card: int,
    rows: Any,
    rows_of: Any,
    value: Any,
    enough: int,
    start: int,
    segment: Any,
    below: Any,
) -> None:
    """Put the rows of the kept values into `below`, stably, value by value."""
    place = np.full(card + 1, -1, np.int64)
    position = start
    for k in range(enough):
        segment[k] = position
        place[value[k]] = position
        position += rows_of[value[k]]
    segment[enough] = position
    for row in rows:
        v = column[row]
        if place[v] >= 0:
            below[place[v]] = row
            place[v] += 1


@compiled
def _grown(codes: Any, sums: Any, held: int, more: int) -> tuple[Any, Any]:
    size = max(held + more, 2 * len(codes))
    new_codes, new_sums = np.empty((size, codes.shape[1]), codes.dtype), np.empty((size, sums.shape[1]))
    new_codes[:held], new_sums[:held] = codes[:held], sums[:held]
    return new_codes, new_sums


@compiled
def same_trades(codes: Any, n: Any, keys: Any) -> Any:
    """Which slices have the same trades as one with a dimension fewer, and so say nothing new.

    `keys[d]` holds a random 64-bit number for each code of dimension d: the sum over a slice's codes is
    what it is found by.
    """
    count, width = codes.shape
    size = 16
    while size < 2 * count:
        size *= 2
    mask = size - 1
    slot = np.full(size, -1, np.int64)
    key = np.zeros(count, np.uint64)
    for s in range(count):
        for d in range(width):
            if codes[s, d] >= 0:
                key[s] += keys[d, codes[s, d]]
        at = np.int64(key[s] >> np.uint64(20)) & mask
        while slot[at] >= 0:
            at = (at + 1) & mask
        slot[at] = s
    same = np.zeros(count, np.bool_)
    for s in range(count):
        for d in range(width):
            if codes[s, d] >= 0:
                wanted = key[s] - keys[d, codes[s, d]]
                at = np.int64(wanted >> np.uint64(20)) & mask
                while slot[at] >= 0:
                    if key[slot[at]] == wanted:
                        same[s] = same[s] or n[slot[at]] == n[s]
                        break
                    at = (at + 1) & mask
    return same
