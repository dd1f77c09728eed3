"""The evidence as columns of the frame of lessons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from ...settings import LearningSettings
from ..arrays import FloatArray
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
    evidence: Sequence[GroupEvidence], scopes: Sequence[ScopeArray], settings: LearningSettings
) -> dict[str, Any]:
    """The columns of `EVIDENCE`, `INTERVALS` and, in that profile, `GUARDED`, for the groups' slices in turn.

    Takes the columns out of `evidence`, so that they are not held twice.
    """
    for found, of_all in zip(evidence, _category_scores(evidence), strict=True):
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


def _category_scores(evidence: Sequence[GroupEvidence]) -> list[FloatArray]:
    """For each group the mean scores over the trades of all groups of its category."""
    means = []
    for found in evidence:
        same = [other for other in evidence if other.category == found.category and len(other.scores)]
        trades = sum(other.trades for other in same)
        sums = [other.scores for other in same]
        means.append(np.sum(sums, axis=0) / trades if sums else np.zeros(6))
    return means


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
