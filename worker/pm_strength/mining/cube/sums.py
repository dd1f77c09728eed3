"""What the walk does to rows: numbers their values, sums them in cells, partitions them. Compiled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiled import compiled
from .rows import Rows


class Node(NamedTuple):
    """Some of the rows: `index[lo:hi]`, those without signs last."""

    index: Any
    lo: Any
    hi: Any


class Values(NamedTuple):
    """Room for a number a value, those of dimension d from `offset[d]` on.

    `compact` numbers the values that a node keeps (the others, and a missing one, all get the next
    number), `original` leads back. `weight` and `stamp` are for counting, `place` is for a value's
    place in an array.
    """

    offset: Any
    weight: Any
    stamp: Any
    compact: Any
    original: Any
    place: Any


class Branch(NamedTuple):
    """A node and what is still to be walked below it: its dimensions from `first` on.

    Of dimension d, `kept[d]` values have enough trades, and `values` numbers them.
    """

    node: Node
    values: Values
    kept: Any
    first: Any


class Desk(NamedTuple):
    """A node's rows side by side: their records and trades, and a column of codes for each dimension.

    The last column stands for no dimension: all its codes are 0.
    """

    records: Any
    trade: Any
    columns: Any


class Search(NamedTuple):
    """What a walk goes by: its rows, the codes of the node that it is at, and a desk for a node's rows.

    A slice has at least `n_min` trades; once `stop[0]` is set the walk ends.
    """

    rows: Rows
    current: Any
    desk: Desk
    n_min: float
    stop: Any


class Cells(NamedTuple):
    """Sums of records, and the trade without signs that was last added to each."""

    sums: Any
    stamp: Any


@compiled
def new_cells(size: int) -> Cells:
    """Room for so many cells."""
    return Cells(np.zeros((size, 8)), np.full(size, -1, np.int64))


@compiled
def with_cells(cells: Cells, need: int) -> Cells:
    """Room for at least `need` cells; new cells where there were fewer."""
    return new_cells(need) if need > len(cells.sums) else cells


@compiled
def new_desk(rows: Rows) -> Desk:
    """Room for all rows."""
    count, width = rows.codes.shape
    columns = np.empty((width + 1, count), np.uint32)
    columns[width] = 0
    return Desk(np.empty((count, 8)), np.empty(count, np.int64), columns)


@intrinsic
def add(context: Any, cells: Any, cell: Any, records: Any, row: Any) -> Any:
    """cells[cell] += records[row], all eight numbers at once.

    Written in LLVM's terms because Numba does not turn eight scalar additions into vector ones,
    which take half of the time.
    """
    signature = types.void(cells, types.intp, records, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.DoubleType(), 8)

        def address(kind: Any, array: Any, at: Any) -> Any:
            data = context.make_array(kind)(context, builder, array).data
            first = builder.gep(data, [builder.mul(at, ir.Constant(at.type, 8))])
            return builder.bitcast(first, vector.as_pointer())

        target = address(signature.args[0], arguments[0], arguments[1])
        source = address(signature.args[2], arguments[2], arguments[3])
        added = builder.fadd(builder.load(target, align=8), builder.load(source, align=8))
        builder.store(added, target, align=8)
        return context.get_dummy_value()

    return signature, generate


@compiled
def end_of_signed(rows: Rows, node: Node) -> int:
    """Where a node's rows without signs begin."""
    end = node.hi
    while end > node.lo and node.index[end - 1] >= rows.simple:
        end -= 1
    return end


@compiled
def number_values(rows: Rows, branch: Branch, n_min: float) -> None:
    """Number the values with `n_min` trades in a node, for each dimension below it; `kept`: how many."""
    node, values, kept, first, last = branch.node, branch.values, branch.kept, branch.first, len(branch.kept)
    codes, weights, trades, index, offset = rows.codes, rows.weight, rows.trade, node.index, values.offset
    weight, stamp, compact, original = values.weight, values.stamp, values.compact, values.original
    signed = end_of_signed(rows, node)
    for d in range(first, last):
        base, card = offset[d], rows.cards[d]
        # a dimension of many values: touch those of the rows alone
        if card <= 4 * (node.hi - node.lo):
            weight[base : base + card + 1] = 0.0
            stamp[base : base + card + 1] = -1
        else:
            for row in index[node.lo : node.hi]:
                at = base + codes[row, d]
                weight[at], stamp[at] = 0.0, -1
    for row in index[node.lo : signed]:
        for d in range(first, last):
            weight[offset[d] + codes[row, d]] += weights[row]
    for row in index[signed : node.hi]:
        for d in range(first, last):
            at = offset[d] + codes[row, d]
            if stamp[at] != trades[row]:
                stamp[at] = trades[row]
                weight[at] += 1.0
    for d in range(first, last):
        base, card = offset[d], rows.cards[d]
        weight[base + card] = 0.0
        size = 0
        if card <= 4 * (node.hi - node.lo):
            for v in range(card):
                if weight[base + v] >= n_min:
                    original[base + size] = v
                    size += 1
            compact[base : base + card + 1] = size
        else:
            enough = np.empty(node.hi - node.lo, np.uint32)
            for row in index[node.lo : node.hi]:
                at = base + codes[row, d]
                if weight[at] >= n_min:
                    enough[size] = at - base
                    size += 1
                    weight[at] = 0.0
            original[base : base + size] = np.sort(enough[:size])
            for row in index[node.lo : node.hi]:
                compact[base + codes[row, d]] = size
        for v in range(size):
            compact[base + original[base + v]] = v
        kept[d] = size


@compiled
def partition(rows: Rows, branch: Branch, below: Any, cells: Cells) -> int:
    """Sum a node's rows by the first dimension below it, and put those of its kept values into `below`.

    They are stably in order of the values. Returns how many there are.
    """
    node, d = branch.node, branch.first
    codes, records, trades, base = rows.codes, rows.records, rows.trade, branch.values.offset[d]
    sums, stamp, compact, size = cells.sums, cells.stamp, branch.values.compact, branch.kept[d]
    signed = end_of_signed(rows, node)
    position = np.zeros(size + 2, np.uint32)
    sums[: size + 1] = 0.0
    for row in node.index[node.lo : signed]:
        cell = compact[base + codes[row, d]]
        position[cell + 1] += 1
        add(sums, cell, records, row)
    if signed < node.hi:
        stamp[: size + 1] = -1
    for row in node.index[signed : node.hi]:
        cell = compact[base + codes[row, d]]
        position[cell + 1] += 1
        if stamp[cell] != trades[row]:
            stamp[cell] = trades[row]
            add(sums, cell, records, row)
    for cell in range(size):
        position[cell + 1] += position[cell]
    placed = position[size]
    for row in node.index[node.lo : node.hi]:
        cell = compact[base + codes[row, d]]
        if cell < size:
            below[position[cell]] = row
            position[cell] += 1
    return int(placed)
