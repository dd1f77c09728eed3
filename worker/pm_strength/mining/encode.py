"""From a frame of events with JSON scopes to groups of integer codes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from ..errors import EventsError
from ..json_values import Scalar, shown
from ..settings import OUTCOME_COLUMNS, LearningSettings
from .arrays import MISSING, CodeArray, FloatArray, IntArray
from .scope_codes import code_scopes

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

    dimensions, values, codes = code_scopes(kept["scope"], settings.scope_dims)
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


def _numbers(column: pd.Series[Any]) -> FloatArray:
    try:
        return pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise EventsError(f"events: expected numbers in the column {column.name!r}: {error}.") from None


def _flags(events: pd.DataFrame, column: str) -> FloatArray:
    """A column of booleans as 1, 0 and NaN; all NaN where there is no such column."""
    if column not in events.columns:
        return np.full(len(events), np.nan)
    if events[column].dtype == np.float64:
        return events[column].to_numpy()
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
