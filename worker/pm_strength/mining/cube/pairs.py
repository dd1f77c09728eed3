"""Finishing a node with one small array for each of its remaining dimensions, and each pair. Compiled.

A pair has few rows: as a plain call `sum_rows` takes a tenth longer, and writing its slices in a function
half as long again, inlined or not. So the former is inlined, and the latter is written out.
"""

from __future__ import annotations

from typing import Any

from .compiled import compiled, inlined
from .found import Found, copy_codes, resum, sums_of, with_room
from .rows import W
from .sums import Branch, Cells, Desk, Search, add

# A pair's array may have this many cells a row, and some more.
PAIR_CELLS_PER_ROW = 4
PAIR_CELLS = 4096


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
def gather(search: Search, branch: Branch, as_is: bool) -> int:
    """Lay a node's rows on the desk, their codes as they are or as `branch.values` numbers them.

    Returns how many carry signs.
    """
    rows, index, lo, hi = search.rows, branch.node.index, branch.node.lo, branch.node.hi
    codes, records, compact, kept = rows.codes, rows.records, branch.values.compact, branch.kept
    laid, trade, columns = search.desk.records, search.desk.trade, search.desk.columns
    signed = hi - lo
    for i in range(lo, hi):
        row = index[i]
        if row >= rows.simple:
            signed = min(signed, i - lo)
            trade[i - lo] = rows.trade[row]
        for k in range(8):
            laid[i - lo, k] = records[row, k]
    for d in range(branch.first, len(kept)):
        if kept[d] > 0:
            base, column = branch.values.offset[d], columns[d]
            for i in range(lo, hi):
                code = codes[index[i], d]
                column[i - lo] = code if as_is else compact[base + code]
    return signed


@inlined
def sum_rows(
    desk: Desk, signed: int, size: int, c: int, e: int, stride: int, total: int, cells: Cells
) -> None:
    """Sum the `size` rows on the desk by two of their columns, in `total` cells, `stride` a code of `c`."""
    sums, stamp, records, trade = cells.sums, cells.stamp, desk.records, desk.trade
    one, other = desk.columns[c], desk.columns[e]
    sums[:total] = 0.0
    for i in range(signed):
        add(sums, one[i] * stride + other[i], records, i)
    if signed < size:
        stamp[:total] = -1
    for i in range(signed, size):
        cell = one[i] * stride + other[i]
        if stamp[cell] != trade[i]:
            stamp[cell] = trade[i]
            add(sums, cell, records, i)


@compiled
def finish_pairs(
    search: Search, branch: Branch, signed: int, last: int, pairs: bool, cells: Cells, out: Found, count: int
) -> tuple[Found, int]:
    """A slice for each value in [first, last), and for each pair of values of which the first is there.

    Returns the slices with these after the first `count`, and how many there are now. `branch.kept` are
    the codes of each dimension; it is 0 afterwards where no value has enough trades.
    """
    rows, current, desk, n_min, stop = search.rows, search.current, search.desk, search.n_min, search.stop
    node, kept, first, width = branch.node, branch.kept, branch.first, len(branch.kept)
    original, offset, size = branch.values.original, branch.values.offset, node.hi - node.lo
    sums, centre, codes, out_sums = cells.sums, rows.centre, out.codes, out.sums
    for c in range(first, width if pairs else last):
        if kept[c] == 0:
            continue
        # the other dimension of the pair is none: its only code is 0
        sum_rows(desk, signed, size, c, width, 1, kept[c] + 1, cells)
        enough = 0
        for v in range(kept[c]):
            if sums[v, W] >= n_min:
                enough += 1
        if enough == 0:
            kept[c] = 0
        elif c < last:
            if count + enough > len(codes):
                out = with_room(out, count + enough)
                codes, out_sums = out.codes, out.sums
            for v in range(kept[c]):
                if sums[v, W] >= n_min:
                    copy_codes(current, codes, count)
                    codes[count, c] = original[offset[c] + v]
                    if not sums_of(centre, sums, v, out_sums, count):
                        resum(rows, node, first, codes[count], out_sums[count])
                    count += 1

    for c in range(first, last if pairs else first):
        if kept[c] == 0 or stop[0] != 0:
            continue
        for e in range(c + 1, width):
            if kept[e] == 0:
                continue
            stride = kept[e] + 1
            total = (kept[c] + 1) * stride
            sum_rows(desk, signed, size, c, e, stride, total, cells)
            if count + total > len(codes):
                out = with_room(out, count + total)
                codes, out_sums = out.codes, out.sums
            for v in range(kept[c]):
                for cell in range(v * stride, v * stride + kept[e]):
                    if sums[cell, W] >= n_min:
                        copy_codes(current, codes, count)
                        codes[count, c] = original[offset[c] + v]
                        codes[count, e] = original[offset[e] + cell - v * stride]
                        if not sums_of(centre, sums, cell, out_sums, count):
                            resum(rows, node, first, codes[count], out_sums[count])
                        count += 1
    return out, count
