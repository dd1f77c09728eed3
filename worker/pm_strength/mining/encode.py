"""From a frame of events with JSON scopes to groups of integer codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    """The events of one (pattern_key, action_category), trade by trade, as each comes up first in the group.

    All but the numbers in `trade` depends on the group's own events alone. `codes` is rows x dimensions,
    `MISSING` where the event lacks the dimension; `values[d][code]` is the JSON value. `trade` numbers the
    trades of all groups in the order in which they come up; `y` is the outcome and `t` the time in hours from
    the group's first event, which ended `begin` microseconds after 1970. `day` counts UTC days since 1970,
    `trimmed` and `reached_s3` are 1, 0 or NaN where it is not known.
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

    y = numbers(events[outcome_column])
    if settings.outcome == "roi":
        y = y / 100.0
    finite = np.isfinite(y)
    kept: Any = events[finite]
    y = y[finite]
    baseline = _mean(y)
    trade = pd.factorize(kept["trade_id"])[0].astype(np.int64)
    ended = microseconds(kept["timestamp"])
    trimmed, reached_s3 = flags(kept, "trimmed"), flags(kept, "reached_s3")

    dimensions, values, codes = code_scopes(kept["scope"], settings.scope_dims)
    groups: list[CodedGroup] = []
    grouped = kept.reset_index(drop=True).groupby(
        ["pattern_key", "action_category"], sort=True, observed=True
    )
    for (pattern_key, action_category), index in grouped.indices.items():
        rows = np.sort(np.asarray(index, dtype=np.int64))
        groups.append(
            code_group(
                (str(pattern_key), str(action_category)),
                (dimensions, values, codes.take(rows, axis=0)),
                *(trade[rows], y[rows], ended[rows], trimmed[rows], reached_s3[rows]),
            )
        )
    return CodedEvents(groups, len(y), int(trade.max()) + 1 if len(trade) else 0, baseline)


def code_group(
    key: tuple[str, str],
    scopes: tuple[Sequence[str], Sequence[Sequence[Scalar]], CodeArray],
    trade: IntArray,
    y: FloatArray,
    ended: IntArray,
    trimmed: FloatArray,
    reached_s3: FloatArray,
    begin: int | None = None,
) -> CodedGroup:
    """A group from its events in their order: the columns of `CodedGroup`, but for the times.

    `scopes` are names, values and codes; `ended` is when, in microseconds since 1970. `begin` is when
    the first did, unless it is given.
    """
    first = int(ended.min()) if begin is None else begin
    order = _by_trade(trade)
    if order is not None:
        scopes = *scopes[:2], scopes[2].take(order, axis=0)
        trade, y, ended = trade[order], y[order], ended[order]
        trimmed, reached_s3 = trimmed[order], reached_s3[order]
    dimensions, values, codes = _present(*scopes)
    return CodedGroup(
        pattern_key=key[0],
        action_category=key[1],
        dimensions=dimensions,
        values=values,
        codes=codes,
        trade=trade,
        y=y,
        t=(ended - first) / _MICROSECONDS_PER_HOUR,
        begin=first,
        day=ended // _MICROSECONDS_PER_DAY,
        trimmed=trimmed,
        reached_s3=reached_s3,
    )


def _by_trade(trade: IntArray) -> IntArray | None:
    """The order that puts the rows of a trade together, as trades come up; None where they are so."""
    if (trade[1:] >= trade[:-1]).all():
        return None
    return np.argsort(pd.factorize(trade)[0], kind="stable")


def _present(
    dimensions: Sequence[str], values: Sequence[Sequence[Scalar]], codes: CodeArray
) -> tuple[tuple[str, ...], tuple[tuple[Scalar, ...], ...], CodeArray]:
    """The dimensions and values that a group's events have, out of those of all events."""
    names, held, columns = [], [], []
    for d, name in enumerate(dimensions):
        column = codes[:, d]
        # the last place is that of MISSING
        there = np.bincount(column.astype(np.int64) + 1, minlength=len(values[d]) + 1)[1:] > 0
        if not there.any():
            continue
        names.append(name)
        if there.all():
            held.append(tuple(values[d]))
            columns.append(column)
        else:
            held.append(tuple(value for value, has in zip(values[d], there.tolist(), strict=True) if has))
            columns.append(np.append(np.cumsum(there) - 1, MISSING).astype(codes.dtype).take(column))
    kept = np.empty((len(codes), len(names)), codes.dtype)
    for d, column in enumerate(columns):
        kept[:, d] = column
    return tuple(names), tuple(held), kept


def numbers(column: pd.Series[Any]) -> FloatArray:
    """A column as doubles. Raises `EventsError` naming it."""
    try:
        return pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise EventsError(f"events: expected numbers in the column {column.name!r}: {error}.") from None


def flags(events: pd.DataFrame, column: str) -> FloatArray:
    """A column of booleans as 1, 0 and NaN; all NaN where there is no such column."""
    if column not in events.columns:
        return np.full(len(events), np.nan)
    if events[column].dtype == np.float64:
        return events[column].to_numpy()
    values = events[column].to_numpy(dtype=object)
    known = {True: 1.0, False: 0.0}
    flags = (known[bool(value)] if isinstance(value, bool | np.bool_) else math.nan for value in values)
    return np.fromiter(flags, np.float64, len(values))


def microseconds(timestamps: pd.Series[Any]) -> IntArray:
    """Microseconds since 1970, exact for every year that a timestamp can have."""
    if isinstance(timestamps.dtype, np.dtype | pd.DatetimeTZDtype) and timestamps.dtype.kind == "M":
        if timestamps.hasnans:
            raise EventsError("events: timestamp: expected a time in every row, got one without.")
        aware = timestamps.dt.tz_localize("UTC") if timestamps.dt.tz is None else timestamps
        moments: IntArray = aware.dt.tz_convert("UTC").dt.as_unit("us").astype("int64").to_numpy()
        return moments
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
