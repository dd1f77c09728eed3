"""One row of pm_overrides, held to the bounds that the database holds it to as well.

Within them, and with a `specificity_alpha` of at most 100, no weight and no sum of weights is too large
for a double, however many overrides hold: 65^100 is some 1e181.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OverrideError, ScopeError
from ..json_values import finite, shown
from ..overrides.bounds import (
    MAX_CONFIDENCE,
    MAX_MULTIPLIER,
    MAX_SCORE_MULTIPLIER,
    MIN_CONFIDENCE,
    MIN_MULTIPLIER,
    MIN_SCORE_MULTIPLIER,
)
from ..scopes import MAX_DIMENSIONS, TypedValue, typed_scope
from ..settings import LearningSettings
from .resolution import Match, match_weight


def read_override(row: Mapping[str, Any], settings: LearningSettings) -> tuple[Match, dict[str, TypedValue]]:
    """The override of a row, and its scope_subset in the form in which scopes are compared.

    Raises `OverrideError` that names the field that is missing or out of bounds.
    """
    try:
        number, subset = row["id"], row["scope_subset"]
        pattern_key, action_category = row["pattern_key"], row["action_category"]
        multiplier, confidence = row["multiplier"], row["confidence_score"]
    except KeyError as missing:
        raise OverrideError(str(missing.args[0]), "a value", shown(None), row.get("id")) from None
    if not (isinstance(pattern_key, str) and isinstance(action_category, str)):
        field = "action_category" if isinstance(pattern_key, str) else "pattern_key"
        raise OverrideError(field, "a text", shown(row[field]), number)
    scope = _scope(subset, number)
    # a fast path for the doubles that the database gives: a book has 100,000 rows
    if not (type(multiplier) is float and MIN_MULTIPLIER <= multiplier <= MAX_MULTIPLIER):
        multiplier = _bounded("multiplier", multiplier, MIN_MULTIPLIER, MAX_MULTIPLIER, number, signed=True)
    if not (type(confidence) is float and MIN_CONFIDENCE <= confidence <= MAX_CONFIDENCE):
        confidence = _bounded("confidence_score", confidence, MIN_CONFIDENCE, MAX_CONFIDENCE, number)
    weight = match_weight(confidence, len(subset), settings)
    stats = row.get("stats")
    return Match(
        number,
        subset,
        multiplier,
        confidence,
        weight,
        stats=stats if isinstance(stats, Mapping) else None,
        a_multiplier=_score_multiplier("a_multiplier", row, number),
        e_multiplier=_score_multiplier("e_multiplier", row, number),
    ), scope


def _score_multiplier(field: str, row: Mapping[str, Any], number: int | str) -> float | None:
    """A multiplier of the A or the E score; None where the row has none."""
    given = row.get(field)
    if given is None:
        return None
    value = finite(given)
    if value is None or not MIN_SCORE_MULTIPLIER <= value <= MAX_SCORE_MULTIPLIER:
        expected = f"nothing or a number from {MIN_SCORE_MULTIPLIER:g} to {MAX_SCORE_MULTIPLIER:g}"
        raise OverrideError(field, expected, shown(given), number)
    return value


def _bounded(
    field: str, given: object, low: float, high: float, number: int | str, *, signed: bool = False
) -> float:
    value = finite(given)
    size = abs(value) if signed and value is not None else value
    if value is None or size is None or not (low <= size <= high or value == 0):
        either = " of either sign" if signed else ""
        raise OverrideError(field, f"0 or a number from {low:g} to {high:g}{either}", shown(given), number)
    return value


def _scope(subset: object, number: int | str) -> dict[str, TypedValue]:
    if type(subset) is not dict and not isinstance(subset, Mapping):
        raise OverrideError("scope_subset", "an object", shown(subset), number)
    if len(subset) > MAX_DIMENSIONS:
        raise OverrideError(
            "scope_subset", f"at most {MAX_DIMENSIONS} dimensions", shown(len(subset)), number
        )
    try:
        return typed_scope(subset, "scope_subset", held=True)
    except ScopeError as error:
        raise OverrideError(error.field, error.expected, error.got, number) from None
