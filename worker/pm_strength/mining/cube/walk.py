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

from .compiled import compiled
from .dense import dense_cells, finish_dense
from .found import Found, write_values
from .pairs import PAIR_CELLS, PAIR_CELLS_PER_ROW, finish_pairs, gather, pair_cells
from .rows import Rows
from .sums import Branch, Node, Search, Values, new_cells, new_desk, number_values, partition, with_cells


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


@compiled
def mine_group(
    rows: Rows,
    root: Any,
    current: Any,
    limit: int,
    n_min: float,
    first_dim: int,
    last_dim: int,
    stop: Any,
    found: Any,
    done: Any,
) -> Any:
    """All slices of a group whose first dimension is in [first_dim, last_dim), of at most `limit`.

    `root` and `current` are the sums and codes of the empty subset, which comes first where
    `first_dim` is 0. The walk ends early once `stop[0]` is set; it keeps the number of slices in
    `found[0]` and the share of its first dimensions that are finished in `done[0]`. Returns the codes
    and the sums of the slices.
    """
    width = rows.codes.shape[1]
    room, as_they_are = _new_values(rows, min(limit, width) + 2), _identity(rows)
    stack = _new_stack(rows, limit, first_dim)
    search = Search(rows, current, new_desk(rows), n_min, stop)
    cells = new_cells(PAIR_CELLS)
    out = Found(np.empty((1024, width), current.dtype), np.empty((1024, 5)))
    count = 0
    if first_dim == 0:
        out.codes[0], out.sums[0] = current, root
        count = 1

    level = 0
    _number(rows, stack, room, 0, n_min)
    while level >= 0 and stop[0] == 0:
        found[0] = count
        if stack.child[level] < stack.children[level]:
            if level == 0:
                finished = stack.child[0] / stack.children[0] + stack.split[0] - first_dim
                done[0] = finished / max(last_dim - first_dim, 1)
            _descend(rows, stack, level, current)
            level += 1
            if limit - level > 2:
                _number(rows, stack, room, level, n_min)
            continue
        _leave_split(stack, level, current)
        d, last, remaining = stack.next_dim[level], last_dim if level == 0 else width, limit - level
        if d >= last or remaining == 0:
            level -= 1
            continue

        branch = _branch(stack, room, level)
        if remaining <= 2:
            need, as_is = _room_for_pairs(rows, branch, remaining, n_min)
            if need > 0:
                cells = with_cells(cells, need)
                if as_is:
                    branch = Branch(branch.node, as_they_are, branch.kept, d)
                signed = gather(search, branch, as_is)
                out, count = finish_pairs(search, branch, signed, last, remaining == 2, cells, out, count)
                stack.next_dim[level] = last
                continue
        elif last == width:
            chosen, total = dense_cells(rows, branch)
            if total > 0 and len(chosen) <= remaining:
                cells = with_cells(cells, total)
                out, count = finish_dense(search, branch, chosen, total, cells, out, count)
                stack.next_dim[level] = width
                continue

        stack.next_dim[level] = d + 1
        if branch.kept[d] > 0:
            cells = with_cells(cells, branch.kept[d] + 1)
            placed = partition(rows, branch, stack.index[level + 1], cells)
            out, count = write_values(search, branch, cells, out, count)
            if remaining > 1:
                stack.split[level], stack.child[level], stack.children[level] = d, 0, placed
    found[0], done[0] = count, 1.0
    return out.codes[:count], out.sums[:count]


@compiled
def _new_values(rows: Rows, levels: int) -> Values:
    offset = np.zeros(len(rows.cards) + 1, np.uint32)
    offset[1:] = np.cumsum(rows.cards + 1)
    size = int(offset[-1])
    return Values(
        offset,
        np.zeros(size),
        np.full(size, -1, np.int64),
        np.empty((levels, size), np.uint32),
        np.empty((levels, size), np.uint32),
        np.empty(size, np.uint32),
    )


@compiled
def _level_values(values: Values, level: int) -> Values:
    return Values(
        *(values.offset, values.weight, values.stamp),
        *(values.compact[level], values.original[level], values.place),
    )


@compiled
def _identity(rows: Rows) -> Values:
    """The values of all dimensions, each numbered by its code."""
    values = _level_values(_new_values(rows, 1), 0)
    for d in range(len(rows.cards)):
        values.original[values.offset[d] : values.offset[d + 1]] = np.arange(rows.cards[d] + 1)
    return values


@compiled
def _new_stack(rows: Rows, limit: int, first_dim: int) -> Stack:
    count, width = rows.codes.shape
    levels = min(limit, width) + 2
    index = np.empty((levels, count), np.uint32)
    index[0] = np.arange(count)
    none = np.zeros(levels, np.int64)
    begin, end, next_dim, child, children = none.copy(), none.copy(), none.copy(), none.copy(), none.copy()
    end[0], next_dim[0] = count, first_dim
    split = np.full(levels, -1, np.int64)
    return Stack(index, begin, end, next_dim, split, child, children, np.zeros((levels, width), np.int64))


@compiled
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


@compiled
def _leave_split(stack: Stack, level: int, current: Any) -> None:
    """End the walk over the values of `split`."""
    if stack.split[level] >= 0:
        current[stack.split[level]] = -1
        stack.split[level] = -1


@compiled
def _branch(stack: Stack, room: Values, level: int) -> Branch:
    node = Node(stack.index[level], stack.begin[level], stack.end[level])
    return Branch(node, _level_values(room, level), stack.kept[level], stack.next_dim[level])


@compiled
def _number(rows: Rows, stack: Stack, room: Values, level: int, n_min: float) -> None:
    """Number the values of a level's node, and count those that are kept."""
    number_values(rows, _branch(stack, room, level), n_min)


@compiled
def _room_for_pairs(rows: Rows, branch: Branch, remaining: int, n_min: float) -> tuple[int, bool]:
    """The cells that finishing by pairs takes, 0 where that is too many; whether codes stay as they are."""
    first, width, size = branch.first, len(branch.kept), branch.node.hi - branch.node.lo
    # where the arrays are small anyway, codes can stay as they are
    need, as_is = pair_cells(rows.cards, first, width, remaining), True
    if need > size:
        number_values(rows, branch, n_min)
        need, as_is = pair_cells(branch.kept, first, width, remaining), False
    else:
        branch.kept[first:width] = rows.cards[first:width]
    return need if need <= PAIR_CELLS_PER_ROW * size + PAIR_CELLS else 0, as_is
