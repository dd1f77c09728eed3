"""Finishing a node with one small array for each of its remaining dimensions, and each pair. Compiled.

The loops are written out in one function: a call that takes all these arrays costs more than summing
a pair's few rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .compiled import compiled
from .found import Found, copy_codes, resum, sums_of, with_room
from .rows import Rows, W
from .sums import Cells, Node, Values, add

# A pair's array may have this many cells a row, and some more.
PAIR_CELLS_PER_ROW = 4
PAIR_CELLS = 4096


class Desk(NamedTuple):
    """A node's rows side by side: their records, and a column of codes for each dimension."""

    records: Any
    columns: Any


@compiled
def new_desk(rows: Rows) -> Desk:
    """Room for all rows."""
    count, width = rows.codes.shape
    return Desk(np.empty((count, 8)), np.empty((width, count), np.uint32))


@compiled
def pair_cells(sizes: Any, first: int, width: int, remaining: int) -> int:
    """The cells of the largest array that finishing a node takes."""
    largest = second = 1
    for d in range(first, width):
        size = sizes[d] + 1
        if size > largest:
            largest, second = size, largest
        elif size > second:
            second = size
    return largest * second if remaining == 2 else largest


@compiled
def gather(rows: Rows, node: Node, values: Values, kept: Any, first: int, desk: Desk, as_is: bool) -> int:
    """Lay a node's rows on the desk, their codes as they are or as `values` numbers them.

    Returns how many carry signs.
    """
    codes, records, index, compact = rows.codes, rows.records, node.index, values.compact
    laid, columns = desk.records, desk.columns
    signed = node.hi - node.lo
    for i in range(node.lo, node.hi):
        row = index[i]
        if row >= rows.simple and i - node.lo < signed:
            signed = i - node.lo
        for k in range(8):
            laid[i - node.lo, k] = records[row, k]
    for d in range(first, len(kept)):
        if kept[d] > 0:
            base, column = values.offset[d], columns[d]
            for i in range(node.lo, node.hi):
                code = codes[index[i], d]
                column[i - node.lo] = code if as_is else compact[base + code]
    return signed


@compiled
def finish_pairs(
    rows: Rows,
    node: Node,
    values: Values,
    kept: Any,
    d: int,
    last: int,
    pairs: bool,
    n_min: float,
    stop: Any,
    cells: Cells,
    desk: Desk,
    signed: int,
    current: Any,
    out: Found,
    count: int,
) -> tuple[Found, int]:
    """A slice for each value in [d, last), and for each pair of values of which the first is there.

    Returns the slices with these after the first `count`, and how many there are now. `kept` are
    the codes of each dimension; it is 0 afterwards where no value has enough trades.
    """
    sums, stamp, trades, index, records = cells.sums, cells.stamp, rows.trade, node.index, desk.records
    lo, size, width, centre = node.lo, node.hi - node.lo, len(kept), rows.centre
    original, offset, found, found_sums = values.original, values.offset, out.codes, out.sums
    for c in range(d, width if pairs else last):
        if kept[c] == 0:
            continue
        one = desk.columns[c]
        sums[: kept[c] + 1] = 0.0
        for i in range(signed):
            add(sums, one[i], records, i)
        if signed < size:
            stamp[: kept[c] + 1] = -1
        for i in range(signed, size):
            trade = trades[index[lo + i]]
            if stamp[one[i]] != trade:
                stamp[one[i]] = trade
                add(sums, one[i], records, i)
        enough = 0
        for v in range(kept[c]):
            if sums[v, W] >= n_min:
                enough += 1
        if enough == 0:
            kept[c] = 0
        elif c < last:
            if count + enough > len(found):
                out = with_room(out, count + enough)
                found, found_sums = out.codes, out.sums
            for v in range(kept[c]):
                if sums[v, W] >= n_min:
                    copy_codes(current, found, count)
                    found[count, c] = original[offset[c] + v]
                    if not sums_of(centre, sums, v, found_sums, count):
                        resum(rows, node, d, found[count], found_sums[count])
                    count += 1

    for c in range(d, last if pairs else d):
        if kept[c] == 0 or stop[0] != 0:
            continue
        one = desk.columns[c]
        for e in range(c + 1, width):
            if kept[e] == 0:
                continue
            other, stride = desk.columns[e], kept[e] + 1
            total = (kept[c] + 1) * stride
            sums[:total] = 0.0
            for i in range(signed):
                add(sums, one[i] * stride + other[i], records, i)
            if signed < size:
                stamp[:total] = -1
            for i in range(signed, size):
                cell = one[i] * stride + other[i]
                trade = trades[index[lo + i]]
                if stamp[cell] != trade:
                    stamp[cell] = trade
                    add(sums, cell, records, i)
            if count + total > len(found):
                out = with_room(out, count + total)
                found, found_sums = out.codes, out.sums
            for v in range(kept[c]):
                for cell in range(v * stride, v * stride + kept[e]):
                    if sums[cell, W] >= n_min:
                        copy_codes(current, found, count)
                        found[count, c] = original[offset[c] + v]
                        found[count, e] = original[offset[e] + cell - v * stride]
                        if not sums_of(centre, sums, cell, found_sums, count):
                            resum(rows, node, d, found[count], found_sums[count])
                        count += 1
    return out, count
