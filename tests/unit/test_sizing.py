"""From matches to a multiplier and from a multiplier to a size (contract section 4)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pm_strength import LearningSettings, Match, Resolution, apply_strength
from pm_strength.sizing import match_weight, resolve_matches


def match(number: int, multiplier: float, confidence: float, dimensions: int, **settings: Any) -> Match:
    subset = {f"d{i}": i for i in range(dimensions)}
    weight = match_weight(confidence, dimensions, LearningSettings(**settings))
    return Match(number, subset, multiplier, confidence, weight)


def test_blend_is_the_weighted_mean() -> None:
    matches = [match(1, 1.5, 0.5, 0), match(2, 0.8, 0.25, 3)]
    weights = (0.5 * 1**1.5, 0.25 * 4**1.5)
    expected = (weights[0] * 1.5 + weights[1] * 0.8) / sum(weights)
    resolution = resolve_matches(matches, LearningSettings())
    assert math.isclose(resolution.multiplier, expected, rel_tol=1e-15)
    assert (resolution.reason, resolution.matched) == ("matched", 2)
    assert [found.id for found in resolution.matches] == [2, 1]


@pytest.mark.parametrize(
    ("matches", "multiplier"),
    [
        ([match(1, 1.5, 0.9, 1), match(2, 0.8, 0.1, 2)], 0.8),
        ([match(1, 1.5, 0.9, 2), match(2, 0.8, 0.1, 2)], 1.5),
        ([match(1, 1.5, 0.5, 2), match(2, 0.8, 0.5, 2)], 0.8),
        ([match(1, 1.25, 0.5, 2), match(2, 0.75, 0.5, 2)], 0.75),
    ],
)
def test_most_specific_picks_by_dimensions_confidence_nearness_size(
    matches: list[Match], multiplier: float
) -> None:
    settings = LearningSettings(strategy="most_specific")
    assert resolve_matches(matches, settings).multiplier == multiplier
    assert resolve_matches(matches[::-1], settings).multiplier == multiplier


def test_the_clamps_are_those_of_now() -> None:
    settings = LearningSettings(multiplier_min=0.9, multiplier_max=1.1)
    assert resolve_matches([match(1, 2.0, 0.5, 1)], settings).multiplier == 1.1
    assert resolve_matches([match(1, 0.3, 0.5, 1)], settings).multiplier == 0.9


@pytest.mark.parametrize(
    ("matches", "stale", "reason"),
    [
        ([], False, "no_match"),
        ([match(1, 2.0, 0.0, 1)], False, "zero_weight"),
        ([match(1, 2.0, 0.5, 1)], True, "stale"),
        ([match(1, 2.0, 0.5, 1, specificity_alpha=5000)], False, "zero_weight"),
    ],
)
def test_what_gives_one_says_why(matches: list[Match], stale: bool, reason: str) -> None:
    resolution = resolve_matches(matches, LearningSettings(), stale=stale)
    assert (resolution.multiplier, resolution.reason) == (1.0, reason)
    assert resolution.matched == len(matches)


def test_a_resolution_explains_itself() -> None:
    resolution = resolve_matches([match(1, 2.0, 0.5, 1), match(2, 1.5, 0.5, 0)], LearningSettings(), run_id=7)
    shown = resolution.to_dict(limit=1)
    assert (shown["matched"], len(shown["matches"]), shown["run_id"]) == (2, 1, 7)
    assert shown["matches"][0] == {
        "id": 1,
        "scope_subset": {"d0": 0},
        "multiplier": 2.0,
        "confidence_score": 0.5,
        "weight": 0.5 * 2**1.5,
    }
    assert "matched" in str(resolution)


MATCHED = Resolution(1.5, "matched", run_id=3)


@pytest.mark.parametrize(
    ("action", "resolution", "skew", "size"),
    [
        ({"action_category": "entry", "size_frac": 0.4}, MATCHED, 1.0, 0.6),
        ({"action_type": "scale_up", "size_frac": 0.4}, MATCHED, 0.5, 0.3),
        ({"decision_type": "E1", "size_frac": 0.4}, MATCHED, 1.0, 0.6),
        ({"action_category": "entry", "size_frac": 0.9}, MATCHED, 1.0, 1.0),
        ({"action_category": "entry", "size_frac": -0.9}, MATCHED, 1.0, 0.0),
        ({"action_category": "entry", "size_frac": 0.4}, MATCHED, math.nan, 0.6),
        ({"action_category": "entry", "size_frac": 0.4}, MATCHED, None, 0.6),
        ({"action_category": "entry", "size_frac": 0.4}, None, 1.0, 0.4),
        ({"action_category": "entry", "size_frac": 0.4}, math.inf, 1.0, 0.4),
        ({"action_category": "entry", "size_frac": 0.4}, 0.5, 1.0, 0.2),
        ({"action_category": "entry", "size_frac": "0.4"}, MATCHED, 1.0, 0.0),
        ({"action_category": "entry", "size_frac": math.nan}, MATCHED, 1.0, 0.0),
        ({"action_category": "entry", "size_frac": True}, MATCHED, 1.0, 0.0),
        ({"action_category": "entry"}, MATCHED, 1.0, 0.0),
        ({"action_category": "entry", "size_frac": 10**400}, MATCHED, 1.0, 0.0),
        ({"action_category": "entry", "size_frac": 1e308}, MATCHED, 1e308, 1.0),
    ],
)
def test_sizes(action: dict[str, Any], resolution: Any, skew: Any, size: float) -> None:
    before = dict(action)
    sized = apply_strength(action, resolution, skew)
    assert math.isclose(sized["size_frac"], size, rel_tol=1e-15)
    assert action == before
    assert sized["strength"]["reason"] in ("matched", "bad_input")


@pytest.mark.parametrize(
    "action",
    [
        {"action_category": "trim", "size_frac": 0.4},
        {"action_type": "exit", "size_frac": 0.4},
        {"action_type": "hodl", "size_frac": 0.4},
        {"action_type": 5, "size_frac": 0.4},
        {"size_frac": 0.4},
        {},
    ],
)
def test_all_but_entries_and_adds_are_left_alone(action: dict[str, Any]) -> None:
    assert apply_strength(action, MATCHED) == action


def test_the_size_says_what_made_it() -> None:
    sized = apply_strength({"action_category": "add", "size_frac": 0.2}, MATCHED, 2.0)
    assert sized["strength"] == {
        "multiplier": 1.5,
        "reason": "matched",
        "exposure_skew": 2.0,
        "size_frac_before": 0.2,
        "run_id": 3,
    }
    broken = apply_strength({"action_category": "add", "size_frac": None}, MATCHED)
    assert (broken["size_frac"], broken["strength"]["reason"]) == (0.0, "bad_input")
    assert apply_strength("no action at all", MATCHED) == {}  # type: ignore[arg-type]
