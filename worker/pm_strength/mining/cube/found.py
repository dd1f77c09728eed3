"""The slices that were found: room for them, and their sums about their own means. Compiled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .compiled import compiled
from .rows import WT, WTT, WTY, WY, WYY, Rows, T, W, Y
from .sums import Branch, Cells, Node, Search

# The sums of a slice: trades, mean of y, and the sums of squares and products about the means.
N, MEAN_Y, SUM_YY, SUM_TT, SUM_TY = range(5)

# Sums about the group's centre lose digits in a slice far from it; below these shares of the raw
# sum of squares, the slice is summed again about its own centre.
LOST_Y = 1e-4
LOST_T = 1e-6
# Fewer trades have no decay, so their times do not matter.
DECAY_TRADES = 5


class Found(NamedTuple):
    """Slices: their codes (-1: not in the subset) and sums, with room for more than there are."""

    codes: Any
    sums: Any


@compiled
def with_room(out: Found, need: int) -> Found:
    """The same slices with room for at least `need`."""
    have = len(out.codes)
    if need <= have:
        return out
    more = max(need, 2 * have)
    codes = np.empty((more, out.codes.shape[1]), out.codes.dtype)
    sums = np.empty((more, 5))
    codes[:have], sums[:have] = out.codes, out.sums
    return Found(codes, sums)


@compiled
def copy_codes(current: Any, codes: Any, at: int) -> None:
    """Begin slice `at` with the codes of its node."""
    # a slice assignment would take several times as long
    for d in range(len(current)):
        codes[at, d] = current[d]


@compiled
def sums_of(centre: float, sums: Any, cell: int, out: Any, at: int) -> bool:
    """Write a slice's sums about its own means; False if too many digits were lost on the way."""
    n, wy, wyy, wt = sums[cell, W], sums[cell, WY], sums[cell, WYY], sums[cell, WT]
    wtt, wty = sums[cell, WTT], sums[cell, WTY]
    mean_y = wy / n
    yy, tt = wyy - wy * mean_y, wtt - wt * (wt / n)
    out[at, N], out[at, MEAN_Y] = n, centre + mean_y
    out[at, SUM_YY], out[at, SUM_TT], out[at, SUM_TY] = yy, tt, wty - wt * mean_y
    return yy >= LOST_Y * wyy and (n < DECAY_TRADES or tt >= LOST_T * wtt)


@compiled
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


@compiled
def write_values(search: Search, branch: Branch, cells: Cells, out: Found, count: int) -> tuple[Found, int]:
    """A slice for each kept value of the first dimension below a node, from its cells."""
    rows, values, d = search.rows, branch.values, branch.first
    size = branch.kept[d]
    out = with_room(out, count + size)
    for v in range(size):
        copy_codes(search.current, out.codes, count)
        out.codes[count, d] = values.original[values.offset[d] + v]
        if not sums_of(rows.centre, cells.sums, v, out.sums, count):
            resum(rows, branch.node, d, out.codes[count], out.sums[count])
        count += 1
    return out, count
