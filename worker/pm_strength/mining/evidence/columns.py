"""The evidence as columns of the frame of lessons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from ...settings import LearningSettings
from ..arrays import FloatArray, IntArray
from ..scope_array import ScopeArray
from .bayes import MAX_LOG
from .scores import A, E, shrunk_score
from .weigh import GroupEvidence

# Of every lesson, in any profile; NaN where there is none.
EVIDENCE = (
    *("n_effective", "design_effect", "bayes_factor", "p_value", "avg_rr_low", "avg_rr_high"),
    *("trimmed_rate", "trimmed_low", "trimmed_high"),
    *("reached_s3_rate", "reached_s3_low", "reached_s3_high"),
    *("a_score", "e_score"),
)
# What the intervals of the evidence are made of; the database makes them again.
INTERVALS = ("own_design", "avg_rr_half", "trimmed_n", "reached_s3_n")
# Of a lesson of the guarded profile that sizes.
GUARDED = (
    *("effect", "contribution", "contribution_low", "contribution_high"),
    *("edge", "evidence", "probability", "drift", "claimed", "claimed_at", "explained_by"),
)


def evidence_columns(
    evidence: Sequence[GroupEvidence],
    scopes: Sequence[ScopeArray],
    settings: LearningSettings,
    category_scores: Mapping[str, FloatArray] | None = None,
) -> dict[str, Any]:
    """The columns of `EVIDENCE`, `INTERVALS` and, in that profile, `GUARDED`, for the groups' slices in turn.

    `category_scores` are those of the groups that are here, unless they are given. Takes the columns out of
    `evidence`, so that they are not held twice.
    """
    if category_scores is None:
        category_scores = mean_scores((found.category, found.scores, found.trades) for found in evidence)
    for found in evidence:
        of_all = category_scores.get(found.category, np.zeros(6))
        # the empty subset is the group itself, against the others of its category
        for name, column in (("a_score", A), ("e_score", E)) if len(found.scores) else ():
            mean, effective = found.scores[column] / found.trades, found.columns["n_effective"][:1]
            found.columns[name][0] = shrunk_score(np.array([mean]), of_all[column], effective)[0]
    columns = {
        name: _joined(found.columns.pop(name) for found in evidence) for name in (*EVIDENCE, *INTERVALS)
    }
    if settings.profile == "guarded":
        fits = [_fit(found, scope) for found, scope in zip(evidence, scopes, strict=True)]
        columns |= {name: _joined(fit[name] for fit in fits) for name in GUARDED if name not in _KINDS}
        for name in _KINDS:
            # as objects: pandas would make texts of them, and a NaN of None
            columns[name] = pd.Series(_joined((fit[name] for fit in fits), object), dtype=object)
    return columns


# What is not a number.
_KINDS = ("explained_by", "claimed_at")


def _joined(parts: Any, kind: type = float) -> Any:
    return np.concatenate([np.empty(0, kind), *parts])


def _moment(microseconds: int) -> str:
    """A time as ISO 8601."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat()


def no_evidence(category: str, n: IntArray) -> GroupEvidence:
    """The evidence for a group's slices of `n` trades where none was looked for."""
    nothing = np.full(len(n), np.nan)
    columns = dict.fromkeys((*EVIDENCE, *INTERVALS), nothing)
    # how it is with all trades: the rate, which is not known, is of all of them
    columns |= {name: n.astype(np.float64) for name in ("trimmed_n", "reached_s3_n")}
    return GroupEvidence(category, columns, np.empty(0), 0, None)


def mean_scores(groups: Iterable[tuple[str, FloatArray, int]]) -> dict[str, FloatArray]:
    """The mean scores of each category, from the category, the sums and the trades of each group."""
    sums: dict[str, list[FloatArray]] = {}
    trades: dict[str, int] = {}
    for category, scores, count in groups:
        if len(scores):
            sums.setdefault(category, []).append(scores)
            trades[category] = trades.get(category, 0) + count
    return {category: np.sum(scores, axis=0) / trades[category] for category, scores in sums.items()}


def _fit(found: GroupEvidence, scopes: ScopeArray) -> dict[str, Any]:
    fit, count = found.fit, len(scopes)
    if fit is None:
        none, nothing = np.full(count, np.nan), np.full(count, None, dtype=object)
        return dict.fromkeys(GUARDED, none) | dict.fromkeys(_KINDS, nothing)
    explained = np.full(count, None, dtype=object)
    for at in np.flatnonzero(fit.explained_by >= 0):
        explained[at] = scopes[int(fit.explained_by[at])]
    claimed_at = np.full(count, None, dtype=object)
    for at in np.flatnonzero(fit.since):
        claimed_at[at] = _moment(int(fit.since[at]))
    return {
        "effect": fit.effect,
        "contribution": fit.contribution,
        "contribution_low": fit.low,
        "contribution_high": fit.high,
        "edge": np.where(fit.edge > 0, fit.edge, np.nan),
        "evidence": fit.evidence,
        "probability": fit.probability,
        "drift": np.exp(np.minimum(fit.drift, MAX_LOG)),
        "claimed": fit.claimed,
        "claimed_at": claimed_at,
        "explained_by": explained,
    }
