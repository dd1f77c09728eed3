"""What trades have in common because they close at the same time: correlations by block of days."""

from __future__ import annotations

import numpy as np

from ..arrays import FloatArray, IntArray
from .trades import BLOCK_DAYS, DistinctTrades, about_mean

# Of fewer blocks nothing can be told.
MIN_BLOCKS = 6


def shared_variance(trades: DistinctTrades) -> FloatArray:
    """The share of the variance that blocks of 1, 7 and 28 days add to that of the longer ones.

    From the outcomes less the mean of their group (a trade in several groups takes that of the first):
    rho_h = max(0, r_h - the largest r of the longer blocks), r as `intraclass` gives it.
    """
    rho = np.zeros(len(BLOCK_DAYS))
    if not len(trades):
        return rho
    group = np.empty(len(trades), np.int64)
    # the groups come in order, so what is written last is the first of them
    group[trades.member_trade[::-1]] = trades.member_group[::-1]
    count = np.bincount(group)
    y, _ = about_mean(trades.y)
    mean = np.bincount(group, weights=y) / np.maximum(count, 1)
    residual = y - mean[group]
    longest = 0.0
    for h in reversed(range(len(BLOCK_DAYS))):
        r = intraclass(residual, trades.blocks[h])
        rho[h] = max(0.0, r - longest)
        longest = max(longest, r)
    return rho


def intraclass(y: FloatArray, block: IntArray) -> float:
    """The intraclass correlation of y in blocks, by one-way random effects (Shrout and Fleiss 1979, ICC(1)).

    With unequal blocks m0 = (M - sum m_b^2 / M) / (k - 1) takes the place of their size. 0 with fewer than
    6 blocks, or where each trade has a block of its own.
    """
    _, number = np.unique(block, return_inverse=True)
    size = np.bincount(number).astype(np.float64)
    total, blocks = float(len(y)), len(size)
    if blocks < MIN_BLOCKS or total <= blocks:
        return 0.0
    mean = np.bincount(number, weights=y) / size
    between = float(size @ (mean - y.mean()) ** 2) / (blocks - 1)
    within = float(((y - mean[number]) ** 2).sum()) / (total - blocks)
    typical = (total - float(size @ size) / total) / (blocks - 1)
    spread = between + (typical - 1.0) * within
    return (between - within) / spread if spread > 0 else 0.0
