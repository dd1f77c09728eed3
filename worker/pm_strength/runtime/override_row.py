"""One row of pm_overrides as it is read, and the bounds that the database holds it to as well.

Within them, and with a `specificity_alpha` of at most 100, no weight and no sum of weights is beyond
what a double holds, however many overrides hold: 65^100 is some 1e181.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import OverrideError
from ..json_values import finite
from ..overrides.bounds import LEAST_CONFIDENCE, LEAST_MULTIPLIER, MOST_CONFIDENCE, MOST_MULTIPLIER
from ..scopes import MAX_DIMENSIONS, ScopeError, TypedValue, typed_scope
from ..settings import LearningSettings
from .resolution import Match, match_weight


def read_override(row: Mapping[str, Any], settings: LearningSettings) -> tuple[Match, dict[str, TypedValue]]:
    """The override of a row, and its scope_subset as scopes are compared.

    Raises `OverrideError` naming the field that is missing or out of bounds.
    """
    try:
        number, subset = row["id"], row["scope_subset"]
        pattern_key, action_category = row["pattern_key"], row["action_category"]
        multiplier, confidence = row["multiplier"], row["confidence_score"]
    except KeyError as missing:
        raise OverrideError(str(missing.args[0]), "a value", None, row.get("id")) from None
    if not (isinstance(pattern_key, str) and isinstance(action_category, str)):
        field = "action_category" if isinstance(pattern_key, str) else "pattern_key"
        raise OverrideError(field, "a text", row[field], number)
    scope = _scope(subset, number)
    # written out for the doubles that the database gives: a book has 100,000 rows
    if not (type(multiplier) is float and LEAST_MULTIPLIER <= multiplier <= MOST_MULTIPLIER):
        multiplier = _bounded("multiplier", multiplier, LEAST_MULTIPLIER, MOST_MULTIPLIER, number)
    if not (type(confidence) is float and LEAST_CONFIDENCE <= confidence <= MOST_CONFIDENCE):
        confidence = _bounded("confidence_score", confidence, LEAST_CONFIDENCE, MOST_CONFIDENCE, number)
    weight = match_weight(confidence, len(subset), settings)
    return Match(number, subset, multiplier, confidence, weight), scope


def _bounded(field: str, given: object, least: float, most: float, number: int | str) -> float:
    value = finite(given)
    if value is None or not (least <= value <= most or value == 0):
        raise OverrideError(field, f"0 or a number from {least:g} to {most:g}", given, number)
    return value


def _scope(subset: object, number: int | str) -> dict[str, TypedValue]:
    if type(subset) is not dict and not isinstance(subset, Mapping):
        raise OverrideError("scope_subset", "an object", subset, number)
    if len(subset) > MAX_DIMENSIONS:
        raise OverrideError("scope_subset", f"at most {MAX_DIMENSIONS} dimensions", len(subset), number)
    try:
        return typed_scope(subset, "scope_subset", held=True)
    except ScopeError as error:
        raise OverrideError(error.field, error.expected, error.got, number) from None
