"""What the walk does to rows: numbers their values, sums them in cells, partitions them. Compiled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# A record: weight, then weight times y, y^2, t, t^2 and t*y; then y and t themselves.
W, WY, WYY, WT, WTT, WTY, Y, T = range(8)
# The sums of a slice: trades, mean of y, and the sums of squares and products about the means.
N, MEAN_Y, SUM_YY, SUM_TT, SUM_TY = range(5)

# Sums about the group's centre lose digits in a slice far from it; below these shares of the raw
# sum of squares, the slice is summed again about its own centre.
LOST_Y = 1e-4
LOST_T = 1e-6
# Fewer trades have no decay, so their times do not matter.
DECAY_TRADES = 5

_compiled = njit(cache=True, nogil=True)


class Rows(NamedTuple):
    """A group: codes (rows x dimensions, `cards[d]` where dimension d is missing) and records.

    A record's products are of y about `centre` and of t about some hour, its last two numbers are y
    and t themselves. Rows from `simple` on carry no signs: they are counted once a slice for each
    number in `trade`, by which they are sorted.
    """

    codes: Any
    records: Any
    trade: Any
    simple: Any
    cards: Any
    centre: Any


class Node(NamedTuple):
    """Some of the rows: `index[lo:hi]`, those without signs last."""

    index: Any
    lo: Any
    hi: Any


class Values(NamedTuple):
    """Room for a number a value, those of dimension d from `offset[d]` on.

    `compact` numbers the values that a node keeps (the others, and a missing one, all get the next
    number), `original` leads back. `weight` and `stamp` are for counting.
    """

    offset: Any
    weight: Any
    stamp: Any
    compact: Any
    original: Any


class Cells(NamedTuple):
    """Sums of records, and the trade without signs that was last added to each."""

    sums: Any
    stamp: Any


@_compiled
def new_cells(size: int) -> Cells:
    """Room for so many cells."""
    return Cells(np.zeros((size, 8)), np.full(size, -1, np.int64))


@intrinsic
def _add(context: Any, cells: Any, cell: Any, records: Any, row: Any) -> Any:
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


@_compiled
def number_values(
    rows: Rows, node: Node, values: Values, first: int, last: int, n_min: float, kept: Any
) -> None:
    """Number the values with `n_min` trades in a node, for dimensions [first, last); `kept`: how many."""
    codes, records, trades, simple, index = rows.codes, rows.records, rows.trade, rows.simple, node.index
    weight, stamp, compact, original = values.weight, values.stamp, values.compact, values.original
    for d in range(first, last):
        base, card = values.offset[d], rows.cards[d]
        # a dimension of many values: touch those of the rows alone
        few = card <= 4 * (node.hi - node.lo)
        if few:
            weight[base : base + card + 1] = 0.0
            stamp[base : base + card + 1] = -1
        else:
            for i in range(node.lo, node.hi):
                at = base + codes[index[i], d]
                weight[at], stamp[at] = 0.0, -1
        for i in range(node.lo, node.hi):
            row = index[i]
            at = base + codes[row, d]
            if row < simple:
                weight[at] += records[row, W]
            elif stamp[at] != trades[row]:
                stamp[at] = trades[row]
                weight[at] += 1.0
        weight[base + card] = 0.0
        size = 0
        if few:
            for v in range(card):
                if weight[base + v] >= n_min:
                    original[base + size] = v
                    size += 1
            compact[base : base + card + 1] = size
        else:
            enough = np.empty(node.hi - node.lo, np.int32)
            for i in range(node.lo, node.hi):
                at = base + codes[index[i], d]
                if weight[at] >= n_min:
                    enough[size] = at - base
                    size += 1
                    weight[at] = 0.0
            original[base : base + size] = np.sort(enough[:size])
            for i in range(node.lo, node.hi):
                compact[base + codes[index[i], d]] = size
        for v in range(size):
            compact[base + original[base + v]] = v
        kept[d] = size


@_compiled
def gather(
    rows: Rows, node: Node, values: Values, kept: Any, first: int, width: int, gathered: Any, columns: Any
) -> int:
    """Copy a node's rows side by side, their codes numbered anew; returns how many carry signs."""
    codes, records, index, compact = rows.codes, rows.records, node.index, values.compact
    signed = node.hi - node.lo
    for i in range(node.lo, node.hi):
        row = index[i]
        if row >= rows.simple and i - node.lo < signed:
            signed = i - node.lo
        for k in range(8):
            gathered[i - node.lo, k] = records[row, k]
    for d in range(first, width):
        if kept[d] > 0:
            base = values.offset[d]
            for i in range(node.lo, node.hi):
                columns[d, i - node.lo] = compact[base + codes[index[i], d]]
    return signed


@_compiled
def _add_once(rows: Rows, node: Node, i: int, gathered: Any, cell: int, cells: Cells) -> None:
    """Add row i of a node to a cell, unless its trade is there already."""
    trade = rows.trade[node.index[node.lo + i]]
    if cells.stamp[cell] != trade:
        cells.stamp[cell] = trade
        _add(cells.sums, cell, gathered, i)


