"""From a frame of events with JSON scopes to groups of integer codes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..scopes import Scalar, TypedValue, is_dimension, typed
from ..settings import LearningSettings

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

MISSING = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS_PER_HOUR = 3_600_000_000
_OUTCOME_COLUMN = {"rr": "rr", "roi": "rpnl_pct", "pnl_usd": "pnl_usd"}
_REQUIRED = ("pattern_key", "action_category", "scope", "trade_id", "timestamp")


@dataclass(frozen=True, slots=True)
class CodedGroup:
    """The events of one (pattern_key, action_category), one row for each distinct scope of a trade.

    `codes` is rows x dimensions, `MISSING` where the event lacks the dimension; `values[d][code]` is
    the JSON value. `trade` numbers the trades and is ascending; `y` is the outcome and `t` the time
    in hours from the group's first event.
    """

    pattern_key: str
    action_category: str
    dimensions: tuple[str, ...]
    values: tuple[tuple[Scalar, ...], ...]
    codes: IntArray
    trade: IntArray
    y: FloatArray
    t: FloatArray


@dataclass(frozen=True, slots=True)
class CodedEvents:
    """All groups, and what they were made from: events and trades with a finite outcome, their mean."""

    groups: list[CodedGroup]
    events: int
    trades: int
    baseline: float


def encode_events(events: pd.DataFrame, settings: LearningSettings) -> CodedEvents:
    """Code the events that have a finite outcome.

    `baseline` is the mean outcome over these events, 0 if there is none. Raises ValueError naming
    a column that is missing.
    """
    outcome_column = _OUTCOME_COLUMN[settings.outcome]
    for column in (*_REQUIRED, outcome_column):
        if column not in events.columns:
            raise ValueError(
                f"events: expected a column {column!r}, got {', '.join(map(str, events.columns))}"
            )

    y = pd.to_numeric(events[outcome_column]).to_numpy(dtype=np.float64, na_value=np.nan)
    if settings.outcome == "roi":
        y = y / 100.0
    finite = np.isfinite(y)
    kept = events[finite]
    y = y[finite]
    baseline = _mean(y)
    trade = pd.factorize(kept["trade_id"].astype(str))[0].astype(np.int64)
    microseconds = _microseconds(kept["timestamp"])
    scopes = kept["scope"].to_numpy(dtype=object)

    groups: list[CodedGroup] = []
    grouped = kept.reset_index(drop=True).groupby(["pattern_key", "action_category"], sort=True)
    for (pattern_key, action_category), index in grouped.indices.items():
        rows = np.sort(np.asarray(index, dtype=np.int64))
        groups.append(
            _code_group(
                str(pattern_key),
                str(action_category),
                scopes[rows],
                trade[rows],
                y[rows],
                microseconds[rows],
                settings.scope_dims,
            )
        )
    return CodedEvents(groups, len(y), int(trade.max()) + 1 if len(trade) else 0, baseline)


def _code_group(
    pattern_key: str,
    action_category: str,
    scopes: npt.NDArray[np.object_],
    trade: IntArray,
    y: FloatArray,
    microseconds: IntArray,
    scope_dims: tuple[str, ...] | None,
) -> CodedGroup:
    dimensions, values, codes = _code_scopes(scopes, scope_dims)
    # Rows of a trade that agree in all dimensions are one observation in every slice.
    keyed = np.column_stack([trade, codes])
    _, first = np.unique(keyed, axis=0, return_index=True)
    order = first[np.lexsort((first, trade[first]))]
    hours = (microseconds - microseconds.min()) / _MICROSECONDS_PER_HOUR
    return CodedGroup(
        pattern_key, action_category, dimensions, values, codes[order], trade[order], y[order], hours[order]
    )


def _code_scopes(
    scopes: npt.NDArray[np.object_], scope_dims: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[tuple[Scalar, ...], ...], IntArray]:
    allowed = None if scope_dims is None else set(scope_dims)
    seen: dict[str, dict[TypedValue, int]] = {}
    rows: list[tuple[int, str, int]] = []
    for row, scope in enumerate(scopes):
        if not isinstance(scope, Mapping):
            continue
        for name, value in scope.items():
            if (allowed is None or name in allowed) and is_dimension(value):
                known = seen.setdefault(name, {})
                rows.append((row, name, known.setdefault(_key(value), len(known))))

    dimensions = tuple(sorted(seen))
    column = {name: number for number, name in enumerate(dimensions)}
    codes = np.full((len(scopes), len(dimensions)), MISSING, dtype=np.int64)
    # Codes in the order of the values: the result does not depend on the order of the events.
    ranked: dict[str, list[int]] = {}
    values: list[tuple[Scalar, ...]] = []
    for name in dimensions:
        ordered = sorted(seen[name])
        rank = [0] * len(ordered)
        for position, key in enumerate(ordered):
            rank[seen[name][key]] = position
        ranked[name] = rank
        values.append(tuple(value for _, value in ordered))
    for row, name, code in rows:
        codes[row, column[name]] = ranked[name][code]
    return dimensions, tuple(values), codes


def _key(value: Any) -> TypedValue:
    """The value as it is compared; a number that is whole is an integer, so 1.0 comes out as 1."""
    kind, plain = typed(value)
    if kind == "number":
        if isinstance(plain, np.generic | Decimal):
            plain = float(plain)
        if isinstance(plain, float) and plain.is_integer():
            plain = int(plain)
    return kind, plain


def _microseconds(timestamps: pd.Series[Any]) -> IntArray:
    """Microseconds since 1970, exact for every year that a timestamp can have."""
    if isinstance(timestamps.dtype, np.dtype | pd.DatetimeTZDtype) and timestamps.dtype.kind == "M":
        aware = timestamps.dt.tz_localize("UTC") if timestamps.dt.tz is None else timestamps
        microseconds: IntArray = aware.dt.tz_convert("UTC").dt.as_unit("us").astype("int64").to_numpy()
        return microseconds
    return np.fromiter(map(_moment, timestamps), dtype=np.int64, count=len(timestamps))


def _moment(value: Any) -> int:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    difference = moment - _EPOCH
    return (difference.days * 86_400 + difference.seconds) * 1_000_000 + difference.microseconds


def _mean(y: FloatArray) -> float:
    return math.fsum(y) / len(y) if len(y) else 0.0
