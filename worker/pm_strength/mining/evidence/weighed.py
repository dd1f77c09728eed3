"""The slices of a group, each weighed against the rest of its trades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...settings import LearningSettings
from ..cube.iceberg import Slices, frequent_values
from ..encode import MISSING, CodedGroup, FloatArray, IntArray
from . import lattice
from .bayes import Contrast, contrast, own_design
from .keys import code_keys, key_of
from .scores import score_columns
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
    blocks = trades.blocks[active]
    crowd, all_squares = _crowds(blocks)
    scores = score_columns(group, trades.first)
    n_min = settings.least_trades
    order, codes, cards = frequent_values(group, n_min)
    limit = len(order) if settings.max_dims is None else min(settings.max_dims, len(order))
    rows = _rows(trades, codes, cards, residual, blocks, crowd, scores)
    nothing = lattice.Slices(np.empty((0, len(order)), np.int32), np.empty((0, 0)), np.empty(0, np.int64))
    unused = np.empty(0)
    found = lattice.walk(rows, float(n_min), limit, lattice.FIND, nothing, unused, unused, stop)
    place = _places(found.codes, slices, order)

    kinds = len(active)
    sums = np.zeros((len(slices.n), found.sums.shape[1]))
    # the empty subset: all trades
    sums[0, lattice.N] = total
    sums[0, lattice.CROWD : lattice.CROWD + kinds] = all_squares
    sums[0, lattice.RECORD : lattice.RECORD + kinds] = all_squares
    if scores.shape[1]:
        sums[0, lattice.RECORD + kinds :][: scores.shape[1]] = scores.sum(axis=0)
    sums[place] = found.sums
    n = sums[:, lattice.N]
    squares = sums[:, lattice.RECORD : lattice.RECORD + kinds]
    met = sums[:, lattice.CROWD : lattice.CROWD + kinds]
    return Weighed(
        trades=trades,
        group=rows,
        found=found,
        place=place,
        contrast=contrast(n, float(total), rho[active], squares, met, all_squares),
        own=own_design(n, rho[active], squares),
        sums=sums[:, lattice.R],
        more=sums[:, lattice.RECORD + kinds :][:, : scores.shape[1]],
        sigma=float(np.sqrt(s2)),
        residual=residual,
        limit=limit,
        stop=stop,
        rho=rho[active],
        blocks=blocks,
    )


def _rows(
    trades: GroupTrades,
    codes: npt.NDArray[Any],
    cards: IntArray,
    residual: FloatArray,
    blocks: IntArray,
    crowd: FloatArray,
    scores: FloatArray,
) -> lattice.Group:
    """The rows of a group as the lattice takes them."""
    of_trade = np.zeros((len(trades), lattice.RECORD))
    of_trade[:, lattice.N], of_trade[:, lattice.R] = 1.0, residual
    of_trade[:, lattice.CROWD : lattice.CROWD + len(crowd)] = crowd.T
    held = np.zeros((len(trades), lattice.RECORD if scores.shape[1] else 0))
    held[:, : scores.shape[1]] = scores
    return lattice.Group(
        codes=np.ascontiguousarray(codes[trades.row].T.astype(np.int32)),
        cards=cards,
        trade=trades.row_trade,
        single=len(trades.row) == len(trades),
        records=of_trade[trades.row_trade],
        scores=held[trades.row_trade],
        blocks=np.ascontiguousarray(blocks.T[trades.row_trade].astype(np.int32)),
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


def _places(codes: npt.NDArray[Any], slices: Slices, order: IntArray) -> IntArray:
    """Where among the cube's slices those of the lattice are: both are sorted by a key of their codes."""
    keys = code_keys([int(slices.codes[:, d].max(initial=MISSING)) + 1 for d in range(len(order))])
    mine, theirs = key_of(codes, keys), key_of(slices.codes, keys)
    by_mine, by_theirs = np.argsort(mine, kind="stable"), np.argsort(theirs, kind="stable")
    # the empty subset has the key 0, as no other
    by_theirs = by_theirs[theirs[by_theirs] != 0]
    place = np.empty(len(codes), np.int64)
    place[by_mine] = by_theirs
    return place
