"""What a walk does at a slice: sums its rows by the values of the dimensions that follow. Compiled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..cube.compiled import compiled
from ..cube.sums import add
from .tally import Tally, lengthen, squares_of, trades_of


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


class Node(NamedTuple):
    """Some rows, and the columns from `first` to `last` they are summed by, in cells `begin` to `end`."""

    rows: Any
    first: int
    last: int
    begin: int
    end: int


@compiled
def dimension_of(codes: Any, s: int, first: int) -> int:
    """The first dimension, from `first` on, that a slice has."""
    d = first
    while codes[s, d] < 0:
        d += 1
    return d


@compiled
def tally_rows(group: Group, offset: Any, node: Node, tally: Tally) -> None:
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
def write_slices(
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
def cell_of(group: Group, offset: Any, node: Node, codes: Any, s: int) -> int:
    """The cell of a slice that a node has made."""
    width = len(group.cards)
    d = dimension_of(codes, s, node.first)
    if d == width - 2 and codes[s, width - 1] >= 0:
        return int(offset[width] + codes[s, d] * (group.cards[width - 1] + 1) + codes[s, width - 1])
    return int(offset[d] + codes[s, d])


@compiled
def gather(group: Group, offset: Any, node: Node, r: Any, cell_sum: Any, seen: Any) -> None:
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
def scatter(group: Group, offset: Any, node: Node, cell_sum: Any, seen: Any, out: Any) -> None:
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
def _grown(codes: Any, sums: Any, held: int, more: int) -> tuple[Any, Any]:
    size = max(held + more, 2 * len(codes))
    new_codes, new_sums = np.empty((size, codes.shape[1]), codes.dtype), np.empty((size, sums.shape[1]))
    new_codes[:held], new_sums[:held] = codes[:held], sums[:held]
    return new_codes, new_sums


@compiled
def trades_with(codes: Any, wanted: Any, trade: Any) -> Any:
    """The trades of the rows that have all codes of a slice, a trade once for each of its rows."""
    held = np.empty(len(codes), np.int64)
    count = 0
    for row in range(len(codes)):
        inside = True
        for d in range(len(wanted)):
            if wanted[d] >= 0 and codes[row, d] != wanted[d]:
                inside = False
                break
        if inside:
            held[count] = trade[row]
            count += 1
    return held[:count].copy()
