"""The distinct trades of a group in order of time, as the evidence needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import FloatArray, IntArray
from ..encode import CodedGroup

# Outcomes beyond these quantiles of a group count as the quantiles: one trade must not make an edge.
CLIPPED = (0.01, 0.99)
# Trades that close within the same UTC block of so many days may share what the market did.
BLOCK_DAYS = (1, 7, 28)
US_PER_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class GroupTrades:
    """The N distinct trades of a group, by day of closing.

    `closed` is when each closed, in microseconds since 1970. `row_trade` numbers the trade of each of the
    group's events, which `row` lists so that trades ascend; `first` is the first event of each trade. `y` is
    the clipped outcome, `blocks` (3 x N) the block of each length that a trade closed in.
    """

    row: IntArray
    row_trade: IntArray
    first: IntArray
    y: FloatArray
    closed: IntArray
    blocks: IntArray

    def __len__(self) -> int:
        return len(self.y)


def group_trades(group: CodedGroup) -> GroupTrades:
    """A group's trades; its events are sorted by trade, and all of a trade end on the same day."""
    starts = np.r_[True, group.trade[1:] != group.trade[:-1]]
    first = np.flatnonzero(starts)
    number = np.cumsum(starts) - 1
    # by day, then by number: the events of a trade stay together
    by_day = np.argsort(group.day[first], kind="stable")
    place = np.empty(len(first), np.int64)
    place[by_day] = np.arange(len(first))
    row = np.argsort(place[number], kind="stable")
    first = first[by_day]
    closed = group.begin + np.rint(group.t[first] * US_PER_HOUR).astype(np.int64)
    return GroupTrades(
        row, place[number][row], first, clipped(group.y[first]), closed, time_blocks(group.day[first])
    )


def time_blocks(day: IntArray) -> IntArray:
    """The number of the block that each day is in, for each of `BLOCK_DAYS`: 3 x days."""
    return np.stack([day // days for days in BLOCK_DAYS])


def clipped(y: FloatArray) -> FloatArray:
    """Outcomes within the quantiles of `CLIPPED`."""
    low, high = np.quantile(y, CLIPPED) if len(y) else (0.0, 0.0)
    held: FloatArray = np.clip(y, low, high)
    return held


def about_mean(y: FloatArray) -> tuple[FloatArray, float]:
    """Outcomes less their mean, and their variance; both exactly 0 where all are equal.

    The variance is 0 where it is beyond a double too: nothing can be told from such outcomes.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        shifted = y - y.min()
        residual: FloatArray = shifted - shifted.mean()
        s2 = float(residual @ residual) / max(len(y) - 1, 1)
    return (residual, s2) if np.isfinite(s2) else (np.zeros(len(y)), 0.0)


@dataclass(frozen=True, slots=True)
class DistinctTrades:
    """Distinct trades over several groups: each trade once, with its groups.

    `member` (pairs of trade and group, both numbered from 0) says which trade is in which group.
    """

    y: FloatArray
    blocks: IntArray
    member_trade: IntArray
    member_group: IntArray

    def __len__(self) -> int:
        return len(self.y)


def distinct_trades(groups: Sequence[CodedGroup]) -> DistinctTrades:
    """The distinct trades of these groups, in order of their days; outcomes clipped over all of them."""
    firsts = [np.flatnonzero(np.r_[True, g.trade[1:] != g.trade[:-1]]) for g in groups]
    none = np.empty(0, np.int64)
    trade = np.concatenate([none, *(g.trade[f] for g, f in zip(groups, firsts, strict=True))])
    day = np.concatenate([none, *(g.day[f] for g, f in zip(groups, firsts, strict=True))])
    y = np.concatenate([np.empty(0), *(g.y[f] for g, f in zip(groups, firsts, strict=True))])
    group = np.repeat(np.arange(len(groups)), [len(f) for f in firsts])
    _, first, number = np.unique(trade, return_index=True, return_inverse=True)
    by_day = np.argsort(day[first], kind="stable")
    place = np.empty(len(first), np.int64)
    place[by_day] = np.arange(len(first))
    first = first[by_day]
    return DistinctTrades(clipped(y[first]), time_blocks(day[first]), place[number], group)
