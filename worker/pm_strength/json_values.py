"""Values of JSON: read from text, recognized whatever their type in Python, and shown in errors.

Bots take their scopes and sizes from numpy, pandas and decimals: what compares as a number or a boolean
is one. Nothing here imports those libraries.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real
from typing import Any

from .errors import JsonError

# A JSON object: a row of a table, a message of a queue, an answer of a function.
Row = dict[str, Any]
Scalar = str | int | float | bool
# A number that no double holds stays exact: it then equals none that a double holds.
Exact = Decimal | Fraction

# The integers up to here are the ones that a double, and so any JSON reader, keeps apart.
MAX_INTEGER = 2**53

# An error shows so much of a value.
SHOWN_CHARACTERS = 60

# Made once: json makes one for each call with options, which costs more than reading a strand.
_DECODER = json.JSONDecoder(parse_float=Decimal)


def parse_json(text: str) -> Any:
    """JSON with its numbers as written: integers as int, all others as Decimal.

    Raises `JsonError` for what is not JSON, or is nested or long beyond what can be read.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise JsonError("nested too deeply") from None
    except ValueError as error:
        raise JsonError(str(error)) from None


def shown(value: object) -> str:
    """A value as an error shows it: on one line, at most some 60 characters, in the words of JSON."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int | Fraction | Decimal):
        return _digits(value)
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def plain(value: object) -> Scalar | Exact | None:
    """The value as the type that JSON would read it as; None where it is not a text, number or boolean.

    A number becomes an integer, or the double that is equal to it or written like it. A decimal is
    compared by how it is written, as in jsonb: the double 0.1 is the decimal 0.1, and not the 55 digits
    that the double is equal to. NaN and the infinities are None.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool) or _is_numpy_boolean(value):
        return bool(value)
    if isinstance(value, Integral):
        try:
            return int.__int__(value.__index__())
        except (AttributeError, TypeError):  # a numpy time span registers as an integer
            return None
    return _double(value) if isinstance(value, Real | Decimal) else None


def finite(value: object) -> float | None:
    """The double nearest to a finite number of any type; None for anything else, a boolean too."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    try:
        double = float(value)
    except (OverflowError, TypeError, ValueError):
        # beyond all doubles, a numpy time span, a signalling NaN
        return None
    return double if math.isfinite(double) else None


def is_too_long(number: float | Exact) -> bool:
    """Whether a finite number is whole and beyond the integers that a double keeps apart."""
    if -MAX_INTEGER <= number <= MAX_INTEGER:
        return False
    if isinstance(number, Decimal):
        return number == number.to_integral_value()
    return number.denominator == 1 if isinstance(number, Fraction) else True


def is_storable(text: str) -> bool:
    """Whether Postgres can hold a text: no U+0000, and no half of a surrogate pair."""
    if text.isascii():
        return "\0" not in text
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def is_held(number: float | Exact) -> bool:
    """Whether a double holds a number as `plain` gives it."""
    return not isinstance(number, Decimal | Fraction)


def _digits(number: int | Fraction | Decimal) -> str:
    # Python refuses to write out thousands of digits, which are of no use to anyone.
    if isinstance(number, int) and number.bit_length() > 200:
        return "a longer integer"
    try:
        return str(number)[:SHOWN_CHARACTERS]
    except ValueError:
        return "a longer number"


def _double(value: Real | Decimal) -> float | Exact | None:
    exact = _exact(value)
    if exact is None:
        return None
    try:
        double = float(exact)
    except OverflowError:
        return exact
    if not math.isfinite(double):
        return exact
    is_double = exact == type(exact)(repr(double)) or (isinstance(exact, Fraction) and exact == double)
    return double if is_double else exact


def _exact(value: Real | Decimal) -> Exact | None:
    """The number without any rounding; None if it is not finite, or does not say what it is."""
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    try:
        return Fraction(*value.as_integer_ratio())  # type: ignore[attr-defined]
    except (AttributeError, OverflowError, TypeError, ValueError):
        return None


def _is_numpy_boolean(value: object) -> bool:
    # It is not a bool, and registers as nothing else.
    kind = type(value)
    return kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_")
