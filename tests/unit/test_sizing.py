"""From matches to a multiplier and from a multiplier to a size (contract section 4)."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pm_strength import LearningSettings, Match, OverrideBook, Resolution, apply_strength
from pm_strength.runtime.resolution import Matches

Row = dict[str, Any]
SHARED = Path(__file__).parents[2] / "supabase" / "functions" / "_shared"
CASES = json.loads((SHARED / "sizing.cases.json").read_text(), parse_float=Decimal)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def plain(value: Any) -> Any:
    """Numbers as doubles, as a bot reads them."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    return float(value) if isinstance(value, Decimal) else value


def override(number: int, multiplier: float, confidence: float, dimensions: int) -> Row:
    return {
        "id": number,
        "pattern_key": "p",
        "action_category": "add",
        "scope_subset": {f"d{i}": i for i in range(dimensions)},
        "multiplier": multiplier,
        "confidence_score": confidence,
    }


def resolve(rows: list[Row], stale: bool = False, run_id: int | None = None, **settings: Any) -> Resolution:
    """The resolution in a scope in which all of them hold."""
    book = OverrideBook(rows, LearningSettings(**settings), run_id=run_id, as_of=LONG_AGO if stale else None)
    return book.resolve("p", "add", {f"d{i}": i for i in range(5)})


def test_blend_is_the_weighted_mean() -> None:
    matches = [override(1, 1.5, 0.5, 0), override(2, 0.8, 0.25, 3)]
    weights = (0.5 * 1**1.5, 0.25 * 4**1.5)
    expected = (weights[0] * 1.5 + weights[1] * 0.8) / sum(weights)
    resolution = resolve(matches)
    assert math.isclose(resolution.multiplier, expected, rel_tol=1e-15)
    assert (resolution.reason, resolution.matched) == ("matched", 2)
    assert [found.id for found in resolution.matches] == [2, 1]


@pytest.mark.parametrize(
    ("matches", "multiplier"),
    [
        ([override(1, 1.5, 0.9, 1), override(2, 0.8, 0.1, 2)], 0.8),
        ([override(1, 1.5, 0.9, 2), override(2, 0.8, 0.1, 2)], 1.5),
        ([override(1, 1.5, 0.5, 2), override(2, 0.8, 0.5, 2)], 0.8),
        ([override(1, 1.25, 0.5, 2), override(2, 0.75, 0.5, 2)], 0.75),
    ],
)
def test_most_specific_picks_by_dimensions_confidence_nearness_size(
    matches: list[Row], multiplier: float
) -> None:
    assert resolve(matches, strategy="most_specific").multiplier == multiplier
    assert resolve(matches[::-1], strategy="most_specific").multiplier == multiplier


def test_a_request_may_name_its_own_strategy() -> None:
    book = OverrideBook([override(1, 2.0, 0.9, 1), override(2, 0.5, 0.1, 2)])
    scope = {"d0": 0, "d1": 1}
    assert book.resolve("p", "add", scope, strategy="most_specific").multiplier == 0.5
    assert book.resolve("p", "add", scope, strategy="blend") == book.resolve("p", "add", scope)
    unknown = book.resolve("p", "add", scope, strategy="best")
    assert (unknown.multiplier, unknown.reason) == (1.0, "bad_input")


def test_the_clamps_are_those_of_now() -> None:
    clamps = {"multiplier_min": 0.9, "multiplier_max": 1.1}
    assert resolve([override(1, 2.0, 0.5, 1)], **clamps).multiplier == 1.1
    assert resolve([override(1, 0.3, 0.5, 1)], **clamps).multiplier == 0.9


@pytest.mark.parametrize(
    ("matches", "stale", "reason"),
    [
        ([], False, "no_match"),
        ([override(1, 2.0, 0.0, 1)], False, "zero_weight"),
        ([override(1, 2.0, 0.5, 1)], True, "stale"),
    ],
)
def test_what_gives_one_says_why(matches: list[Row], stale: bool, reason: str) -> None:
    resolution = resolve(matches, stale=stale)
    assert (resolution.multiplier, resolution.reason) == (1.0, reason)
    assert resolution.matched == len(matches)


