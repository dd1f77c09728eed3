"""Drift: do the trades that came since an override was published still bear its edge out?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from ...json_values import finite
from ...scopes import ScopeKey, scope_key
from ..arrays import FloatArray, IntArray
from .bayes import MAX_LOG, contrast

GroupKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """What an override said when it was first published: its contribution, in the unit of the outcome.

    `since` is the close of the newest trade that it was learned from, in microseconds since 1970: those that
    closed later are news.
    """

    contribution: float
    since: int


def read_claims(overrides: Iterable[Mapping[str, Any]]) -> dict[GroupKey, dict[ScopeKey, Claim]]:
    """The claims of published overrides by group and scope; those that say nothing of it are left out."""
    claims: dict[GroupKey, dict[ScopeKey, Claim]] = {}
    for row in overrides:
        stats = row.get("stats") or {}
        contribution, since = finite(stats.get("claimed")), stats.get("claimed_at")
        if contribution is None or not isinstance(since, str):
            continue
        try:
            moment = round(datetime.fromisoformat(since).timestamp() * 1e6)
        except ValueError:
            continue
        group = claims.setdefault((row["pattern_key"], row["action_category"]), {})
        group[scope_key(row["scope_subset"])] = Claim(contribution, moment)
    return claims


def drift_log(
    y: FloatArray,
    inside: npt.NDArray[np.bool_],
    others: FloatArray,
    claimed: float,
    s2: float,
    rho: FloatArray,
    blocks: IntArray,
) -> float:
    """The logarithm of the e-value against a claim, from trades that were not learned from.

    `y` are their outcomes, `inside` which are in the slice, `others` what the other overrides claim of each,
    `blocks` (lengths x trades) when they closed. With d the difference between slice and rest, and w its
    weight, the likelihood ratio of no edge to the claimed one is exp(w c (c - 2 d) / (2 s2)). While the claim
    is true, it ever passes 20 with a probability of at most 1/20 (Ville): each new trade multiplies it by
    something whose mean is then 1.
    """
    n, total = float(inside.sum()), float(len(y))
    if n == 0 or n == total or s2 <= 0:
        return 0.0
    squares, crowd, all_squares = np.empty(len(rho)), np.empty(len(rho)), np.empty(len(rho))
    for h, block in enumerate(blocks):
        _, number = np.unique(block, return_inverse=True)
        of_all = np.bincount(number).astype(np.float64)
        of_slice = np.bincount(number[inside], minlength=len(of_all)).astype(np.float64)
        squares[h], crowd[h], all_squares[h] = of_slice @ of_slice, of_slice @ of_all, of_all @ of_all
    news = contrast(np.array([n]), total, rho, squares[None], crowd[None], all_squares)
    left = y - others
    d = float(left[inside].mean() - left[~inside].mean())
    log = float(news.weight[0]) * claimed * (claimed - 2.0 * d) / (2.0 * s2)
    return max(-MAX_LOG, min(MAX_LOG, log))


def pulled(log: float, alarm: float | None) -> float:
    """What is left of an override: all of it up to the alarm, then alarm / e-value."""
    if alarm is None or log <= np.log(alarm):
        return 1.0
    return float(alarm * np.exp(-log))
