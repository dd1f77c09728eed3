"""The compiled walk over all slices of one group.

Depth first over the dimensions, those with most values first; at each step the rows are partitioned
by a dimension, and slices below `n_min` are dropped with all below them (BUC: Beyer and
Ramakrishnan, "Bottom-Up Computation of Sparse and Iceberg CUBEs", SIGMOD 1999). Where little is
left, a node is finished at once: by one array over all remaining dimensions that is filled row by
row and then summed along each dimension, or, for the last two dimensions that `max_dims` allows, by
one small array for each pair.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from .sums import (
    Cells,
    Node,
    Rows,
    Values,
    W,
    add_column,
    add_pair,
    fill,
    gather,
    new_cells,
    number_values,
    partition,
    resum,
    sums_of,
)

# Remaining dimensions are finished in one array while it has at most so many cells, and cells a row.
DENSE_CELLS = 16_384
DENSE_CELLS_PER_ROW = 6.0
# A pair's array may have this many cells a row, and some more.
PAIR_CELLS_PER_ROW = 4
PAIR_CELLS = 4096


class Found(NamedTuple):
    """Slices: their codes (-1: not in the subset) and sums, with room for more than there are."""

    codes: Any
    sums: Any


class Stack(NamedTuple):
    """The path of the walk, one entry a level.

    A node is rows `begin` to `end` of `index[level]`; `next_dim` is its next dimension. While the
    values of `split` are walked, the children are in `index[level + 1]` up to `children`, the next
    one at `child`. `kept` is how many values of each dimension have `n_min` trades in the node.
    """

    index: Any
    begin: Any
    end: Any
    next_dim: Any
    split: Any
    child: Any
    children: Any
    kept: Any


_compiled = njit(cache=True, nogil=True)


@_compiled
def mine_group(
    rows: Rows,
    root: Any,
    limit: int,
    n_min: float,
    first_dim: int,
    last_dim: int,
    stop: Any,
    found: Any,
    done: Any,
) -> Any:
    """All slices of a group whose first dimension is in [first_dim, last_dim), of at most `limit`.

    `root` is the sums of the empty subset, which comes first where `first_dim` is 0. The walk ends
    early once `stop[0]` is set; it keeps the number of slices in `found[0]` and the share of its
    first dimensions that are finished in `done[0]`. Returns the codes and the sums of the slices.
    """
    width = rows.codes.shape[1]
    values = _new_values(rows)
    stack = _new_stack(rows, limit, first_dim)
    cells = new_cells(PAIR_CELLS)
    gathered, columns = np.empty((len(rows.codes), 8)), np.empty((width, len(rows.codes)), np.int32)
    current = np.full(width, -1, rows.codes.dtype)
    out = Found(np.empty((1024, width), rows.codes.dtype), np.empty((1024, 5)))
    count = 0
    if first_dim == 0:
        out.codes[0], out.sums[0] = current, root
        count = 1

    level = 0
    whole = Node(stack.index[0], 0, len(rows.codes))
    number_values(rows, whole, values, first_dim, width, n_min, stack.kept[0])
    while level >= 0 and stop[0] == 0:
        found[0] = count
        if stack.child[level] < stack.children[level]:
            if level == 0:
                finished = stack.child[0] / stack.children[0] + stack.split[0] - first_dim
                done[0] = finished / max(last_dim - first_dim, 1)
            _descend(rows, stack, level, current)
            level += 1
            if limit - level > 2:
                node = Node(stack.index[level], stack.begin[level], stack.end[level])
                number_values(rows, node, values, stack.next_dim[level], width, n_min, stack.kept[level])
            continue
        if stack.split[level] >= 0:
            current[stack.split[level]] = -1
            stack.split[level] = -1
        d, last, remaining = stack.next_dim[level], last_dim if level == 0 else width, limit - level
        if d >= last or remaining == 0:
            level -= 1
            continue

        node = Node(stack.index[level], stack.begin[level], stack.end[level])
        kept = stack.kept[level]
        if remaining <= 2:
            number_values(rows, node, values, d, width, n_min, kept)
            need = _pair_cells(kept, d, width, remaining)
            if need <= PAIR_CELLS_PER_ROW * (node.hi - node.lo) + PAIR_CELLS:
                if need > len(cells.sums):
                    cells = new_cells(need)
                signed = gather(rows, node, values, kept, d, width, gathered, columns)
                for c in range(d, last):
                    if kept[c] == 0 or stop[0] != 0:
                        continue
                    add_column(rows, node, columns[c], gathered, signed, kept[c], cells)
                    out = _with_room(out, count + kept[c])
                    count = _write_column(rows, node, values, kept[c], c, d, cells, current, out, count)
                    for e in range(c + 1, width if remaining == 2 else c + 1):
                        if kept[e] > 0:
                            add_pair(
                                rows, node, columns[c], columns[e], gathered, signed, kept[c], kept[e], cells
                            )
                            out = _with_room(out, count + kept[c] * kept[e])
                            count = _write_pair(
                                rows, node, values, kept, c, e, d, n_min, cells, current, out, count
                            )
                    if level == 0:
                        found[0], done[0] = count, (c + 1 - first_dim) / max(last_dim - first_dim, 1)
                stack.next_dim[level] = last
                continue
        elif last == width:
            chosen, total = _dense_cells(rows, node, kept, d, width)
            if total > 0 and len(chosen) <= remaining:
                for e in chosen:
                    number_values(rows, node, values, e, e + 1, n_min, kept)
                if total > len(cells.sums):
                    cells = new_cells(total)
                fill(rows, node, values, kept, chosen, total, cells)
                out = _with_room(out, count + total)
                count = _write_dense(
                    rows, node, values, kept, chosen, total, d, n_min, cells, current, out, count
                )
                stack.next_dim[level] = width
                continue

        stack.next_dim[level] = d + 1
        if kept[d] == 0:
            continue
        number_values(rows, node, values, d, d + 1, n_min, kept)
        if kept[d] + 1 > len(cells.sums):
            cells = new_cells(kept[d] + 1)
        placed = partition(rows, node, values, kept[d], d, stack.index[level + 1], cells)
        out = _with_room(out, count + kept[d])
        count = _write_column(rows, node, values, kept[d], d, d, cells, current, out, count)
        if remaining > 1:
            stack.split[level], stack.child[level], stack.children[level] = d, 0, placed
    found[0], done[0] = count, 1.0
    return out.codes[:count].copy(), out.sums[:count].copy()


@_compiled
def _new_values(rows: Rows) -> Values:
    offset = np.zeros(len(rows.cards) + 1, np.int64)
    offset[1:] = np.cumsum(rows.cards + 1)
    size = offset[-1]
    return Values(
        offset,
        np.zeros(size),
        np.full(size, -1, np.int64),
        np.zeros(size, np.int32),
        np.zeros(size, np.int32),
    )


@_compiled
def _new_stack(rows: Rows, limit: int, first_dim: int) -> Stack:
    count, width = rows.codes.shape
    levels = min(limit, width) + 2
    index = np.empty((levels, count), np.int32)
    index[0] = np.arange(count)
    none = np.zeros(levels, np.int64)
    begin, end, next_dim, child, children = none.copy(), none.copy(), none.copy(), none.copy(), none.copy()
    end[0], next_dim[0] = count, first_dim
    split = np.full(levels, -1, np.int64)
    return Stack(index, begin, end, next_dim, split, child, children, np.zeros((levels, width), np.int64))


@_compiled
def _descend(rows: Rows, stack: Stack, level: int, current: Any) -> None:
    """Make the next child, the run of rows with one value of `split`, the node one level below."""
    below, split, start = stack.index[level + 1], stack.split[level], stack.child[level]
    value = rows.codes[below[start], split]
    end = start + 1
    while end < stack.children[level] and rows.codes[below[end], split] == value:
        end += 1
    stack.child[level] = end
    current[split] = value
    stack.begin[level + 1], stack.end[level + 1] = start, end
    stack.next_dim[level + 1], stack.split[level + 1] = split + 1, -1
    stack.child[level + 1] = stack.children[level + 1] = 0


@_compiled
def _pair_cells(kept: Any, first: int, width: int, remaining: int) -> int:
    """The cells of the largest array that finishing a node takes."""
    largest = second = 1
    for d in range(first, width):
        size = kept[d] + 1
        if size > largest:
            largest, second = size, largest
        elif size > second:
            second = size
    return largest * second if remaining == 2 else largest


@_compiled
def _dense_cells(rows: Rows, node: Node, kept: Any, first: int, width: int) -> Any:
    """The dimensions with kept values, and the cells of an array over all; 0 if that is too large."""
    bound = min(DENSE_CELLS, DENSE_CELLS_PER_ROW * (node.hi - node.lo))
    chosen = np.flatnonzero(kept[first:width]) + first
    total = 1
    for d in chosen:
        total *= kept[d] + 1
        if total > bound:
            return chosen, 0
    # rows without signs would be counted more than once
    return chosen, total if node.index[node.hi - 1] < rows.simple else 0


@_compiled
def _with_room(out: Found, need: int) -> Found:
    have = len(out.codes)
    if need <= have:
        return out
    more = max(need, 2 * have)
    codes = np.empty((more, out.codes.shape[1]), out.codes.dtype)
    sums = np.empty((more, 5))
    codes[:have], sums[:have] = out.codes, out.sums
    return Found(codes, sums)


@_compiled
def _copy(current: Any, codes: Any, at: int) -> None:
    # a slice assignment would take several times as long
    for d in range(len(current)):
        codes[at, d] = current[d]


@_compiled
def _write_column(
    rows: Rows,
    node: Node,
    values: Values,
    size: int,
    d: int,
    first: int,
    cells: Cells,
    current: Any,
    out: Found,
    count: int,
) -> int:
    """A slice for each kept value of a dimension."""
    codes, out_sums, original, sums = out.codes, out.sums, values.original, cells.sums
    base = values.offset[d]
    for v in range(size):
        _copy(current, codes, count)
        codes[count, d] = original[base + v]
        if not sums_of(rows, sums, v, out_sums, count):
            resum(rows, node, first, codes[count], out_sums[count])
        count += 1
    return count


@_compiled
def _write_pair(
    rows: Rows,
    node: Node,
    values: Values,
    kept: Any,
    c: int,
    e: int,
    first: int,
    n_min: float,
    cells: Cells,
    current: Any,
    out: Found,
    count: int,
) -> int:
    """A slice for each pair of values that has enough trades."""
    codes, out_sums, original, sums = out.codes, out.sums, values.original, cells.sums
    base_c, base_e = values.offset[c], values.offset[e]
    for v in range(kept[c]):
        for u in range(kept[e]):
            cell = v * (kept[e] + 1) + u
            if sums[cell, W] >= n_min:
                _copy(current, codes, count)
                codes[count, c] = original[base_c + v]
                codes[count, e] = original[base_e + u]
                if not sums_of(rows, sums, cell, out_sums, count):
                    resum(rows, node, first, codes[count], out_sums[count])
                count += 1
    return count


@_compiled
def _write_dense(
    rows: Rows,
    node: Node,
    values: Values,
    kept: Any,
    chosen: Any,
    total: int,
    first: int,
    n_min: float,
    cells: Cells,
    current: Any,
    out: Found,
    count: int,
) -> int:
    """A slice for each cell with enough trades but the last, which has no dimension set: the node."""
    codes, out_sums, original, sums = out.codes, out.sums, values.original, cells.sums
    offset = values.offset
    digits = np.zeros(len(chosen), np.int64)
    for cell in range(total - 1):
        if sums[cell, W] >= n_min:
            _copy(current, codes, count)
            for i, d in enumerate(chosen):
                if digits[i] < kept[d]:
                    codes[count, d] = original[offset[d] + digits[i]]
            if not sums_of(rows, sums, cell, out_sums, count):
                resum(rows, node, first, codes[count], out_sums[count])
            count += 1
        for i, d in enumerate(chosen):
            digits[i] += 1
            if digits[i] <= kept[d]:
                break
            digits[i] = 0
    return count
