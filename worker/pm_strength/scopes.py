"""In which context an action was taken: scopes, their dimensions and their limits.

A dimension is a key of a scope whose value is a non-empty string, a number or a boolean.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from .errors import ScopeError
from .json_values import MAX_INTEGER, Exact, Scalar, is_held, is_too_long, plain, shown

MAX_DIMENSIONS = 64
MAX_CHARACTERS = 200
MAX_BYTES = 16 * 1024
# JSON of so many characters cannot make a scope over the limit: a character takes at most 4 bytes, and
# a number at most 5 times its length (1e15).
SMALL_CHARACTERS = MAX_BYTES // 8

HELD_BY_A_DOUBLE = "a number that a double holds (integers to 2^53)"

# Made once: json makes one for each call with options, which costs more than reading a strand.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)

# A value with its JSON type: 1 and 1.0 are one value, but 1, "1" and true are three.
TypedValue = tuple[str, Scalar | Exact]


def is_dimension(value: object) -> bool:
    """Whether a value makes its key a dimension; a number must be finite."""
    if isinstance(value, str):
        return value != ""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int) or plain(value) is not None


def checked_scope(
    action_scope: Mapping[str, Any], entry_context: Mapping[str, Any], small: bool = False
) -> dict[str, Scalar]:
    """The dimensions of an action's scope, and those of its trade's entry that it lacks, as plain JSON.

    The action wins: its scope is what the runtime looks overrides up with. `small` says that both came
    from at most `SMALL_CHARACTERS` of JSON, so that the bytes need no counting. Raises `ScopeError` that
    names the dimension, or `content.scope`, that is over a limit.
    """
    scope: dict[str, Scalar] = {}
    # a fast path for texts, which most values are: this loop is half of the time of capture
    for source in (action_scope, entry_context):
        for key, value in source.items():
            if key in scope:
                continue
            if type(value) is str:
                if value == "":
                    continue
                if len(value) > MAX_CHARACTERS:
                    raise _over(key, f"at most {MAX_CHARACTERS} characters", f"{len(value)}")
            elif not is_dimension(value):
                continue
            if len(key) > MAX_CHARACTERS:
                raise _over(key, f"a key of at most {MAX_CHARACTERS} characters", f"{len(key)}")
            scope[key] = value if isinstance(value, str | bool) else _checked_number(key, value)
    if len(scope) > MAX_DIMENSIONS:
        raise ScopeError("content.scope", f"at most {MAX_DIMENSIONS} dimensions", str(len(scope)))
    for size in () if small else (_bytes(action_scope), _bytes(scope)):
        if size > MAX_BYTES:
            raise ScopeError("content.scope", f"at most {MAX_BYTES} bytes", f"{size} bytes")
    return scope


def typed(value: Any) -> TypedValue:
    """A dimension's value in the form in which two are compared."""
    found = plain(value)
    if isinstance(found, bool):
        return ("boolean", found)
    if isinstance(found, str):
        return ("string", found)
    number = value if found is None else found
    # to Python the double 0.1 equals the 55 digits that it stands for; to jsonb it does not
    return ("number" if is_held(number) else "longer number", number)


def typed_scope(scope: Mapping[str, Any], path: str = "scope", held: bool = False) -> dict[str, TypedValue]:
    """The dimensions of a scope in the form in which scopes are compared.

    Raises `ScopeError` that names the dimension, below `path`, for a whole number beyond 2^53. With
    `held` it does so for any number that a double does not hold.
    """
    found: dict[str, TypedValue] = {}
    # a fast path for the types of JSON, which most values have: this is much of the time of resolving
    for key, value in scope.items():
        kind = type(value)
        if kind is str:
            if value:
                found[key] = ("string", value)
        elif kind is bool:
            found[key] = ("boolean", value)
        elif (kind is int or kind is float) and -MAX_INTEGER <= value <= MAX_INTEGER:
            found[key] = ("number", value)
        elif is_dimension(value):
            found[key] = _, number = typed(value)
            if not isinstance(number, str) and (is_too_long(number) or (held and not is_held(number))):
                raise ScopeError(f"{path}.{key}"[:MAX_CHARACTERS], HELD_BY_A_DOUBLE, shown(number))
    return found


# A scope as it is compared, to look it up by.
ScopeKey = frozenset[tuple[str, TypedValue]]


def scope_key(scope: Mapping[str, Any]) -> ScopeKey:
    """The dimensions of a scope as they are compared: equal for equal scopes, however they are written."""
    return frozenset(typed_scope(scope).items())


def _over(key: str, expected: str, got: str) -> ScopeError:
    return ScopeError(f"content.scope.{key[:MAX_CHARACTERS]}", expected, got)


def _checked_number(key: str, value: int | float | Decimal) -> int | float:
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise _over(key, HELD_BY_A_DOUBLE, shown(value))
        return value
    number = float(value)
    # An exponent like 1e-400 would make the exact comparison astronomically slow, and is lost anyway.
    survives = math.isfinite(number) and (number != 0 or value == 0) and Decimal(repr(number)) == value
    if not survives or (number == math.floor(number) and abs(number) > MAX_INTEGER):
        raise _over(key, HELD_BY_A_DOUBLE, shown(value))
    return number


def _bytes(value: Mapping[str, Any]) -> int:
    try:
        text = _ENCODER.encode(value)
    except RecursionError:
        return MAX_BYTES + 1
    return len(text.encode("utf-8", "surrogatepass"))
