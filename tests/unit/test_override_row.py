"""Which overrides there can be: the table of cases that the database is held to as well."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pm_strength import LearningSettings, OverrideBook, PmStrengthError
from pm_strength.errors import OverrideError
from pm_strength.json_values import parse_json
from pm_strength.runtime.override_row import (
    MAX_CONFIDENCE,
    MAX_MULTIPLIER,
    MIN_CONFIDENCE,
    MIN_MULTIPLIER,
)

SHARED = Path(__file__).parents[2] / "supabase" / "functions" / "_shared"
CASES = parse_json((SHARED / "overrides.cases.json").read_text())
GROUP = {"pattern_key": "p", "action_category": "entry"}


def row(number: int = 7, **fields: Any) -> dict[str, Any]:
    return {"id": number, **GROUP, "scope_subset": {}, "multiplier": 1.2, "confidence_score": 0.5} | fields


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_shared_cases(case: dict[str, Any]) -> None:
    rows = [row(1), row(2, **case["override"])]
    if case["valid"]:
        assert len(OverrideBook(rows)) == 2
        return
    with pytest.raises(OverrideError) as caught:
        OverrideBook(rows)
    assert caught.value.field.split(".")[0] == case["field"]
    assert str(caught.value).startswith(f"{caught.value.field}: expected ")
    assert str(caught.value).endswith("(override 2)")


@pytest.mark.parametrize(
    "value", [None, "1.2", True, float("nan"), float("inf"), Decimal("NaN"), 10**400, []]
)
@pytest.mark.parametrize("field", ["multiplier", "confidence_score"])
def test_a_number_must_be_a_finite_number(field: str, value: Any) -> None:
    with pytest.raises(OverrideError, match=f"^{field}: expected 0 or a number from 1e-"):
        OverrideBook([row(**{field: value})])


@pytest.mark.parametrize("field", ["pattern_key", "action_category", "scope_subset"])
@pytest.mark.parametrize("value", [None, 5])
def test_a_field_of_another_type_is_named(field: str, value: Any) -> None:
    with pytest.raises(OverrideError, match=f"^{field}: expected "):
        OverrideBook([row(**{field: value})])


@pytest.mark.parametrize("field", list(row()))
def test_a_field_that_is_missing_is_named(field: str) -> None:
    fields = row()
    del fields[field]
    with pytest.raises(OverrideError, match=f"^{field}: expected a value, got nothing"):
        OverrideBook([fields])


def test_the_dimension_is_named() -> None:
    with pytest.raises(PmStrengthError, match=r"^scope_subset\.rank: expected a number that a double holds"):
        OverrideBook([row(scope_subset={"rank": 2**53 + 1})])


def test_numbers_of_other_types_are_read() -> None:
    book = OverrideBook(
        [row(multiplier=Decimal("1.5"), confidence_score=1, scope_subset={"x": Decimal("0.1")})]
    )
    assert book.resolve("p", "entry", {"x": 0.1}).multiplier == 1.5


@pytest.mark.parametrize("strategy", ["blend", "most_specific", "sum"])
@pytest.mark.parametrize("confidence", [MIN_CONFIDENCE, MAX_CONFIDENCE])
@pytest.mark.parametrize("multiplier", [MIN_MULTIPLIER, MAX_MULTIPLIER])
def test_at_the_bounds_nothing_overflows_and_nothing_is_lost(
    multiplier: float, confidence: float, strategy: str
) -> None:
    scope = {f"d{number}": number for number in range(64)}
    settings = LearningSettings(
        specificity_alpha=100, multiplier_min=0, multiplier_max=MAX_MULTIPLIER, strategy=strategy
    )
    rows = [
        row(number, scope_subset=subset, multiplier=multiplier, confidence_score=confidence)
        for number in range(500)
        for subset in (scope, {})
    ]
    resolution = OverrideBook(rows, settings).resolve("p", "entry", scope)
    assert (resolution.reason, resolution.matched) == ("matched", 1000)
    # so many small ones take all away, so many large ones are clamped
    wanted = max(0.0, min(MAX_MULTIPLIER, 1 + 1000 * (multiplier - 1))) if strategy == "sum" else multiplier
    assert resolution.multiplier == pytest.approx(wanted, rel=1e-12)
    assert sum(match.share for match in resolution.matches) == pytest.approx(1, rel=1e-12)