def test_a_resolution_explains_itself() -> None:
    resolution = resolve([override(1, 2.0, 0.5, 1), override(2, 1.5, 0.5, 0)], run_id=7)
    shown = resolution.to_dict(limit=1)
    assert (shown["matched"], len(shown["matches"]), shown["run_id"]) == (2, 1, 7)
    assert shown["matches"][0] == {
        "id": 1,
        "scope_subset": {"d0": 0},
        "multiplier": 2.0,
        "confidence_score": 0.5,
        "weight": 0.5 * 2**1.5,
        "share": pytest.approx(2**1.5 / (2**1.5 + 1)),
    }
    assert json.loads(json.dumps(shown))["multiplier"] == resolution.multiplier
    assert math.isclose(
        sum(match.share * match.multiplier for match in resolution.matches), resolution.multiplier
    )


def test_a_resolution_prints_as_a_table() -> None:
    made = datetime(2026, 1, 5, 10, 10, tzinfo=UTC)
    scope = {"d0": 0} | {f"e{n}": 1 for n in range(30)}
    book = OverrideBook(
        [override(n, 2.0, 0.5, 1) | {"scope_subset": {"d0": 0, f"e{n}": 1}} for n in range(30)]
        + [override(99, 1.5, 0.5, 0)],
        run_id=7,
        as_of=made,
        clock=lambda: made + timedelta(hours=1.5),
    )
    lines = str(book.resolve("p", "add", scope)).splitlines()
    assert lines[0].startswith("multiplier 1.99")
    assert lines[0].endswith("(matched, blend), 31 matched, mining run 7, 1.5 h old")
    assert lines[1].split() == ["multiplier", "weight", "share", "scope"]
    assert lines[2].split()[:3] == ["2.0000", "2.5981", "3.3%"]
    assert (len(lines), lines[-1]) == (23, "  and 11 lighter ones")
    assert str(Resolution.neutral("unavailable")) == "multiplier 1.0000 (unavailable), 0 matched"


def test_weights_of_nothing_have_no_share() -> None:
    group = [Match(n, {}, 1.0, 0.0, 0.0) for n in range(2)]
    assert [match.share for match in Matches(group, [0, 1])] == [0.0, 0.0]


MATCHED = Resolution(1.5, "matched", run_id=3)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_sizes_as_the_table_says(case: Row) -> None:
    """The sizing function is tested with the same table."""
    action, given = case["action"], case["resolution"]
    resolution = Resolution(given["multiplier"], given["reason"], run_id=given["run_id"])
    sized = apply_strength(action, resolution, action.get("exposure_skew"))
    if case["strength"] is None:
        assert sized == action
        assert case["size_frac"] == action.get("size_frac")
        return
    wanted = action | {"size_frac": plain(case["size_frac"]), "strength": plain(case["strength"])}
    assert sized == wanted
    json.dumps(sized["strength"], allow_nan=False)


