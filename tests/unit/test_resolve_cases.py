"""The book resolves as the database does: both are held to one table of cases."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pm_strength import LearningSettings, OverrideBook

SHARED = Path(__file__).parents[2] / "supabase" / "functions" / "_shared"
CASES = json.loads((SHARED / "resolve.cases.json").read_text(), parse_float=Decimal)
NOW = datetime(2026, 1, 5, tzinfo=UTC)


def plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_it_resolves_as_the_table_says(case: dict[str, Any]) -> None:
    rows = [
        {"id": number, "pattern_key": "p", "action_category": "entry", **override}
        for number, override in enumerate(case["overrides"])
    ]
    settings = {name: plain(value) for name, value in case.get("settings", {}).items()}
    age = case.get("age_hours")
    book = OverrideBook(
        rows,
        LearningSettings.from_mapping(settings),
        profile=case.get("profile"),
        exposure_scale=plain(case.get("exposure_scale", 1.0)),
        as_of=None if age is None else NOW - timedelta(hours=age),
        clock=lambda: NOW,
    )
    got = book.resolve(
        case.get("pattern_key", "p"),
        case.get("action_category", "entry"),
        case["scope"],
        strategy=case.get("strategy"),
    )
    assert (got.reason, got.matched) == (case["reason"], case["matched"])
    assert got.multiplier == pytest.approx(plain(case["multiplier"]), rel=1e-12)
    for name in ("a_multiplier", "e_multiplier"):
        wanted = plain(case.get(name))
        assert getattr(got, name) == (None if wanted is None else pytest.approx(wanted, rel=1e-12)), name
    assert [match.id for match in got.matches] == [match["override"] for match in case["matches"]]
    weights = [plain(match["weight"]) for match in case["matches"]]
    assert [match.weight for match in got.matches] == pytest.approx(weights, rel=1e-12)
