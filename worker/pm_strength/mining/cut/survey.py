"""What one pass over all rows tells: their sum, their groups, and a row for each trade of a group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .exact_sum import exact_sum
from .rows import GroupKey, no_rows

_GROUP = ["pattern_key", "action_category"]
_TRADE = [*_GROUP, "trade_id"]


@dataclass(frozen=True, slots=True)
class Survey:
    """What some rows tell; surveys of parts add up to that of the whole.

    `total` is `exact_sum` of the outcomes. Of each group: how many rows it has, and when its first event
    ended. `trades` has the first row of each trade of a group, without its scope. `mixed` are groups with a
    trade whose rows have different outcomes or times.
    """

    total: int
    events: int
    rows: dict[GroupKey, int]
    begins: dict[GroupKey, int]
    trades: pd.DataFrame
    mixed: frozenset[GroupKey]


def survey_rows(rows: pd.DataFrame) -> Survey:
    """The survey of some rows."""
    counts: dict[GroupKey, int] = {}
    begins: dict[GroupKey, int] = {}
    key: Any
    for key, times in rows.groupby(_GROUP, sort=False)["timestamp"]:
        counts[key], begins[key] = len(times), int(times.min())
    trades, mixed = _first_rows(rows.drop(columns="scope"))
    return Survey(exact_sum(rows["outcome"].to_numpy()), len(rows), counts, begins, trades, mixed)


def added(surveys: Iterable[Survey]) -> Survey:
    """The survey of all parts together."""
    parts = list(surveys)
    counts: dict[GroupKey, int] = {}
    begins: dict[GroupKey, int] = {}
    for part in parts:
        for key, count in part.rows.items():
            counts[key] = counts.get(key, 0) + count
            begins[key] = min(begins.get(key, part.begins[key]), part.begins[key])
    trades = pd.concat([part.trades for part in parts] or [no_rows().drop(columns="scope")])
    first, mixed = _first_rows(trades)
    return Survey(
        total=sum(part.total for part in parts),
        events=sum(part.events for part in parts),
        rows=counts,
        begins=begins,
        trades=first,
        mixed=mixed.union(*(part.mixed for part in parts)),
    )


def _first_rows(rows: pd.DataFrame) -> tuple[pd.DataFrame, frozenset[GroupKey]]:
    """The first row of each trade of a group, and the groups where another row of a trade says otherwise."""
    rows = rows.sort_values("position", ignore_index=True)
    again = rows.duplicated(_TRADE).to_numpy()
    if not again.any():
        return rows, frozenset()
    number = rows.groupby(_TRADE, sort=False).ngroup().to_numpy()
    first = rows[~again]
    other = np.zeros(len(rows), bool)
    for name in ("outcome", "timestamp"):
        values = rows[name].to_numpy()
        other |= values != values[~again].take(number)
    mixed = rows.loc[other, _GROUP].drop_duplicates()
    return first.reset_index(drop=True), frozenset(mixed.itertuples(index=False, name=None))
