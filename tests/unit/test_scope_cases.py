"""Scopes are read as the edge functions read them: both are held to one table of cases."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pm_strength import OverrideBook, PmStrengthError
from pm_strength.scopes import checked_scope, typed_scope

SHARED = Path(__file__).parents[2] / "supabase" / "functions" / "_shared"
CASES = json.loads((SHARED / "scopes.cases.json").read_text())
OBJECTS = [case for case in CASES if case["scope"].startswith("{")]


def read(text: str) -> Any:
    """JSON with its numbers as they are written."""
    return json.loads(text, parse_float=Decimal)


@pytest.mark.parametrize("case", OBJECTS, ids=lambda case: case["name"])
def test_the_dimensions_that_the_runtime_reads(case: dict[str, Any]) -> None:
    if case["wrong"] is None:
        assert typed_scope(read(case["scope"])) == typed_scope(read(case["dimensions"]))
        assert list(typed_scope(read(case["scope"]))) == list(read(case["dimensions"]))
        return
    with pytest.raises(PmStrengthError, match=rf"^scope\.{case['wrong']}: expected "):
        typed_scope(read(case["scope"]))


@pytest.mark.parametrize("case", OBJECTS, ids=lambda case: case["name"])
def test_the_dimensions_that_capture_keeps(case: dict[str, Any]) -> None:
    refused = case["wrong"] or case.get("refused_in_a_strand")
    if refused is None:
        assert typed_scope(checked_scope(read(case["scope"]), {})) == typed_scope(read(case["dimensions"]))
        return
    with pytest.raises(PmStrengthError, match=rf"^content\.scope\.{refused}: expected "):
        checked_scope(read(case["scope"]), {})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_overrides_that_hold_are_those_of_the_dimensions(case: dict[str, Any]) -> None:
    """One override asks for nothing, and one for each dimension that an override can ask for."""
    dimensions = read(case["dimensions"] or "{}")
    asked = {name: value for name, value in dimensions.items() if name != case.get("refused_in_a_strand")}
    subsets = [{}, *({name: value} for name, value in asked.items())]
    rows = [
        {
            "id": number,
            "pattern_key": "p",
            "action_category": "entry",
            "scope_subset": subset,
            "multiplier": 1.5,
            "confidence_score": 0.5,
        }
        for number, subset in enumerate(subsets)
    ]
    resolution = OverrideBook(rows).resolve("p", "entry", read(case["scope"]))
    if case["wrong"] is None:
        assert (resolution.reason, resolution.matched) == ("matched", len(rows))
    else:
        assert (resolution.reason, resolution.matched) == ("bad_input", 0)
