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

# What a walk does: find the slices with their sums, sum a number of the trades, or add one to the trades.
FIND, GATHER, SCATTER = range(3)

# The columns of the sums: trades, the sum of r, then for each block length the squares of the trades of a
# block, and the group's trades in the blocks of the slice's trades; then the sums of further numbers.
N, R, SQUARES = 0, 1, 2


class Group(NamedTuple):
    """A group's rows in order of time, the rows of a trade together.

    `codes` is dimensions x rows, `cards[d]` where a dimension is missing or rare; `trade` numbers the trades
    from 0. `blocks` (lengths x trades) are the blocks of time that are looked at, `crowd` the group's trades
    in that block; `more` (trades x k) are further numbers to be summed.
    """

    codes: Any
    cards: Any
    trade: Any
    blocks: Any
    crowd: Any
    more: Any


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

    FIND: returns the slices with the sums of `r` (one a trade). GATHER: writes the sum of `r` over each of
    the slices that were `found` to `out`. SCATTER: adds `r` (one a slice) to `out`, one a trade, where the
    trade is in the slice. Ends early once `stop[0]` is set.
    """
    width, count = group.codes.shape
    kinds, extra = len(group.blocks), group.more.shape[1]
    columns = 2 + 2 * kinds + extra
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
    sums, seen = np.zeros((largest, columns)), np.zeros(largest, np.int64)
    block, run = np.zeros((largest, kinds), np.int64), np.zeros((largest, kinds))
    slice_of = np.zeros(largest, np.int64)
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
    while level >= 0 and stop[0] == 0 and limit > 0:
        if next_child[level] < kept[level]:
            child = next_child[level]
            next_child[level] += 1
            current[at_dim[level]] = value[level, child]
            lo[level + 1], hi[level + 1] = segment[level, child], segment[level, child + 1]
            at_dim[level + 1] = at_dim[level]
            kept[level + 1] = next_child[level + 1] = 0
            level += 1
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
            _sum_rows(group, column, card, rows, r, sums, seen, block, run, rows_of)
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
                for e in range(columns):
                    out_sums[slices + k, e] = sums[v, e]
            if steps == len(made):
                longer = np.empty(2 * steps, np.int64)
                longer[:steps] = made
                made = longer
            made[steps] = enough
        else:
            enough = made[steps]
            for v in range(card + 1):
                slice_of[v] = -1
            for k in range(enough):
                value[level, k] = codes[slices + k, d]
                slice_of[value[level, k]] = slices + k
            if enough > 0:
                _pass(group, column, card, rows, r, out, slice_of, seen, what == GATHER)
                if deeper:
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
    r: Any,
    sums: Any,
    seen: Any,
    block: Any,
    run: Any,
    rows_of: Any,
) -> None:
    """Sum the distinct trades of some rows by the values of one dimension."""
    kinds, extra = len(group.blocks), group.more.shape[1]
    columns = 2 + 2 * kinds + extra
    for v in range(card + 1):
        seen[v] = -1
        rows_of[v] = 0
        for e in range(columns):
            sums[v, e] = 0.0
        for h in range(kinds):
            block[v, h] = -1
            run[v, h] = 0.0
    for row in rows:
        v, trade = column[row], group.trade[row]
        rows_of[v] += 1
        if seen[v] == trade or v == card:
            continue
        seen[v] = trade
        sums[v, N] += 1.0
        sums[v, R] += r[trade]
        for h in range(kinds):
            number = group.blocks[h, trade]
            if block[v, h] != number:
                block[v, h] = number
                run[v, h] = 0.0
            sums[v, SQUARES + 2 * h] += 2.0 * run[v, h] + 1.0
            run[v, h] += 1.0
            sums[v, SQUARES + 2 * h + 1] += group.crowd[h, trade]
        for e in range(extra):
            sums[v, SQUARES + 2 * kinds + e] += group.more[trade, e]


@compiled
def _pass(
    group: Group, column: Any, card: int, rows: Any, r: Any, out: Any, slice_of: Any, seen: Any, gather: bool
) -> None:
    """Sum `r` of the distinct trades into their slices, or add that of the slices to the trades."""
    for v in range(card + 1):
        seen[v] = -1
        if gather and slice_of[v] >= 0:
            out[slice_of[v]] = 0.0
    for row in rows:
        v, trade = column[row], group.trade[row]
        if slice_of[v] < 0 or seen[v] == trade:
            continue
        seen[v] = trade
        if gather:
            out[slice_of[v]] += r[trade]
        else:
            out[trade] += r[slice_of[v]]


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
