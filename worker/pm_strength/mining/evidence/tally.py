"""What is summed over the distinct trades of slices: numbers of each trade, and trades that share a block.

The trades of a slice within a block are no sum over rows. With rows in order of time they are runs, and the
sum of the squares of their lengths grows by 2 * (length before) + 1 with each trade. Compiled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..cube.compiled import compiled

# A record is a multiple of so many numbers, which are added at once.
RECORD = 8
# Lengths of blocks of time that are looked at, at most; the lane after them has one block for all trades, and
# so counts them.
KINDS = 3


class Tally(NamedTuple):
    """Room for sums in cells.

    `sums` has RECORD numbers a row, as many rows a cell as a record has. `runs` has 4 times 4 numbers a cell,
    the last four of no use: the newest block of each length, the trades in it so far, and the sum of that
    over all trades. `seen` is the trade that was added last.
    """

    sums: Any
    runs: Any
    seen: Any


@compiled
def new_tally(cells: int, wide: int) -> Tally:
    """Room for so many cells, each with `wide` times RECORD sums."""
    return Tally(np.zeros((cells * wide, RECORD)), np.zeros((cells, 16)), np.zeros(cells, np.int32))


@compiled
def clear(tally: Tally, begin: int, end: int, wide: int) -> None:
    """Set some cells to nothing."""
    tally.sums[begin * wide : end * wide] = 0.0
    tally.runs[begin:end, :4] = -1.0
    tally.runs[begin:end, 4:] = 0.0
    tally.seen[begin:end] = -1


@compiled
def trades_of(tally: Tally, cell: int) -> float:
    """How many trades a cell has."""
    return float(tally.runs[cell, 4 + KINDS])


@compiled
def squares_of(tally: Tally, cell: int, kind: int) -> float:
    """The sum over the blocks of a length of the squared number of a cell's trades in it."""
    return float(2.0 * tally.runs[cell, 8 + kind] + tally.runs[cell, 4 + KINDS])


@intrinsic
def lengthen(context: Any, runs: Any, cell: Any, blocks: Any, row: Any) -> Any:
    """Lengthen the runs of a cell by a row, for all four lanes of its blocks at once.

    Where the block is the cell's newest, the run goes on, otherwise it begins anew; then the trades so far
    in it are added up. Written in LLVM's terms, as `add` is.
    """
    signature = types.void(runs, types.intp, blocks, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(ir.DoubleType(), 4)

        def address(which: int, width: int, offset: int) -> Any:
            array, at = arguments[which], arguments[which + 1]
            data = context.make_array(signature.args[which])(context, builder, array).data
            first = builder.mul(at, ir.Constant(at.type, width))
            place = builder.gep(data, [builder.add(first, ir.Constant(at.type, offset))])
            return builder.bitcast(place, vector.as_pointer())

        newest, length, total = address(0, 16, 0), address(0, 16, 4), address(0, 16, 8)
        block = builder.load(address(2, 4, 0), align=8)
        same = builder.fcmp_ordered("==", builder.load(newest, align=8), block)
        before = builder.select(same, builder.load(length, align=8), ir.Constant(vector, [0.0] * 4))
        builder.store(block, newest, align=8)
        builder.store(builder.fadd(builder.load(total, align=8), before), total, align=8)
        builder.store(builder.fadd(before, ir.Constant(vector, [1.0] * 4)), length, align=8)
        return context.get_dummy_value()

    return signature, generate
