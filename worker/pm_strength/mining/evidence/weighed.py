"""The slices of a group, each weighed against the rest of its trades."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...settings import LearningSettings
from ..arrays import FloatArray, IntArray
from ..cube.iceberg import Slices, frequent_values
from ..encode import CodedGroup
from . import lattice
from .bayes import Contrast, contrast, own_design
from .keys import places
from .nodes import Group
from .scores import score_columns, telling, total_scores
from .tally import KINDS, RECORD
from .trades import GroupTrades, about_mean, group_trades


@dataclass(frozen=True, slots=True)
class Weighed:
    """A group's slices with their sums and their contrast with the rest; the empty subset comes first.

    `place[s]` is the place among the cube's slices of the lattice's slice s. `sums` are over the clipped
    outcomes about their mean; `more` are the sums of the scores of `scores.score_columns`.
    """

    trades: GroupTrades
    group: Any
    found: Any
    place: IntArray
    contrast: Contrast
    own: FloatArray
    sums: FloatArray
    more: FloatArray
    sigma: float
    residual: FloatArray
    limit: int
    stop: IntArray
    rho: FloatArray
    blocks: IntArray


def weigh_group(
    group: CodedGroup, slices: Slices, rho: FloatArray, settings: LearningSettings, stop: IntArray
) -> Weighed:
    """Walk over a group's slices with its trades in order of time, and weigh each against the rest.

    Ends early, with nothing that means anything, once `stop[0]` is set.
    """
    trades = group_trades(group)
    total = len(trades)
    residual, s2 = about_mean(trades.y)
    active = np.flatnonzero(rho > 0)
    kinds = len(active)
    blocks = trades.blocks[active]
    crowd, all_squares = _crowds(blocks)
    scores = score_columns(group, trades.first)
    counted = telling(scores)
    numbers = np.column_stack([residual, crowd.T, scores[:, counted]])
    n_min = settings.least_trades
    order, codes, cards = frequent_values(group, n_min)
    limit = len(order) if settings.max_dims is None else min(settings.max_dims, len(order))
    rows = _rows(trades, codes, cards, numbers, blocks)
    nothing = lattice.Slices(
        np.empty((0, len(order)), np.int32), np.empty((0, 0)), np.empty((0, 4), np.int64)
    )
    unused = np.empty(0)
    found = lattice.walk(rows, float(n_min), limit, lattice.FIND, nothing, unused, unused, stop)
    place = places(found.codes, slices.codes)

    sums = np.zeros((len(slices.n), found.sums.shape[1]))
    # the empty subset: all trades
    sums[0] = total, *all_squares, 0.0, *all_squares, *total_scores(scores)[counted]
    if not stop[0]:
        sums[place] = found.sums
    n, squares = sums[:, 0], sums[:, 1 : 1 + kinds]
    outcome, met = sums[:, 1 + kinds], sums[:, 2 + kinds : 2 + 2 * kinds]
    more = np.repeat(n[:, None], scores.shape[1], axis=1)
    more[:, counted] = sums[:, 2 + 2 * kinds :]
    return Weighed(
        trades=trades,
        group=rows,
        found=found,
        place=place,
        contrast=contrast(n, float(total), rho[active], squares, met, all_squares),
        own=own_design(n, rho[active], squares),
        sums=outcome,
        more=more,
        sigma=float(np.sqrt(s2)),
        residual=residual,
        limit=limit,
        stop=stop,
        rho=rho[active],
        blocks=blocks,
    )


def _rows(
    trades: GroupTrades, codes: npt.NDArray[Any], cards: IntArray, numbers: FloatArray, blocks: IntArray
) -> Group:
    """The rows of a group as the lattice takes them; `numbers` (trades x columns) are summed."""
    columns, kinds = numbers.shape[1], len(blocks)
    wide = -(-columns // RECORD)
    records = np.zeros((len(numbers), wide * RECORD))
    records[:, :columns] = numbers
    held = np.zeros((len(numbers), KINDS + 1))
    held[:, :kinds] = blocks.T
    width, joint = len(cards), math.prod((cards[-2:] + 1).tolist())
    both = width > 1 and joint <= len(trades.row)
    largest = max([*cards.tolist(), joint - 1 if both else 0])
    coded = np.zeros((len(trades.row), width + 1), np.uint16 if largest < 2**16 else np.uint32)
    coded[:, :width] = codes[trades.row]
    if both:
        coded[:, width] = coded[:, width - 2] * (cards[width - 1] + 1) + coded[:, width - 1]
    return Group(
        codes=coded,
        cards=cards,
        trade=trades.row_trade.astype(np.int32),
        single=len(trades.row) == len(trades),
        records=records[trades.row_trade].reshape(-1, RECORD),
        wide=wide,
        columns=columns,
        blocks=held[trades.row_trade],
        kinds=kinds,
    )


def _crowds(blocks: IntArray) -> tuple[FloatArray, FloatArray]:
    """For each block length: how many trades are in the block of each trade, and the sum of the squares."""
    crowd = np.empty(blocks.shape)
    squares = np.empty(len(blocks))
    for h, block in enumerate(blocks):
        _, number = np.unique(block, return_inverse=True)
        count = np.bincount(number).astype(np.float64)
        crowd[h], squares[h] = count[number], count @ count
    return crowd, squares
