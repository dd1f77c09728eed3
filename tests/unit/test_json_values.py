"""What compares as a text, a number or a boolean is one, whatever its type is called."""

from __future__ import annotations

import math
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pm_strength import OverrideBook
from pm_strength.json_values import finite, is_too_long, plain


class Chain(StrEnum):
    SOLANA = "solana"


class Rank(IntEnum):
    SECOND = 2


class Loud(str):
    def __str__(self) -> str:
        return "LOUD"


SAME: list[tuple[Any, Any]] = [
    (2, 2),
    (2.0, 2),
    (True, True),
    ("a", "a"),
    (np.int64(2), 2),
    (np.int8(-2), -2),
    (np.uint64(2), 2),
    (np.float16(2), 2),
    (np.float32(2), 2),
    (np.float64(0.1), 0.1),
    (np.longdouble(2), 2),
    (np.bool_(True), True),
    (np.bool_(False), False),
    (np.str_("a"), "a"),
    (Decimal("0.1"), 0.1),
    (Decimal("2.00"), 2),
    (Fraction(0.1), 0.1),
    (Decimal.from_float(0.5), 0.5),
    (Decimal("-1e-7"), -1e-7),
    (Fraction(1, 2), 0.5),
    (Fraction(1, 10), 0.1),
    (Fraction(4, 2), 2),
    (Rank.SECOND, 2),
    (Chain.SOLANA, "solana"),
    (Loud("a"), "a"),
    (pd.Series([2, 3])[0], 2),
    (pd.Series([True, None], dtype="boolean")[0], True),
    (pd.Series([2, None], dtype="Int64")[0], 2),
]
# What no double holds is equal to nothing that one holds.
NOTHING: list[Any] = [
    None,
    "",
    np.str_(""),
    math.nan,
    math.inf,
    np.float32("nan"),
    np.float32("inf"),
    np.float64("nan"),
    np.longdouble("inf"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("-Infinity"),
    Decimal("0.1234567890123456789"),
    Decimal("1e-400"),
    # equal to the double 0.1, but jsonb compares decimals
    Decimal.from_float(0.1),
    Decimal("1e-999999999"),
    Fraction(1, 3),
    pd.NA,
    pd.NaT,
    np.datetime64("NaT"),
    np.timedelta64(2, "D"),
    np.timedelta64("NaT"),
    np.array(2),
    np.array(True),
    np.array([2]),
    np.bytes_(b"a"),
    b"a",
    2 + 0j,
    np.complex64(2),
    [2],
    {"a": 2},
    pytest.param(object(), id="an object"),
]
TOO_LONG: list[Any] = [
    2**53 + 1,
    -(2**53) - 1,
    10**5000,
    1e20,
    -1e300,
    float(2**53 + 2),
    np.int64(2**53 + 1),
    np.uint64(2**64 - 1),
    np.float32(1e20),
    np.float64(1e20),
    np.longdouble("1e400"),
    Decimal(2**53 + 1),
    Decimal("9007199254740993.0"),
    Decimal("1e400"),
    Decimal("1e999999999"),
    Fraction(2**54 + 2, 2),
    Fraction(10**400),
]


def book() -> OverrideBook:
    values = [2, -2, 0.1, 0.5, -1e-7, True, False, "a", "solana", 1, "1", 0, 2**53, -(2**53), "2", "True"]
    return OverrideBook(
        {
            "id": number,
            "pattern_key": "p",
            "action_category": "entry",
            "scope_subset": {"x": value},
            "multiplier": 1.5,
            "confidence_score": 0.5,
        }
        for number, value in enumerate(values)
    )


@pytest.mark.parametrize(("value", "same"), SAME, ids=repr)
def test_what_compares_as_a_value_finds_its_overrides(value: Any, same: Any) -> None:
    found = book().resolve("p", "entry", {"x": value})
    assert [match.scope_subset["x"] for match in found.matches] == [same]
    assert [type(match.scope_subset["x"]) for match in found.matches] == [type(plain(same))] or same == 2
    assert found == book().resolve("p", "entry", {"x": same})


@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_anything_else_finds_none_and_breaks_nothing(value: Any) -> None:
    found = book().resolve("p", "entry", {"x": value, "y": 1})
    assert (found.reason, found.matched) == ("no_match", 0)


@pytest.mark.parametrize("value", TOO_LONG, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("pattern_key", ["p", "unknown"])
def test_a_whole_number_beyond_2_53_is_bad_input(value: Any, pattern_key: str) -> None:
    found = book().resolve(pattern_key, "entry", {"x": value, "y": "a"})
    assert (found.multiplier, found.reason, found.matched, list(found.matches)) == (1.0, "bad_input", 0, [])


@pytest.mark.parametrize("value", [2**53, -(2**53), float(2**53), np.int64(2**53), Decimal(2**53)], ids=repr)
def test_2_53_itself_is_a_value(value: Any) -> None:
    assert book().resolve("p", "entry", {"x": value}).matched == 1


def test_what_is_plain_has_the_type_itself() -> None:
    """A subclass may hash, compare or print as it likes."""
    for value, same in SAME:
        assert type(plain(value)) in (str, bool, int, float)
        assert plain(value) == same
    assert str(plain(Loud("a"))) == "a"


def test_long_fractions_are_not_whole() -> None:
    assert not is_too_long(Decimal("9007199254740993." + "0" * 100 + "1"))
    assert not is_too_long(Fraction(2**60 + 1, 2))
    assert is_too_long(Decimal("9007199254740993." + "0" * 100))


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1, 1.0),
        (0.5, 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(2), 2.0),
        (Decimal("0.1"), 0.1),
        (Fraction(1, 3), 1 / 3),
        (Decimal("1e400"), None),
        (Fraction(10**400), None),
        (10**400, None),
        (math.nan, None),
        (Decimal("sNaN"), None),
        (np.float32("inf"), None),
        (np.timedelta64(2, "D"), None),
        (True, None),
        (np.bool_(True), None),
        ("0.5", None),
        (None, None),
        (pd.NA, None),
        (np.array(0.5), None),
    ],
    ids=repr,
)
def test_a_finite_number_is_a_double(value: Any, size: float | None) -> None:
    found = finite(value)
    assert found == size
    assert found is None or type(found) is float
