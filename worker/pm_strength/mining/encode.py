"""From a frame of events with JSON scopes to groups of integer codes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import EventsError
from ..json_values import Scalar, plain, shown
from ..scopes import is_dimension, typed
from ..settings import OUTCOME_COLUMNS, LearningSettings

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
# int16, or int32 where a dimension has more values than that holds.
CodeArray = npt.NDArray[Any]

MISSING = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS_PER_HOUR = 3_600_000_000
_MICROSECONDS_PER_DAY = 24 * _MICROSECONDS_PER_HOUR
_REQUIRED = ("pattern_key", "action_category", "scope", "trade_id", "timestamp")


@dataclass(frozen=True, slots=True)
class CodedGroup:
    """The events of one (pattern_key, action_category), in order of their trades.

    `codes` is rows x dimensions, `MISSING` where the event lacks the dimension; `values[d][code]` is
    the JSON value. `trade` numbers the trades and is ascending; `y` is the outcome and `t` the time
    in hours from the group's first event, which ended `begin` microseconds after 1970. `day` counts UTC
    days since 1970, `trimmed` and `reached_s3` are 1, 0 or NaN where it is not known.
    """

    pattern_key: str
    action_category: str
    dimensions: tuple[str, ...]
    values: tuple[tuple[Scalar, ...], ...]
    codes: CodeArray
    trade: IntArray
    y: FloatArray
    t: FloatArray
    begin: int
    day: IntArray
    trimmed: FloatArray
    reached_s3: FloatArray


@dataclass(frozen=True, slots=True)
class CodedEvents:
    """All groups, and what they were made from: events and trades with a finite outcome, their mean."""

    groups: list[CodedGroup]
    events: int
    trades: int
    baseline: float


def encode_events(events: pd.DataFrame, settings: LearningSettings) -> CodedEvents:
    """Code the events that have a finite outcome.

    `baseline` is the mean outcome over these events, 0 if there is none. Raises `EventsError` naming
    a column that is missing or holds something else.
    """
    outcome_column = OUTCOME_COLUMNS[settings.outcome]
    for column in (*_REQUIRED, outcome_column):
        if column not in events.columns:
            there = ", ".join(map(str, events.columns))
            raise EventsError(f"events: expected a column {column!r}, got {there}: add it to the table.")

    y = _numbers(events[outcome_column])
    if settings.outcome == "roi":
        y = y / 100.0
    finite = np.isfinite(y)
    kept: Any = events[finite]
    y = y[finite]
    baseline = _mean(y)
    trade = pd.factorize(kept["trade_id"])[0].astype(np.int64)
    microseconds = _microseconds(kept["timestamp"])
    trimmed, reached_s3 = _flags(kept, "trimmed"), _flags(kept, "reached_s3")

    dimensions, values, codes = _code_scopes(kept["scope"].to_numpy(dtype=object), settings.scope_dims)
    groups: list[CodedGroup] = []
    grouped = kept.reset_index(drop=True).groupby(
        ["pattern_key", "action_category"], sort=True, observed=True
    )
    for (pattern_key, action_category), index in grouped.indices.items():
        # by trade, and within it in the order of the events
        rows = np.sort(np.asarray(index, dtype=np.int64))
        rows = rows[np.argsort(trade[rows], kind="stable")]
        begin = int(microseconds[rows].min())
        hours = (microseconds[rows] - begin) / _MICROSECONDS_PER_HOUR
        groups.append(
            CodedGroup(
                str(pattern_key),
                str(action_category),
                *_present(dimensions, values, codes.take(rows, axis=0)),
                trade[rows],
                y[rows],
                hours,
                begin,
                microseconds[rows] // _MICROSECONDS_PER_DAY,
                trimmed[rows],
                reached_s3[rows],
            )
        )
    return CodedEvents(groups, len(y), int(trade.max()) + 1 if len(trade) else 0, baseline)


def _present(
    dimensions: tuple[str, ...], values: tuple[tuple[Scalar, ...], ...], codes: CodeArray
) -> tuple[tuple[str, ...], tuple[tuple[Scalar, ...], ...], CodeArray]:
    """The dimensions that a group's events have, out of those of all events."""
    there = np.flatnonzero((codes != MISSING).any(axis=0)).tolist()
    kept = codes.take(there, axis=1)
    return tuple(dimensions[d] for d in there), tuple(values[d] for d in there), kept


