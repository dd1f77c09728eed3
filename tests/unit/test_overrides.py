"""Lessons become overrides."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pm_strength import LearningSettings, materialize_overrides


def lesson(edge: float, **more: Any) -> dict[str, Any]:
    return {
        "pattern_key": "p",
        "action_category": "entry",
        "scope_subset": {"edge": edge},
        "edge_raw": edge,
        "support_score": 0.5,
        "reliability_score": 0.4,
        "decay_state": "stable",
    } | more


def test_an_edge_becomes_a_clamped_multiplier() -> None:
    edges = [0.05, 0.049999, -0.05, 0.0, 5.0, -5.0, 2.0, -0.7]
    overrides = materialize_overrides(pd.DataFrame([lesson(edge) for edge in edges]))
    assert overrides["multiplier"].tolist() == [1.05, 0.95, 3.0, 0.3, 3.0, 1 - 0.7]
    assert set(overrides["confidence_score"]) == {0.2}
    assert overrides["scope_subset"].tolist() == [{"edge": e} for e in (0.05, -0.05, 5.0, -5.0, 2.0, -0.7)]


def test_settings_are_followed() -> None:
    chosen = LearningSettings(edge_threshold=0, multiplier_min=0.9, multiplier_max=1.1)
    overrides = materialize_overrides(pd.DataFrame([lesson(e) for e in (0.0, 1.0, -1.0)]), chosen)
    assert overrides["multiplier"].tolist() == [1.0, 1.1, 0.9]


def test_retired_lessons_make_none() -> None:
    lessons = pd.DataFrame([lesson(1.0, status="active"), lesson(2.0, status="retired")])
    assert materialize_overrides(lessons)["multiplier"].tolist() == [2.0]


def test_no_lessons_make_no_overrides() -> None:
    assert materialize_overrides(pd.DataFrame(columns=list(lesson(1.0)))).empty


def test_multipliers_and_confidences_keep_to_their_bounds() -> None:
    """Outcomes in USD have edges and variances of any size."""
    wide = LearningSettings(multiplier_min=0, multiplier_max=1e300)
    rows = [lesson(1e9), lesson(-1 + 1e-9), lesson(-1e9), lesson(1.0, reliability_score=1e-13)]
    overrides = materialize_overrides(pd.DataFrame(rows), wide)
    assert overrides["multiplier"].tolist() == [1e6, 0.0, 0.0, 2.0]
    assert overrides["confidence_score"].tolist() == [0.2, 0.2, 0.2, 0.0]