@pytest.mark.parametrize(
    ("action", "resolution", "skew", "size"),
    [
        ({"action_category": "entry", "size_frac": 0.4}, MATCHED, math.nan, 0.6),
        ({"action_category": "entry", "size_frac": 0.4}, None, 1.0, 0.4),
        ({"action_category": "entry", "size_frac": 0.4}, math.inf, 1.0, 0.4),
        ({"action_category": "entry", "size_frac": 0.4}, Resolution(math.nan, "matched"), 1.0, 0.4),
        ({"action_category": "entry", "size_frac": 0.4}, Resolution(math.inf, "matched"), 1.0, 0.4),
        ({"action_category": "entry", "size_frac": 0.4}, 0.5, 1.0, 0.2),
        ({"action_category": "entry", "size_frac": math.nan}, MATCHED, 1.0, 0.0),
        ({"action_category": "entry"}, MATCHED, 1.0, 0.0),
        ({"action_category": "entry", "size_frac": 10**400}, MATCHED, 1.0, 0.0),
        ({"action_category": "entry", "size_frac": np.float32(0.5)}, MATCHED, 1.0, 0.75),
        ({"action_category": "entry", "size_frac": Decimal("0.4")}, MATCHED, Fraction(1, 2), 0.3),
        ({"action_category": "entry", "size_frac": 0.4}, MATCHED, np.int64(2), 1.0),
        ({"action_category": "entry", "size_frac": 0.4}, np.float32(0.5), Decimal("0.5"), 0.1),
        ({"action_category": "entry", "size_frac": 0.4}, Fraction(1, 2), np.bool_(True), 0.2),
        ({"action_category": "entry", "size_frac": 0.4}, Decimal("Infinity"), Decimal("sNaN"), 0.4),
        ({"action_category": "entry", "size_frac": np.bool_(True)}, MATCHED, 1.0, 0.0),
        ({"action_category": "entry", "size_frac": np.array(0.4)}, MATCHED, 1.0, 0.0),
    ],
)
def test_sizes(action: dict[str, Any], resolution: Any, skew: Any, size: float) -> None:
    before = dict(action)
    sized = apply_strength(action, resolution, skew)
    assert math.isclose(sized["size_frac"], size, rel_tol=1e-15)
    assert action == before
    assert sized["strength"]["reason"] in ("matched", "bad_input")
    json.dumps(sized["strength"], allow_nan=False)


def test_an_action_without_anything_is_left_alone() -> None:
    assert apply_strength({}, MATCHED) == {}


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


def test_an_action_that_cannot_be_read_is_no_error() -> None:
    class Broken(dict[str, Any]):
        keys = __iter__ = lambda self: 1 / 0  # type: ignore[assignment]

    assert apply_strength(Broken(size_frac=0.5, action_category="entry"), 1.5) == {}
    assert apply_strength(5, 1.5) == {}  # type: ignore[arg-type]


def test_an_override_of_a_sum_explains_itself() -> None:
    stats = {"evidence": 850.4, "n": 120, "n_effective": 95.2}
    match = Match(1, {"tf": "4h", "family": "ai"}, 0.79, 0.9, 1.0, stats=stats)
    assert match.explain() == "family=ai, tf=4h: -0.21 (evidence 850, 120 trades that count as 95)"
    assert Match(1, {}, 1.034, 1.0, 1.0).explain() == "always: +0.03"
    tilt = Match(
        1, {"fresh": True, "rank": 2}, 1.1, 1.0, 1.0, stats={"evidence": 999999999999999.8, "n": 1200}
    )
    assert tilt.explain() == "fresh=true, rank=2: +0.10 (evidence over 1,000,000, 1,200 trades)"


def test_a_resolution_by_sum_shows_what_each_override_adds() -> None:
    rows = [
        {"id": 1, "scope_subset": {}, "multiplier": 1.05, "stats": {"evidence": None, "n": 400}},
        {"id": 2, "scope_subset": {"tf": "4h"}, "multiplier": 0.75, "stats": {"evidence": 40, "n": 90}},
    ]
    group = {"pattern_key": "p", "action_category": "entry", "confidence_score": 0.9}
    book = OverrideBook([row | group for row in rows], LearningSettings(profile="guarded"))
    resolution = book.resolve("p", "entry", {"tf": "4h"})
    assert str(resolution).splitlines() == [
        "multiplier 0.8000 (matched, sum), 2 matched",
        "  tf=4h: -0.25 (evidence 40, 90 trades)",
        "  always: +0.05 (400 trades)",
    ]
    assert resolution.to_dict()["matches"][0]["stats"] == {"evidence": 40, "n": 90}


def test_multipliers_of_the_scores_are_told_where_they_are_on() -> None:
    action = {"action_category": "entry", "size_frac": 0.5}
    on = Resolution(1.1, "matched", a_multiplier=1.05, e_multiplier=0.9)
    strength = apply_strength(action, on)["strength"]
    assert (strength["a_multiplier"], strength["e_multiplier"]) == (1.05, 0.9)
    assert "a_multiplier" not in apply_strength(action, Resolution(1.1, "matched"))["strength"]
    assert "strength" not in apply_strength({"action_category": "exit"}, on)
