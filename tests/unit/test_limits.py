"""Limits that always hold: changes of a multiplier, and added exposure."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from pm_strength.overrides.exposure import exposure_scale
from pm_strength.overrides.limits import limit_changes
from pm_strength.settings import LearningSettings


def table(multipliers: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                **{"pattern_key": "p", "action_category": "entry", "scope_subset": {"a": name}},
                **{"multiplier": multiplier, "confidence_score": 0.5, "decay_state": "stable"},
            }
            for name, multiplier in multipliers.items()
        ]
    )


def limited(now: dict[str, float], before: dict[str, float], limit: float | None) -> dict[str, Any]:
    rows = limit_changes(table(now), table(before), LearningSettings(max_change=limit)).to_dict("records")
    return {row["scope_subset"]["a"]: pytest.approx(row["multiplier"]) for row in rows}


def test_a_multiplier_moves_by_no_more_than_the_limit() -> None:
    now = {"up": 1.9, "down": 0.4, "near": 1.25, "new": 1.5, "new and small": 1.1}
    before = {"up": 1.5, "down": 0.9, "near": 1.2}
    wanted = {"up": 1.7, "down": 0.7, "near": 1.25, "new": 1.2, "new and small": 1.1}
    assert limited(now, before, 0.2) == wanted
    assert limited(now, before, None) == now


def test_what_is_no_longer_made_leaves_step_by_step() -> None:
    before = {"large": 1.9, "small": 0.5, "close": 1.2}
    left = limited({"other": 1.0}, before, 0.3)
    assert left == {"other": 1.0, "large": 1.6, "small": 0.8}
    rows = limit_changes(table({"other": 1.0}), table(before), LearningSettings(max_change=0.3))
    assert rows["stats"].tolist()[1:] == [{"leaving": True}] * 2


@pytest.mark.parametrize(
    ("actions", "below", "above", "limit", "scale"),
    [
        (100, 90, 30, None, 1.0),
        (100, 90, 30, 0.2, 1.0),
        (100, 90, 30, 0.1, 20 / 30),
        (100, 100, 30, 0.0, 0.0),
        (100, 80, 0, 0.0, 1.0),
        (0, 0, 0, 0.1, 1.0),
        (100, 100, 1e-9, 0.0, 0.0),
    ],
)
def test_the_exposure_scale_makes_the_mean_keep_to_the_limit(
    actions: int, below: float, above: float, limit: float | None, scale: float
) -> None:
    got = exposure_scale(actions, below, above, limit)
    assert got == pytest.approx(scale)
    if limit is not None and actions and got > 0:
        assert (below + got * above) / actions <= 1 + limit + 1e-12
