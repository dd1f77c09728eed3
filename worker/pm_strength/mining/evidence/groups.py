"""A group against the others of its action category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ...settings import LearningSettings
from ..arrays import FloatArray, IntArray
from ..encode import CodedGroup
from .bayes import Contrast, contrast, log_bayes_factor, p_value
from .edges import Design, slice_prior, walk_edges
from .trades import DistinctTrades, about_mean, distinct_trades


@dataclass(frozen=True, slots=True)
class GroupEffect:
    """A group against the others of its category: NaN where there are none.

    `effect` is c / sigma of the category, less its mean over the category's trades; 0 without enough
    evidence. `evidence` and `probability` are those of the edge that it comes from.
    """

    effective: float = np.nan
    design: float = np.nan
    log_factor: float = np.nan
    p_value: float = np.nan
    effect: float = 0.0
    evidence: float = np.nan
    probability: float = np.nan


def group_effects(
    groups: Sequence[CodedGroup], rho: FloatArray, settings: LearningSettings
) -> list[GroupEffect]:
    """The effect of each group within its category."""
    effects = [GroupEffect()] * len(groups)
    for category in sorted({group.action_category for group in groups}):
        numbers = [at for at, group in enumerate(groups) if group.action_category == category]
        if len(numbers) > 1:
            of_category = _effects(
                distinct_trades([groups[at] for at in numbers]), len(numbers), rho, settings
            )
            for at, effect in zip(numbers, of_category, strict=True):
                effects[at] = effect
    return effects


def _effects(
    trades: DistinctTrades, count: int, rho: FloatArray, settings: LearningSettings
) -> list[GroupEffect]:
    total = len(trades)
    residual, s2 = about_mean(trades.y)
    member = sparse.csr_array(
        (np.ones(len(trades.member_trade)), (trades.member_group, trades.member_trade)), shape=(count, total)
    )
    of_groups = _contrast(member, trades.blocks, rho, total)
    sums = np.asarray(member @ residual)
    d = of_groups.difference(sums)
    log_factors = log_bayes_factor(d, of_groups.weight, s2, settings.tau)
    p = p_value(d, of_groups.weight, s2)
    least = settings.guarded_n_min
    candidate = (of_groups.n >= least) & (of_groups.n <= total - least)
    design = Design(lambda r: np.asarray(member @ r), lambda u: np.asarray(member.T @ u))
    prior = slice_prior(np.zeros(count, np.int64), candidate)
    found = walk_edges(design, of_groups, prior, residual, settings.tau, settings.evidence_min, sums)
    c = found.contribution(count)
    c -= float(c @ of_groups.n) / total
    sigma = np.sqrt(s2)
    effects = []
    for g in range(count):
        shares = [edge.share[g] for edge in found.edges]
        best = int(np.argmax(shares)) if shares else -1
        effects.append(
            GroupEffect(
                effective=float(of_groups.effective[g]),
                design=float(of_groups.design[g]),
                log_factor=float(log_factors[g]),
                p_value=float(p[g]),
                effect=float(c[g] / sigma) if found.edges and sigma > 0 else 0.0,
                evidence=found.edges[best].evidence if shares else np.nan,
                probability=max(float(shares[best]), 1e-6) if shares else np.nan,
            )
        )
    return effects


def _contrast(member: sparse.csr_array, blocks: IntArray, rho: FloatArray, total: int) -> Contrast:
    n = np.asarray(member.sum(axis=1)).ravel().astype(np.float64)
    active = np.flatnonzero(rho > 0)
    squares, crowd = np.empty((len(n), len(active))), np.empty((len(n), len(active)))
    all_squares = np.empty(len(active))
    for at, h in enumerate(active):
        _, number = np.unique(blocks[h], return_inverse=True)
        of_block = sparse.csr_array(
            (np.ones(total), (np.arange(total), number)), shape=(total, int(number.max()) + 1)
        )
        here = (member @ of_block).toarray()
        count = np.bincount(number).astype(np.float64)
        squares[:, at], crowd[:, at], all_squares[at] = (here**2).sum(axis=1), here @ count, count @ count
    return contrast(n, float(total), rho[active], squares, crowd, all_squares)
