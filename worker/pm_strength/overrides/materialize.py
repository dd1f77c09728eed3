"""Lessons become overrides: an edge large enough becomes a multiplier (contract section 3)."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import pandas as pd

from ..settings import LearningSettings
from .bounds import (
    MAX_MULTIPLIER,
    MAX_SCORE_MULTIPLIER,
    MIN_CONFIDENCE,
    MIN_MULTIPLIER,
    MIN_SCORE_MULTIPLIER,
)

COLUMNS = (
    "pattern_key",
    "action_category",
    "scope_subset",
    "multiplier",
    "confidence_score",
    "decay_state",
)
# A guarded override that moves a size by less is not made.
MIN_MOVE = 0.01
# What a guarded override keeps of its lesson.
STATS = (
    *("evidence", "edge", "n", "n_effective"),
    *("contribution", "contribution_low", "contribution_high", "drift", "claimed", "claimed_at"),
)


def materialize_overrides(lessons: pd.DataFrame, settings: LearningSettings | None = None) -> pd.DataFrame:
    """The overrides of all lessons that have enough edge, in the order of the lessons.

    In the profile `source` these are the lessons with `|edge_raw| >= edge_threshold`: `multiplier =
    clamp(1 + edge_raw, multiplier_min, multiplier_max)` and `confidence_score = support_score *
    reliability_score`. Of `lessons` it takes the columns pattern_key, action_category, scope_subset,
    edge_raw, support_score, reliability_score and decay_state.

    In the profile `guarded` these are the lessons with `|gain * effect| >= 0.01`: `multiplier = 1 + gain *
    effect`, a term of a sum that may be below 0, and `confidence_score = probability`. Of `lessons` it takes
    effect, probability, decay_state and those of `STATS` that are there; the result has a column more,
    `stats`, a dict of these.

    With `ae_multipliers` the result has the columns a_multiplier and e_multiplier: 1 + the lesson's a_score
    and e_score, from 0.8 to 1.2; None where a lesson has none.

    Where there is a `status`, only active lessons count. The result has the columns of `COLUMNS`. All is
    kept to the bounds of an override (contract section 9), which outcomes in USD can leave: a multiplier is
    at most 1e6, one below 1e-6 is 0, and so is a confidence below 1e-12.
    """
    settings = settings if settings is not None else LearningSettings()
    found = lessons[lessons["status"] == "active"] if "status" in lessons.columns else lessons
    made = _guarded if settings.profile == "guarded" else _source
    overrides = made(found, settings)
    size = overrides["multiplier"].abs()
    confidence = overrides["confidence_score"]
    overrides["multiplier"] = overrides["multiplier"].where(size >= MIN_MULTIPLIER, 0.0)
    overrides["confidence_score"] = confidence.where(confidence >= MIN_CONFIDENCE, 0.0)
    if settings.ae_multipliers:
        for name, score in (("a_multiplier", "a_score"), ("e_multiplier", "e_score")):
            given = found.loc[overrides.index, score].astype(float)
            held: Any = (1.0 + given).clip(MIN_SCORE_MULTIPLIER, MAX_SCORE_MULTIPLIER).tolist()
            overrides[name] = pd.Series(
                [None if math.isnan(value) else value for value in held], overrides.index, dtype=object
            )
    return overrides.reset_index(drop=True)


def _source(lessons: pd.DataFrame, settings: LearningSettings) -> pd.DataFrame:
    found = lessons[lessons["edge_raw"].astype(float).abs() >= settings.edge_threshold]
    multiplier = (1.0 + found["edge_raw"].astype(float)).clip(
        settings.multiplier_min, min(settings.multiplier_max, MAX_MULTIPLIER)
    )
    confidence = found["support_score"].astype(float) * found["reliability_score"].astype(float)
    return _frame(found, multiplier, confidence)


def _guarded(lessons: pd.DataFrame, settings: LearningSettings) -> pd.DataFrame:
    effect = lessons["effect"].astype(float) if "effect" in lessons.columns else lessons["n"] * math.nan
    move = settings.gain * effect
    chosen = move.abs() >= MIN_MOVE
    found = lessons[chosen]
    multiplier = (1.0 + move[chosen]).clip(-MAX_MULTIPLIER, MAX_MULTIPLIER)
    overrides = _frame(found, multiplier, found["probability"].astype(float).clip(0.0, 1.0))
    columns = [name for name in STATS if name in found.columns]
    kept: Any = [_known(row) for row in found[columns].to_dict("records")]
    overrides["stats"] = kept
    return overrides


def _frame(found: pd.DataFrame, multiplier: pd.Series[float], confidence: pd.Series[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "pattern_key": found["pattern_key"],
            "action_category": found["action_category"],
            "scope_subset": found["scope_subset"],
            "multiplier": multiplier,
            "confidence_score": confidence,
            "decay_state": found["decay_state"],
        },
        columns=list(COLUMNS),
    )


def _known(row: dict[Hashable, Any]) -> dict[str, Any]:
    """A row's numbers and times, None where there is none; numbers that count are whole."""
    known: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, str):
            known[str(name)] = value
            continue
        number = None if value is None or value != value else float(value)
        known[str(name)] = int(number) if number is not None and name in ("n", "edge") else number
    return known
