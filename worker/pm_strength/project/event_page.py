"""A page of events as `pm_strength_read_events` packs it, unpacked into columns."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from ..json_values import Row
from ..mining.scope_texts import ScopeTexts

# Postgres counts microseconds from 2000 on, and gives -infinity as the least number.
_EPOCH_2000 = 946_684_800_000_000
_NO_TIME = np.iinfo(np.int64).min
# The number of a flag by the code of its letter: t, f, or - for neither.
_FLAGS = np.full(128, np.nan)
_FLAGS[ord("t")], _FLAGS[ord("f")] = 1.0, 0.0


def event_frame(pages: Iterable[Row]) -> pd.DataFrame:
    """All events of some pages, as `mine_lessons` takes them.

    `trade_id` numbers the trades in the order of their ids. `timestamp` and `action_at` are aware times, NaT
    where an action's is not known; `trimmed` and `reached_s3` are 1, 0 or NaN. Scopes are held as codes.
    """
    parts: dict[str, list[Any]] = {}
    scopes = ScopeTexts()
    texts: dict[str, str] = {}
    for page in pages:
        scopes.add(page["scope"])
        for name, values in _columns(page, texts):
            parts.setdefault(name, []).append(values)
    columns = {
        name: np.concatenate([np.empty(0, kind), *parts.get(name, [])]) for name, kind in _KINDS.items()
    }
    high, low = columns.pop("trade_high"), columns.pop("trade_low")
    columns = {"trade_id": _numbers(high, low), "scope": scopes.column()} | columns
    events = pd.DataFrame(columns, copy=False)
    for name in ("timestamp", "action_at"):
        events[name] = pd.to_datetime(events[name], unit="us", utc=True)
    return events


# The columns of the frame, but for the two halves of a trade's id.
_KINDS: dict[str, Any] = {
    "trade_high": np.uint64,
    "trade_low": np.uint64,
    "pattern_key": object,
    "action_category": object,
    "rr": np.float64,
    "pnl_usd": np.float64,
    "rpnl_pct": np.float64,
    "timestamp": "datetime64[us]",
    "action_at": "datetime64[us]",
    "trimmed": np.float64,
    "reached_s3": np.float64,
}


def _columns(page: Row, texts: dict[str, str]) -> Iterator[tuple[str, Any]]:
    ids = np.frombuffer(base64.b64decode(page["trade_id"]), ">u8").astype(np.uint64).reshape(-1, 2)
    yield from (("trade_high", ids[:, 0]), ("trade_low", ids[:, 1]))
    for name in ("pattern_key", "action_category"):
        # a few texts come up in all rows: each is kept once
        yield name, np.array([texts.setdefault(text, text) for text in page[name]], dtype=object)
    for name in ("rr", "pnl_usd", "rpnl_pct"):
        yield name, np.frombuffer(base64.b64decode(page[name]), ">f8").astype(np.float64)
    for name in ("timestamp", "action_at"):
        since_2000 = np.frombuffer(base64.b64decode(page[name]), ">i8").astype(np.int64)
        # numpy's NaT is the same number as Postgres' -infinity
        known = since_2000 != _NO_TIME
        yield name, np.where(known, since_2000 + _EPOCH_2000 * known, _NO_TIME).view("datetime64[us]")
    for name in ("trimmed", "reached_s3"):
        yield name, _FLAGS[np.frombuffer(page[name].encode(), np.uint8)]


def _numbers(high: Any, low: Any) -> Any:
    """The rank of each id."""
    order = np.lexsort((low, high))
    changes = np.zeros(len(order), np.int64)
    changes[1:] = (np.diff(high[order]) != 0) | (np.diff(low[order]) != 0)
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(changes)
    return numbers