@_compiled
def add_column(
    rows: Rows, node: Node, column: Any, gathered: Any, signed: int, size: int, cells: Cells
) -> None:
    """Sum gathered rows by a dimension with `size` kept values."""
    # named once: taking an array out of a tuple counts references, which a hot loop must not do
    sums = cells.sums
    sums[: size + 1] = 0.0
    cells.stamp[: size + 1] = -1
    for i in range(signed):
        _add(sums, column[i], gathered, i)
    for i in range(signed, node.hi - node.lo):
        _add_once(rows, node, i, gathered, column[i], cells)


@_compiled
def add_pair(
    rows: Rows,
    node: Node,
    one: Any,
    other: Any,
    gathered: Any,
    signed: int,
    size: int,
    stride: int,
    cells: Cells,
) -> None:
    """Sum gathered rows by two dimensions with `size` and `stride` kept values."""
    stride += 1
    sums = cells.sums
    sums[: (size + 1) * stride] = 0.0
    for i in range(signed):
        _add(sums, one[i] * stride + other[i], gathered, i)
    if signed < node.hi - node.lo:
        cells.stamp[: (size + 1) * stride] = -1
        for i in range(signed, node.hi - node.lo):
            _add_once(rows, node, i, gathered, one[i] * stride + other[i], cells)


@_compiled
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
        _add(sums, cell, records, row)
    for j, d in enumerate(chosen):
        step, size = strides[j], kept[d]
        for outer in range(0, total, step * (size + 1)):
            for source in range(outer, outer + size * step, step):
                for inner in range(step):
                    _add(sums, outer + size * step + inner, sums, source + inner)


@_compiled
def partition(rows: Rows, node: Node, values: Values, size: int, d: int, below: Any, cells: Cells) -> int:
    """Sum a node's rows by a dimension, and put those of its kept values into `below`, stably in order."""
    codes, records, trades, simple, index = rows.codes, rows.records, rows.trade, rows.simple, node.index
    sums, stamp, compact, base = cells.sums, cells.stamp, values.compact, values.offset[d]
    position = np.zeros(size + 2, np.int64)
    sums[: size + 1] = 0.0
    stamp[: size + 1] = -1
    for i in range(node.lo, node.hi):
        row = index[i]
        cell = compact[base + codes[row, d]]
        position[cell + 1] += 1
        if row < simple:
            _add(sums, cell, records, row)
        elif stamp[cell] != trades[row]:
            stamp[cell] = trades[row]
            _add(sums, cell, records, row)
    position = np.cumsum(position)
    placed = position[size]
    for i in range(node.lo, node.hi):
        row = index[i]
        cell = compact[base + codes[row, d]]
        if cell < size:
            below[position[cell]] = row
            position[cell] += 1
    return placed


@_compiled
def sums_of(rows: Rows, sums: Any, cell: int, out: Any, at: int) -> bool:
    """Write a slice's sums about its own means; False if too many digits were lost on the way."""
    n, wy, wyy, wt = sums[cell, W], sums[cell, WY], sums[cell, WYY], sums[cell, WT]
    wtt, wty = sums[cell, WTT], sums[cell, WTY]
    mean_y = wy / n
    yy, tt = wyy - wy * mean_y, wtt - wt * (wt / n)
    out[at, N], out[at, MEAN_Y] = n, rows.centre + mean_y
    out[at, SUM_YY], out[at, SUM_TT], out[at, SUM_TY] = yy, tt, wty - wt * mean_y
    return yy >= LOST_Y * wyy and (n < DECAY_TRADES or tt >= LOST_T * wtt)


@_compiled
def resum(rows: Rows, node: Node, first: int, codes: Any, out: Any) -> None:
    """Sum a slice of a node about its own means, in two passes; equal values then vary by exactly 0.

    `codes` are the slice's; its dimensions before `first` are those of the node.
    """
    shift_y = shift_t = mean_y = mean_t = 0.0
    for second in range(2):
        seen, counted = False, np.int64(-1)
        sum_y = sum_t = yy = tt = ty = 0.0
        for i in range(node.lo, node.hi):
            row = node.index[i]
            inside = True
            for d in range(first, len(codes)):
                if codes[d] >= 0 and rows.codes[row, d] != codes[d]:
                    inside = False
                    break
            if not inside or (row >= rows.simple and rows.trade[row] == counted):
                continue
            if row >= rows.simple:
                counted = rows.trade[row]
            y, t, weight = rows.records[row, Y], rows.records[row, T], rows.records[row, W]
            if second == 0 and not seen:
                shift_y, shift_t, seen = y, t, True
            dy, dt = y - shift_y - mean_y, t - shift_t - mean_t
            sum_y += weight * dy
            sum_t += weight * dt
            yy += weight * dy * dy
            tt += weight * dt * dt
            ty += weight * dt * dy
        if second == 0:
            mean_y, mean_t = sum_y / out[N], sum_t / out[N]
    out[MEAN_Y] = shift_y + mean_y
    out[SUM_YY], out[SUM_TT], out[SUM_TY] = yy, tt, ty
