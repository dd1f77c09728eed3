"""All slices of a group with enough distinct trades, and their sums: an iceberg cube.

Walks the combinations of dimensions depth first. At each one all of its slices are computed at
once; rows of slices below `n_min` are dropped before more dimensions are added, because a slice
never has more trades than the ones it is part of (the pruning of BUC: Beyer and Ramakrishnan,
"Bottom-Up Computation of Sparse and Iceberg CUBEs", SIGMOD 1999).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .encode import MISSING, CodedGroup, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Slices:
    """The slices of one combination of dimensions, one entry each in every array.

    `row` is a row of the group that lies in the slice, so `group.codes[row, dimensions]` are its
    values. The sums are over distinct trades: `n`, the mean of y, and the sums of squares and
    products of y and t (hours) about their means in the slice, which is where nothing cancels.
    """

    dimensions: tuple[int, ...]
    row: IntArray
    n: IntArray
    mean_y: FloatArray
    yy: FloatArray
    tt: FloatArray
    ty: FloatArray


def iceberg_cube(group: CodedGroup, n_min: int, max_dims: int | None) -> Iterator[Slices]:
    """Every combination of at most `max_dims` dimensions that has slices of `n_min` trades or more.

    Combinations come in lexical order of their dimensions, the empty one first.
    """
    limit = len(group.dimensions) if max_dims is None else min(max_dims, len(group.dimensions))
    several_rows = bool(np.any(group.trade[1:] == group.trade[:-1]))
    cardinality = [len(values) for values in group.values]

    def walk(dimensions: tuple[int, ...], rows: IntArray, slice_of: IntArray) -> Iterator[Slices]:
        alive, numbered, slices = _keep(group, dimensions, rows, slice_of, n_min, several_rows)
        if slices is None:
            return
        yield slices
        if len(dimensions) == limit:
            return
        for dimension in range(dimensions[-1] + 1 if dimensions else 0, len(cardinality)):
            code = group.codes[alive, dimension]
            there = code != MISSING
            if np.count_nonzero(there) >= n_min:
                yield from walk(
                    (*dimensions, dimension),
                    alive[there],
                    numbered[there] * cardinality[dimension] + code[there],
                )

    everything = np.arange(len(group.y), dtype=np.int64)
    yield from walk((), everything, np.zeros_like(everything))


def _keep(
    group: CodedGroup,
    dimensions: tuple[int, ...],
    rows: IntArray,
    slice_of: IntArray,
    n_min: int,
    several_rows: bool,
) -> tuple[IntArray, IntArray, Slices | None]:
    """The rows in slices with enough trades, their slices numbered from 0, and these slices."""
    # Rows are in order of trade, and a stable sort keeps them so within each slice.
    order = np.argsort(slice_of, kind="stable")
    rows, slice_of = rows[order], slice_of[order]
    starts = np.ones(len(rows), dtype=bool)
    starts[1:] = slice_of[1:] != slice_of[:-1]
    number = np.cumsum(starts) - 1
    count = int(number[-1]) + 1 if len(rows) else 0

    counted, counted_number = rows, number
    if several_rows:
        trade = group.trade[rows]
        first = starts.copy()
        first[1:] |= trade[1:] != trade[:-1]
        counted, counted_number = rows[first], number[first]

    n = np.bincount(counted_number, minlength=count)
    enough = n >= n_min
    if not enough.any():
        return rows[:0], rows[:0], None
    if not enough.all():
        renumber = np.cumsum(enough) - 1
        kept = enough[number]
        rows, number = rows[kept], renumber[number[kept]]
        kept = enough[counted_number]
        counted, counted_number = counted[kept], renumber[counted_number[kept]]
        n = n[enough]
    return rows, number, _sums(group, dimensions, counted, counted_number, n)


def _sums(
    group: CodedGroup, dimensions: tuple[int, ...], rows: IntArray, number: IntArray, n: IntArray
) -> Slices:
    first = np.concatenate(([0], np.cumsum(n)[:-1]))
    mean_y, dy = _centre(group.y[rows], first, number, n)
    _, dt = _centre(group.t[rows], first, number, n)
    size = len(n)
    return Slices(
        dimensions=dimensions,
        row=rows[first],
        n=n,
        mean_y=mean_y,
        yy=_sum(number, dy * dy, size),
        tt=_sum(number, dt * dt, size),
        ty=_sum(number, dt * dy, size),
    )


def _sum(number: IntArray, values: FloatArray, size: int) -> FloatArray:
    return np.bincount(number, values, size).astype(np.float64, copy=False)


def _centre(x: FloatArray, first: IntArray, number: IntArray, n: IntArray) -> tuple[FloatArray, FloatArray]:
    """The mean of x in each slice, and x about it.

    Shifted by a value of the slice first: equal values then differ from their mean by exactly 0,
    and large ones with a small spread keep their digits.
    """
    shift = x[first]
    shifted = x - shift[number]
    mean = _sum(number, shifted, len(n)) / n
    return shift + mean, shifted - mean[number]
