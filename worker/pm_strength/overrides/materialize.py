"""Lessons become overrides: an edge large enough becomes a multiplier (contract section 3)."""

from __future__ import annotations

import pandas as pd

from ..settings import LearningSettings
from .bounds import MAX_MULTIPLIER, MIN_CONFIDENCE, MIN_MULTIPLIER

COLUMNS = (
    "pattern_key",
    "action_category",
    "scope_subset",
    "multiplier",
    "confidence_score",
    "decay_state",
)


def materialize_overrides(lessons: pd.DataFrame, settings: LearningSettings | None = None) -> pd.DataFrame:
    """The overrides of all lessons with `|edge_raw| >= edge_threshold`, in the order of the lessons.

    `multiplier = clamp(1 + edge_raw, multiplier_min, multiplier_max)` and `confidence_score =
    support_score * reliability_score`. Of `lessons` it takes the columns pattern_key,
    action_category, scope_subset, edge_raw, support_score, reliability_score and decay_state; where
    there is a `status`, only active lessons count. The result has the columns of `COLUMNS`.

    Both are kept to the bounds of an override (contract section 9), which outcomes in USD can leave: a
    multiplier is at most 1e6, one below 1e-6 is 0, and so is a confidence below 1e-12.
    """
    settings = settings if settings is not None else LearningSettings()
    chosen = lessons["edge_raw"].astype(float).abs() >= settings.edge_threshold
    if "status" in lessons.columns:
        chosen &= lessons["status"] == "active"
    found = lessons[chosen]
    multiplier = (1.0 + found["edge_raw"].astype(float)).clip(
        settings.multiplier_min, min(settings.multiplier_max, MAX_MULTIPLIER)
    )
    confidence = found["support_score"].astype(float) * found["reliability_score"].astype(float)
    overrides = pd.DataFrame(
        {
            "pattern_key": found["pattern_key"],
            "action_category": found["action_category"],
            "scope_subset": found["scope_subset"],
            "multiplier": multiplier.where(multiplier >= MIN_MULTIPLIER, 0.0),
            "confidence_score": confidence.where(confidence >= MIN_CONFIDENCE, 0.0),
            "decay_state": found["decay_state"],
        },
        columns=list(COLUMNS),
    )
    return overrides.reset_index(drop=True)
