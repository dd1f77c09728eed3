"""Finishing a node with one array over all its remaining dimensions. Compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiled import compiled
from .found import Found, copy_codes, resum, sums_of, with_room
from .rows import Rows, W
from .sums import Branch, Cells, Node, Search, Values, add

# Remaining dimensions are finished in one array while it has at most so many cells, and cells a row.
DENSE_CELLS = 32_768
DENSE_CELLS_PER_ROW = 8.0


@compiled
def dense_cells(rows: Rows, branch: Branch) -> Any:
    """The dimensions with kept values, and the cells of an array over all; 0 if that is too large."""
    node, kept = branch.node, branch.kept
    bound = min(DENSE_CELLS, DENSE_CELLS_PER_ROW * (node.hi - node.lo))
    chosen = np.flatnonzero(kept[branch.first :]) + branch.first
    total = 1
    for d in chosen:
        total *= kept[d] + 1
        if total > bound:
            return chosen, 0
    # rows without signs would be counted more than once
    return chosen, total if node.index[node.hi - 1] < rows.simple else 0


@compiled
def fill(rows: Rows, node: Node, values: Values, chosen: Any, sizes: Any, sums: Any) -> None:
    """Sum a node's rows by all chosen dimensions; the last place of each takes the other values."""
    codes, index, offset, place = rows.codes, node.index[node.lo : node.hi], values.offset, values.place
    step = 1
    for j in range(len(chosen) - 1, -1, -1):
        d = chosen[j]
        base = offset[d]
        # a dimension of many values: touch those of the rows alone
        if rows.cards[d] <= 4 * len(index):
            for at in range(base, offset[d + 1]):
                place[at] = values.compact[at] * step
        else:
            for row in index:
                place[base + codes[row, d]] = values.compact[base + codes[row, d]] * step
        step *= sizes[j]
    for row in index:
        cell = 0
        for d in chosen:
            cell += place[offset[d] + codes[row, d]]
        add(sums, cell, rows.records, row)


@compiled
def add_up(sums: Any, begin: int, size: int, step: int) -> None:
    """Add the first places of a dimension, each `step` cells, to its last one."""
    last = begin + (size - 1) * step
    for source in range(begin, last, step):
        for inner in range(step):
            add(sums, last + inner, sums, source + inner)


@compiled
def weigh(sums: Any, sizes: Any, block: int, weights: Any) -> None:
    """The trades of each block of cells, where the last place of each dimension takes all values."""
    for number in range(len(weights)):
        weights[number] = 0.0
        for cell in range(number * block, (number + 1) * block):
            weights[number] += sums[cell, W]
    span = len(weights)
    for size in sizes:
        step = span // size
        for begin in range(0, len(weights), span):
            last = begin + span - step
            for source in range(begin, last, step):
                for inner in range(step):
                    weights[last + inner] += weights[source + inner]
        span = step


@compiled
def finish_dense(
    search: Search, branch: Branch, chosen: Any, total: int, cells: Cells, out: Found, count: int
) -> tuple[Found, int]:
    """A slice for each cell with enough trades but the last, which has no dimension set: the node.

    The array is walked in blocks of its last two dimensions; what has too few trades is left out.
    """
    if total == 1:  # no value is kept
        return out, count
    rows, current, n_min = search.rows, search.current, search.n_min
    node, values, kept, first = branch.node, branch.values, branch.kept, branch.first
    out = with_room(out, count + total)
    codes, out_sums, original, sums = out.codes, out.sums, values.original, cells.sums
    offset, centre = values.offset, rows.centre
    sizes = kept[chosen] + 1
    outer = max(len(chosen) - 2, 0)
    sums[:total] = 0.0
    fill(rows, node, values, chosen, sizes, sums)

    block = 1
    for size in sizes[outer:]:
        block *= size
    weights = np.empty(total // block)
    weigh(sums, sizes[:outer], block, weights)
    span = total
    # the outermost dimension first, so that a part with too few trades is never summed within
    for size in sizes[:outer]:
        for begin in range(0, total, span):
            if weights[(begin + span) // block - 1] >= n_min:
                add_up(sums, begin, size, span // size)
        span //= size

    # the two dimensions of a block; where there is one, the first has no place but the last
    x, y = chosen[max(len(chosen) - 2, 0)], chosen[-1]
    row_size = sizes[-1]
    height = block // row_size
    digits = np.zeros(outer, np.int64)
    for j in range(outer):
        current[chosen[j]] = original[offset[chosen[j]]]
    for number in range(len(weights)):
        if weights[number] >= n_min:
            begin = number * block
            add_up(sums, begin, height, row_size)
            for high in range(height):
                line = begin + high * row_size
                add_up(sums, line, row_size, 1)
                for low in range(row_size):
                    if sums[line + low, W] >= n_min and line + low < total - 1:
                        copy_codes(current, codes, count)
                        if high < height - 1:
                            codes[count, x] = original[offset[x] + high]
                        if low < row_size - 1:
                            codes[count, y] = original[offset[y] + low]
                        if not sums_of(centre, sums, line + low, out_sums, count):
                            resum(rows, node, first, codes[count], out_sums[count])
                        count += 1
        for j in range(outer - 1, -1, -1):
            d = chosen[j]
            digits[j] += 1
            if digits[j] <= kept[d]:
                current[d] = original[offset[d] + digits[j]] if digits[j] < kept[d] else -1
                break
            digits[j] = 0
            current[d] = original[offset[d]]
    for d in chosen:
        current[d] = -1
    return out, count
