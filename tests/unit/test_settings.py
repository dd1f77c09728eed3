"""Settings are checked key by key, and errors name the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pm_strength import LearningSettings
from pm_strength.errors import SettingsError

# what SQL and Python must agree on, as JSON text: each reads the numbers itself
CASES = json.loads(
    (Path(__file__).parents[2] / "supabase" / "functions" / "_shared" / "settings.cases.json").read_text()
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["settings"])
def test_the_table_of_cases(case: dict[str, Any]) -> None:
    if case["wrong"] is None:
        LearningSettings.from_mapping(json.loads(case["settings"]))
        return
    with pytest.raises(SettingsError) as caught:
        LearningSettings.from_mapping(json.loads(case["settings"]))
    assert caught.value.key == case["wrong"]


def test_defaults_are_the_contracts() -> None:
    assert LearningSettings().to_dict() == {
        "profile": "source",
        "n_min": 33,
        "var_prior": 0.25,
        "edge_threshold": 0.05,
        "multiplier_min": 0.3,
        "multiplier_max": 3.0,
        "specificity_alpha": 1.5,
        "strategy": "blend",
        "outcome": "rr",
        "scope_dims": None,
        "max_dims": 3,
        "max_lessons": 1_000_000,
        "stale_after_hours": 24.0,
        "guarded_n_min": 20,
        "evidence_min": 10.0,
        "tau": 0.2,
        "gain": 2.0,
        "drift_alarm": 20.0,
        "max_change": None,
        "max_added_exposure": None,
        "ae_multipliers": False,
        "gate": False,
        "shadow_profile": None,
        "canary_share": 0.0,
    }
    assert LearningSettings.from_mapping({}) == LearningSettings()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("n_min", value) for value in (0, -1, 1.5, "5", True, None, float("nan"), 10**400)],
        *[("var_prior", value) for value in (-0.1, float("inf"), "0", None, False)],
        ("edge_threshold", -1),
        *[("multiplier_min", value) for value in (-0.1, 1.1, None)],
        *[("multiplier_max", value) for value in (0.9, float("inf"))],
        ("specificity_alpha", -1),
        *[("strategy", value) for value in ("mean", None, "Blend")],
        *[("outcome", value) for value in ("profit", None)],
        *[("scope_dims", value) for value in ("chain", [1], [""], {})],
        *[("max_dims", value) for value in (-1, 0.5, "3", True)],
        *[("max_lessons", value) for value in (0, None)],
        *[("stale_after_hours", value) for value in (0, -1, float("nan"))],
        ("n_max", 5),
    ],
)
def test_a_bad_value_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        LearningSettings.from_mapping({key: value})
    assert caught.value.key == key
    assert str(caught.value).startswith(f"{key}: expected ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_min", 1),
        ("n_min", 5.0),
        ("max_dims", None),
        ("max_dims", 0),
        ("scope_dims", []),
        ("scope_dims", ["chain"]),
        ("multiplier_min", 0),
        ("multiplier_min", 1),
        ("multiplier_max", 1),
        ("strategy", "most_specific"),
    ],
)
def test_a_good_value_is_kept(key: str, value: Any) -> None:
    settings = LearningSettings.from_mapping({key: value})
    assert settings.to_dict()[key] == value
    assert LearningSettings.from_mapping(settings.to_dict()) == settings


def test_settings_must_be_an_object() -> None:
    with pytest.raises(SettingsError, match="settings: expected a JSON object"):
        LearningSettings.from_mapping([])  # type: ignore[arg-type]


def test_a_profile_has_its_own_strategy_unless_one_is_set() -> None:
    guarded = LearningSettings.from_mapping({"profile": "guarded"})
    assert (guarded.strategy, LearningSettings().strategy) == ("sum", "blend")
    chosen = LearningSettings(profile="source", strategy="most_specific")
    assert (chosen.strategy_of("source"), chosen.strategy_of("guarded")) == ("most_specific", "sum")
    assert (guarded.strategy_of("guarded"), guarded.strategy_of("source")) == ("sum", "blend")
