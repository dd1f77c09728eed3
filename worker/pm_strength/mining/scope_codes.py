"""From scopes to integer codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from ..json_values import Scalar, plain
from ..scopes import is_dimension, typed
from .arrays import MISSING, CodeArray, IntArray
from .scope_array import ScopeArray


def code_scopes(
    column: pd.Series[Any], scope_dims: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[tuple[Scalar, ...], ...], CodeArray]:
    """The dimensions of a column of scopes, their values in order, and a column of codes for each.

    A scope that is not a mapping has no dimension.
    """
    if isinstance(column.array, ScopeArray) and (held := column.array.only_table()) is not None:
        return _chosen(*held, scope_dims)
    scopes = column.to_numpy(dtype=object)
    rows: list[Mapping[str, Any]] = [scope if isinstance(scope, Mapping) else {} for scope in scopes]
    names: set[str] = set().union(*rows)
    if scope_dims is not None:
        names &= set(scope_dims)
    coded = [(name, *code_values([scope.get(name) for scope in rows])) for name in sorted(names)]
    return together(len(rows), coded)


def together(
    rows: int, coded: Iterable[tuple[str, tuple[Scalar, ...], IntArray]]
) -> tuple[tuple[str, ...], tuple[tuple[Scalar, ...], ...], CodeArray]:
    """Dimensions with their values and each row's codes in one table; those without a value are left out."""
    kept = [(name, known, column) for name, known, column in coded if known]
    codes = empty_codes(rows, [len(known) for _, known, _ in kept])
    for d, (_, _, column) in enumerate(kept):
        codes[:, d] = column
    return tuple(name for name, _, _ in kept), tuple(known for _, known, _ in kept), codes


def empty_codes(rows: int, sizes: Sequence[int]) -> CodeArray:
    """A table of codes without any, for dimensions of so many values."""
    kind = np.int16 if max(sizes, default=0) < 2**15 - 1 else np.int32
    return np.full((rows, len(sizes)), MISSING, kind)


def _chosen(
    names: Sequence[str],
    values: Sequence[Sequence[Scalar]],
    codes: CodeArray,
    scope_dims: tuple[str, ...] | None,
) -> tuple[tuple[str, ...], tuple[tuple[Scalar, ...], ...], CodeArray]:
    """The dimensions that are looked at, with the values that some row has."""
    coded = []
    for d, name in enumerate(names):
        if scope_dims is None or name in scope_dims:
            column = codes[:, d].astype(np.int64)
            # the last place is that of MISSING
            there = np.bincount(column + 1, minlength=len(values[d]) + 1)[1:] > 0
            renumber = np.append(np.cumsum(there) - 1, MISSING)
            known = tuple(value for value, held in zip(values[d], there, strict=True) if held)
            coded.append((name, known, renumber[column]))
    return together(len(codes), coded)


def code_values(column: list[Any]) -> tuple[tuple[Scalar, ...], IntArray]:
    """The distinct values of a column in order, and each row's number among them."""
    kinds = set(map(type, column))
    if not kinds <= _KINDS.keys():
        column = [value if type(value) in _KINDS else plain_value(value) for value in column]
        kinds = set(map(type, column))
    coded = np.full(len(column), MISSING, dtype=np.int64)
    held: list[tuple[tuple[str, Scalar], int]] = []
    # Python takes 1 and True for the same key, so each kind of value is numbered by itself
    for kind in sorted({_KINDS[cls] for cls in kinds} - {"nothing"}):
        members = {cls for cls in kinds if _KINDS[cls] == kind}
        others = kinds - members - {type(None)}
        part = [value if type(value) in members else None for value in column] if others else column
        numbers, distinct = pd.factorize(np.array([*part, None], dtype=object)[:-1])
        taken = numbers >= 0
        coded[taken] = numbers[taken] + len(held)
        held += [(value_key(value), number) for number, value in enumerate(distinct, start=len(held))]
    return _in_order(held, coded)


def _in_order(
    held: list[tuple[tuple[str, Scalar], int]], coded: IntArray
) -> tuple[tuple[Scalar, ...], IntArray]:
    """Numbers in the order of the values: nothing then depends on the order of the events."""
    dimension_values = sorted({key for key, _ in held if is_dimension(key[1])})
    place = {key: number for number, key in enumerate(dimension_values)}
    renumber = np.array([place.get(key, MISSING) for key, _ in held] + [MISSING], dtype=np.int64)
    return tuple(value for _, value in dimension_values), renumber[coded]


# The kind of each type: values of one kind compare. A value of another type becomes one of these first.
_KINDS = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "nothing"}
_KINDS |= {list: "nothing", dict: "nothing", tuple: "nothing", set: "nothing"}


def value_key(value: Scalar) -> tuple[str, Scalar]:
    """A dimension's value as it is compared; a number that is whole is an integer, so 1.0 comes out as 1."""
    kind, _ = typed(value)
    return (kind, int(value)) if isinstance(value, float) and value.is_integer() else (kind, value)


def plain_value(value: object) -> Scalar | None:
    """A value of another type as JSON would have it; None if it does not make a dimension."""
    held = plain(value)
    return float(held) if isinstance(held, Decimal | Fraction) else held
