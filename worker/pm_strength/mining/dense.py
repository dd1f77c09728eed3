"""Finishing a node with one array over all its remaining dimensions. Compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiled import compiled
from .found import Found, copy_codes, resum, sums_of
from .rows import Rows, W
from .sums import Cells, Node, Values, add

# Remaining dimensions are finished in one array while it has at most so many cells, and cells a row.
DENSE_CELLS = 32_768
DENSE_CELLS_PER_ROW = 6.0


@compiled
def dense_cells(rows: Rows, node: Node, kept: Any, first: int, width: int) -> Any:
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


@compiled
def fill(rows: Rows, node: Node, values: Values, kept: Any, chosen: Any, total: int, cells: Cells) -> None:
    """Sum a node's rows by all chosen dimensions, then along each: its last cell takes them all."""
    sums, codes, records, index = cells.sums, rows.codes, rows.records, node.index
    offset, compact = values.offset, values.compact
    sums[:total] = 0.0
    strides = np.ones(len(chosen), np.int64)
    for j in range(1, len(chosen)):
        strides[j] = strides[j - 1] * (kept[chosen[j - 1]] + 1)
    for i in range(node.lo, node.hi):
        row = index[i]
        cell = 0
        for j, d in enumerate(chosen):
            cell += compact[offset[d] + codes[row, d]] * strides[j]
        add(sums, cell, records, row)
    for j, d in enumerate(chosen):
        step, size = strides[j], kept[d]
        for outer in range(0, total, step * (size + 1)):
            for source in range(outer, outer + size * step, step):
                for inner in range(step):
                    add(sums, outer + size * step + inner, sums, source + inner)


@compiled
def write_dense(
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
            copy_codes(current, codes, count)
            for i, d in enumerate(chosen):
                if digits[i] < kept[d]:
                    codes[count, d] = original[offset[d] + digits[i]]
            if not sums_of(rows.centre, sums, cell, out_sums, count):
                resum(rows, node, first, codes[count], out_sums[count])
            count += 1
        for i, d in enumerate(chosen):
            digits[i] += 1
            if digits[i] <= kept[d]:
                break
            digits[i] = 0
    return count
