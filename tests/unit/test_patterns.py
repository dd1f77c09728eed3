"""Pattern keys and categories: the table of the contract's section 5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pm_strength import PmStrengthError, generate_canonical_pattern_key
from pm_strength.patterns import canonical_action_category

CATEGORIES = {
    "entry": ["entry_immediate", "e1", "e2", "entry", "buy", "rebuy"],
    "add": ["add", "scale_up"],
    "trim": ["trim", "partial_exit"],
    "exit": ["cut", "emergency_exit", "panic_exit", "exit", "sell"],
}


@pytest.mark.parametrize(
    ("alias", "category"), [(alias, name) for name, aliases in CATEGORIES.items() for alias in aliases]
)
def test_aliases_in_any_case(alias: str, category: str) -> None:
    for text in (alias, alias.upper(), alias.title()):
        assert canonical_action_category(text) == category


@pytest.mark.parametrize("value", ["hodl", "", None, 5, True, [], " entry", "entry "])
def test_an_unknown_action_is_an_error_that_lists_the_known(value: Any) -> None:
    with pytest.raises(PmStrengthError, match="expected one of add, buy"):
        canonical_action_category(value)


CASES = json.loads(
    (Path(__file__).parents[2] / "supabase" / "functions" / "_shared" / "patterns.cases.json").read_text()
)


@pytest.mark.parametrize("case", CASES["keys"], ids=lambda case: case["pattern_key"].split("=")[-1])
def test_pattern_keys(case: dict[str, Any]) -> None:
    """The table that the TypeScript is tested with too."""
    made = generate_canonical_pattern_key(
        "pm", case["action_type"], case["action_context"], case["uptrend_signals"]
    )
    assert made == (case["pattern_key"], case["action_category"])


@pytest.mark.parametrize("case", CASES["errors"])
def test_errors_name_the_field(case: dict[str, Any]) -> None:
    with pytest.raises(PmStrengthError, match=f"^{case['error']}"):
        generate_canonical_pattern_key(case["module"], case["action_type"], case["action_context"])


def test_a_foreign_module_and_an_unknown_action_are_errors() -> None:
    with pytest.raises(PmStrengthError, match=r"^module: expected 'pm', got 'dm'"):
        generate_canonical_pattern_key("dm", "entry", {})
    with pytest.raises(PmStrengthError, match=r"^action_type: expected one of"):
        generate_canonical_pattern_key("pm", "hodl", {})
