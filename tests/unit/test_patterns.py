"""Pattern keys and categories: the table of the contract's section 5."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("action_type", "context", "signals", "key", "category"),
    [
        ("E1", {"state": "S1", "buy_flag": True}, None, "uptrend.S1.buy_flag", "entry"),
        ("buy", {"first_dip_buy_flag": True}, None, "uptrend.Unknown.first_dip_buy", "entry"),
        ("rebuy", {}, {"reclaimed_ema333": True}, "uptrend.Unknown.reclaimed_ema333", "entry"),
        (
            "entry",
            {"reclaimed_ema333": True, "first_dip_buy_flag": True},
            {},
            "uptrend.Unknown.first_dip_buy",
            "entry",
        ),
        ("entry", {"reclaimed_ema333": True}, {"buy_flag": True}, "uptrend.Unknown.buy_flag", "entry"),
        ("entry", {"buy_flag": "true", "state": "S2"}, {"buy_flag": 1}, "uptrend.S2.entry", "entry"),
        ("entry", None, None, "uptrend.Unknown.entry", "entry"),
        ("add", {"is_dx_buy": True, "exhaustion": True}, None, "uptrend.Unknown.dx", "add"),
        ("scale_up", {"exhaustion": True}, None, "uptrend.Unknown.exhaustion_add", "add"),
        ("add", {"state": None}, None, "uptrend.Unknown.add", "add"),
        ("trim", {"exhaustion": True, "at_support": True}, None, "uptrend.Unknown.exhaustion_trim", "trim"),
        ("partial_exit", {"at_support": True}, None, "uptrend.Unknown.support_trim", "trim"),
        ("trim", {}, None, "uptrend.Unknown.trim", "trim"),
        ("PANIC_EXIT", {"exhaustion": True}, None, "uptrend.Unknown.panic_exit", "exit"),
        ("cut", {"exhaustion": True}, None, "uptrend.Unknown.exhaustion_exit", "exit"),
        ("emergency_exit", {"state": "S0"}, None, "uptrend.S0.exit", "exit"),
        ("sell", {"pattern_family": "range", "state": "S3"}, None, "range.S3.exit", "exit"),
    ],
)
def test_pattern_keys(
    action_type: str,
    context: dict[str, Any] | None,
    signals: dict[str, Any] | None,
    key: str,
    category: str,
) -> None:
    made = generate_canonical_pattern_key("pm", action_type, context, signals)
    assert made == (f"module=pm|pattern_key={key}", category)


def test_a_foreign_module_and_an_unknown_action_are_errors() -> None:
    with pytest.raises(PmStrengthError, match=r"^module: expected 'pm', got 'dm'"):
        generate_canonical_pattern_key("dm", "entry", {})
    with pytest.raises(PmStrengthError, match=r"^action_type: expected one of"):
        generate_canonical_pattern_key("pm", "hodl", {})
