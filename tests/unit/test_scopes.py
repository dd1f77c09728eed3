"""Dimensions, merging and the limits of a scope."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pm_strength.errors import ScopeError
from pm_strength.json_values import parse_json
from pm_strength.scopes import checked_scope, is_dimension, typed_scope


@pytest.mark.parametrize("value", ["a", " ", 0, -1, 0.0, 1.5, True, False, Decimal("1.5")])
def test_dimensions(value: Any) -> None:
    assert is_dimension(value)


@pytest.mark.parametrize("value", [None, "", [], {}, ["a"], {"a": 1}, float("nan"), float("inf")])
def test_what_is_no_dimension(value: Any) -> None:
    assert not is_dimension(value)


def test_values_compare_as_jsonb_does() -> None:
    def scope(text: str) -> dict[str, Any]:
        return typed_scope(checked_scope(parse_json(text), {}))

    assert scope('{"a": 1}') == scope('{"a": 1.0}') == scope('{"a": 1e0}')
    different = ['{"a": 1}', '{"a": "1"}', '{"a": true}', '{"a": "A"}', '{"a": "a"}', '{"a": "a "}']
    assert len({str(scope(text)) for text in different}) == len(different)


def test_the_action_wins_and_the_entry_fills_in() -> None:
    action = {"chain": "base", "rank": None, "note": "", "tags": ["x"], "hot": False}
    entry = {"chain": "solana", "rank": 2, "note": "n", "tags": "t", "hot": True, "none": None, "list": [1]}
    assert checked_scope(action, entry) == {
        "chain": "base",
        "rank": 2,
        "note": "n",
        "tags": "t",
        "hot": False,
    }


@pytest.mark.parametrize(
    ("scope", "field"),
    [
        ({f"d{i}": 1 for i in range(65)}, "content.scope"),
        ({"k" * 201: 1}, "content.scope." + "k" * 200),
        ({"note": "x" * 201}, "content.scope.note"),
        ({f"d{i}": "é" * 150 for i in range(60)}, "content.scope"),
        ({"nested": {"deep": "x" * 17_000}}, "content.scope"),
        ({"id": 2**53 + 1}, "content.scope.id"),
        ({"id": Decimal("0.1234567890123456789")}, "content.scope.id"),
        ({"id": Decimal("1e400")}, "content.scope.id"),
        ({"id": Decimal("1e-400")}, "content.scope.id"),
        ({"id": Decimal("1e300")}, "content.scope.id"),
        ({"id": 10**5000}, "content.scope.id"),
    ],
)
def test_over_a_limit_the_field_is_named(scope: dict[str, Any], field: str) -> None:
    with pytest.raises(ScopeError) as caught:
        checked_scope(scope, {})
    assert caught.value.field == field
    assert str(caught.value).startswith(field + ": expected ")


def test_at_the_limits_all_is_well() -> None:
    scope = {f"d{i}": 2**53 for i in range(62)} | {"k" * 200: "x" * 200, "n": Decimal("0.1")}
    assert checked_scope(scope, {})["n"] == 0.1
    assert len(checked_scope(scope, {})) == 64


def test_an_entry_context_counts_for_the_limit_of_bytes() -> None:
    with pytest.raises(ScopeError, match="at most 16384 bytes"):
        checked_scope({"a": 1}, {f"d{i}": "é" * 150 for i in range(60)})


def test_an_entry_context_counts_for_the_limit_of_dimensions() -> None:
    with pytest.raises(ScopeError, match="at most 64 dimensions, got 66"):
        checked_scope({f"a{i}": 1 for i in range(33)}, {f"b{i}": 1 for i in range(33)})