def _code_scopes(
    scopes: npt.NDArray[np.object_], scope_dims: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[tuple[Scalar, ...], ...], CodeArray]:
    """The dimensions of all scopes, their values in order, and a column of codes for each."""
    rows: list[Mapping[str, Any]] = [scope if isinstance(scope, Mapping) else {} for scope in scopes]
    names: set[str] = set().union(*rows)
    if scope_dims is not None:
        names &= set(scope_dims)
    dimensions: list[str] = []
    values: list[tuple[Scalar, ...]] = []
    columns: list[IntArray] = []
    for name in sorted(names):
        known, column = _code_column([scope.get(name) for scope in rows])
        if known:
            dimensions.append(name)
            values.append(known)
            columns.append(column)
    largest = max((len(known) for known in values), default=0)
    codes = np.empty((len(rows), len(dimensions)), np.int16 if largest < 2**15 - 1 else np.int32)
    for d, column in enumerate(columns):
        codes[:, d] = column
    return tuple(dimensions), tuple(values), codes


def _code_column(column: list[Any]) -> tuple[tuple[Scalar, ...], IntArray]:
    """The distinct values of a column in order, and each row's number among them."""
    kinds = set(map(type, column))
    if not kinds <= _KINDS.keys():
        column = [value if type(value) in _KINDS else _plain(value) for value in column]
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
        held += [(_key(value), number) for number, value in enumerate(distinct, start=len(held))]
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


def _key(value: Scalar) -> tuple[str, Scalar]:
    """The value as it is compared; a number that is whole is an integer, so 1.0 comes out as 1."""
    kind, _ = typed(value)
    return (kind, int(value)) if isinstance(value, float) and value.is_integer() else (kind, value)


def _plain(value: object) -> Scalar | None:
    """A value of another type as JSON would have it; None if it does not make a dimension."""
    held = plain(value)
    return float(held) if isinstance(held, Decimal | Fraction) else held


def _numbers(column: pd.Series[Any]) -> FloatArray:
    try:
        return pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise EventsError(f"events: expected numbers in the column {column.name!r}: {error}.") from None


def _flags(events: pd.DataFrame, column: str) -> FloatArray:
    """A column of booleans as 1, 0 and NaN; all NaN where there is no such column."""
    if column not in events.columns:
        return np.full(len(events), np.nan)
    values = events[column].to_numpy(dtype=object)
    known = {True: 1.0, False: 0.0}
    flags = (known[bool(value)] if isinstance(value, bool | np.bool_) else math.nan for value in values)
    return np.fromiter(flags, np.float64, len(values))


def _microseconds(timestamps: pd.Series[Any]) -> IntArray:
    """Microseconds since 1970, exact for every year that a timestamp can have."""
    if isinstance(timestamps.dtype, np.dtype | pd.DatetimeTZDtype) and timestamps.dtype.kind == "M":
        if timestamps.hasnans:
            raise EventsError("events: timestamp: expected a time in every row, got one without.")
        aware = timestamps.dt.tz_localize("UTC") if timestamps.dt.tz is None else timestamps
        microseconds: IntArray = aware.dt.tz_convert("UTC").dt.as_unit("us").astype("int64").to_numpy()
        return microseconds
    return np.fromiter(map(_moment, timestamps), dtype=np.int64, count=len(timestamps))


def _moment(value: Any) -> int:
    try:
        is_moment = isinstance(value, datetime) and value is not pd.NaT
        moment = value if is_moment else datetime.fromisoformat(str(value))
    except ValueError:
        raise EventsError(f"events: timestamp: expected an ISO 8601 time, got {shown(value)}.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    difference = moment - _EPOCH
    return (difference.days * 86_400 + difference.seconds) * 1_000_000 + difference.microseconds


def _mean(y: FloatArray) -> float:
    if not len(y):
        return 0.0
    try:
        return math.fsum(y) / len(y)
    except OverflowError:  # outcomes at the end of what a double holds
        return math.fsum(y / len(y))
