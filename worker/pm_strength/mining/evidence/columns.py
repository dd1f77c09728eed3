"""The evidence as columns of the frame of lessons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from ...settings import LearningSettings
from ..cube.iceberg import Slices
from ..encode import FloatArray
from ..scope_array import ScopeArray
from .bayes import MAX_LOG, as_number, log_bayes_factor, p_value, rate_interval
from .scores import S3, S3_KNOWN, TRIMMED, TRIMMED_KNOWN, A, E, shrunk_score
from .weigh import GroupEvidence

# Of every lesson, in any profile; NaN where there is none.
EVIDENCE = (
    *("n_effective", "design_effect", "bayes_factor", "p_value", "avg_rr_low", "avg_rr_high"),
    *("trimmed_rate", "trimmed_low", "trimmed_high"),
    *("reached_s3_rate", "reached_s3_low", "reached_s3_high"),
    *("a_score", "e_score"),
)
# Of a lesson of the guarded profile that sizes.
GUARDED = (
    *("effect", "contribution", "contribution_low", "contribution_high"),
    *("edge", "evidence", "probability", "drift", "claimed", "claimed_at", "explained_by"),
)
LEVEL = 0.95


def evidence_columns(
    cube: Sequence[Slices],
    evidence: Sequence[GroupEvidence],
    variance: FloatArray,
    scopes: Sequence[ScopeArray],
    settings: LearningSettings,
) -> dict[str, Any]:
    """The columns of `EVIDENCE`, and those of `GUARDED` in that profile, for the groups' slices in turn.

    `variance` is that of the outcomes of all slices.
    """
    ends = np.cumsum([0, *(len(slices.n) for slices in cube)])
    of_category = _category_scores(evidence)
    parts = [
        _evidence(found, slices, variance[ends[at] : ends[at + 1]], of_category[at], settings)
        for at, (found, slices) in enumerate(zip(evidence, cube, strict=True))
    ]
    columns = {name: _joined(part[name] for part in parts) for name in EVIDENCE}
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


def _moment(microseconds: int) -> str | None:
    """A time as ISO 8601; None for 0."""
    if not microseconds:
        return None
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(microseconds))).isoformat()


def _evidence(
    found: GroupEvidence,
    slices: Slices,
    variance: FloatArray,
    category: FloatArray,
    settings: LearningSettings,
) -> dict[str, FloatArray]:
    weighed, group = found.weighed, found.effect
    whole = weighed.contrast
    n, s2 = whole.n, weighed.sigma**2
    with np.errstate(divide="ignore", invalid="ignore"):
        d = whole.difference(weighed.sums)
    apart = n < whole.total
    log_factor = np.where(apart, log_bayes_factor(d, whole.weight, s2, settings.tau), np.nan)
    columns = {
        "n_effective": np.where(apart, whole.effective, n / weighed.own),
        "design_effect": np.where(apart, whole.design, weighed.own),
        "bayes_factor": as_number(log_factor),
        "p_value": p_value(d, whole.weight, s2),
    }
    # the empty subset is the group itself, against the others of its category
    if np.isfinite(group.design):
        columns["n_effective"][0], columns["design_effect"][0] = group.effective, group.design
        columns["bayes_factor"][0] = as_number(np.array([group.log_factor]))[0]
        columns["p_value"][0] = group.p_value
    effective = n / weighed.own
    half = stdtrit(np.maximum(effective - 1.0, 1.0), 0.5 + LEVEL / 2) * np.sqrt(variance / effective)
    columns["avg_rr_low"], columns["avg_rr_high"] = slices.mean_y - half, slices.mean_y + half
    return columns | _scores(weighed.more, weighed.own, n, columns["n_effective"], category)


def _scores(
    more: FloatArray, own: FloatArray, n: FloatArray, effective: FloatArray, category: FloatArray
) -> dict[str, FloatArray]:
    none = np.full(len(n), np.nan)
    columns = dict.fromkeys(EVIDENCE[6:], none)
    if not more.shape[1]:
        return columns
    for name, known, sum_ in (("trimmed", TRIMMED_KNOWN, TRIMMED), ("reached_s3", S3_KNOWN, S3)):
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = more[:, sum_] / more[:, known]
        low, high = rate_interval(rate, more[:, known] / own, LEVEL)
        columns |= {f"{name}_rate": rate, f"{name}_low": low, f"{name}_high": high}
    for name, column in (("a_score", A), ("e_score", E)):
        mean = more[:, column] / n
        score = shrunk_score(mean, float(mean[0]), effective)
        score[0] = shrunk_score(mean[:1], float(category[column]), effective[:1])[0]
        columns[name] = score
    return columns


def _category_scores(evidence: Sequence[GroupEvidence]) -> list[FloatArray]:
    """For each group the mean scores over the trades of all groups of its category."""
    means = []
    for found in evidence:
        same = [e.weighed for e in evidence if e.category == found.category and e.weighed.more.shape[1]]
        trades = sum(float(weighed.contrast.n[0]) for weighed in same)
        sums = [weighed.more[0] for weighed in same]
        means.append(np.sum(sums, axis=0) / trades if sums else np.zeros(6))
    return means


def _fit(found: GroupEvidence, scopes: ScopeArray) -> dict[str, Any]:
    fit, count = found.fit, len(found.weighed.contrast.n)
    if fit is None:
        none, nothing = np.full(count, np.nan), np.full(count, None, dtype=object)
        return dict.fromkeys(GUARDED, none) | dict.fromkeys(_KINDS, nothing)
    explained = np.full(count, None, dtype=object)
    for at in np.flatnonzero(fit.explained_by >= 0):
        explained[at] = scopes[int(fit.explained_by[at])]
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
        "claimed_at": np.array([_moment(since) for since in fit.since], dtype=object),
        "explained_by": explained,
    }
