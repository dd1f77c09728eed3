"""The actions that are sized, and when each was taken and its trade closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import EventsError
from ..settings import OUTCOME_COLUMNS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SIZED = ("entry", "add")
_NEEDED = ("pattern_key", "action_category", "scope", "trade_id", "timestamp")
US_PER_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Actions:
    """Entries and adds with an outcome and a time, in order of time.

    `row` is the place of each among the events. `taken` and `closed` are microseconds since 1970, `y` is
    the outcome, `category` 0 for an entry and 1 for an add; `group` numbers pattern and category.
    """

    row: IntArray
    taken: IntArray
    closed: IntArray
    y: FloatArray
    category: IntArray
    group: IntArray
    without_time: int

    def __len__(self) -> int:
        return len(self.row)


def close_times(events: pd.DataFrame) -> IntArray:
    """When each event's trade closed, in microseconds since 1970."""
    return _microseconds(events["timestamp"], "timestamp")


def read_actions(events: pd.DataFrame, outcome: str) -> Actions:
    """The sized actions of a frame of events, as `mine_lessons` takes it, with a column `action_at`.

    An action whose time is not known, or that was taken after its trade closed, can't be placed, and is left
    out. Raises `EventsError` naming a column that is missing or holds something else.
    """
    column = OUTCOME_COLUMNS[outcome]
    for name in (*_NEEDED, column):
        if name not in events.columns:
            raise EventsError(f"events: expected a column {name!r}: add it to the table.")
    y = pd.to_numeric(events[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if outcome == "roi":
        y = y / 100.0
    sized = events["action_category"].isin(SIZED).to_numpy() & np.isfinite(y)
    times = (
        events["action_at"]
        if "action_at" in events.columns
        else pd.Series([None] * len(events), dtype=object)
    )
    known = times.notna().to_numpy()
    taken = np.zeros(len(events), np.int64)
    taken[known] = _microseconds(times[known], "action_at")
    closed = close_times(events)
    placed = sized & known & (taken <= closed)
    row = np.flatnonzero(placed)
    identity = events.iloc[row]
    keys = list(zip(identity["pattern_key"], identity["action_category"], strict=True))
    names = {key: number for number, key in enumerate(sorted(set(keys)))}
    group = np.array([names[key] for key in keys], np.int64)
    # equal times in an order that does not depend on that of the events
    order = np.lexsort((y[row], group, _text_order(identity["trade_id"]), closed[row], taken[row]))
    row = row[order]
    category = np.array([SIZED.index(value) for value in events["action_category"].iloc[row]], np.int64)
    return Actions(row, taken[row], closed[row], y[row], category, group[order], int((sized & ~placed).sum()))


def _text_order(column: Any) -> IntArray:
    if column.dtype == np.int64:
        # they are numbered in the order of their texts
        return np.asarray(column)
    _, order = np.unique(np.array([str(value) for value in column], dtype=object), return_inverse=True)
    return order.astype(np.int64)


def _microseconds(column: pd.Series[Any], name: str) -> IntArray:
    try:
        moments: Any = pd.to_datetime(column, utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        raise EventsError(f"events: {name}: expected ISO 8601 times: {error}.") from None
    if moments.isna().any():
        raise EventsError(f"events: {name}: expected a time in every row, got one without.")
    microseconds: IntArray = moments.dt.as_unit("us").astype("int64").to_numpy()
    return microseconds
