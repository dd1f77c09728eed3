"""A page of events as `pm_strength_read_events` packs it, unpacked into columns."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..json_values import Row

# Postgres counts microseconds from 2000 on, and gives -infinity as the least number.
_EPOCH_2000 = 946_684_800_000_000
_NO_TIME = np.iinfo(np.int64).min
# The number of a flag by the code of its letter: t, f, or - for neither.
_FLAGS = np.full(128, -1, np.int8)
_FLAGS[ord("t")], _FLAGS[ord("f")] = 1, 0


def page_columns(page: Row) -> Iterator[tuple[str, Any]]:
    """The columns of numbers of a page, by the names of `EventColumns`."""
    ids = np.frombuffer(base64.b64decode(page["trade_id"]), ">u8").astype(np.uint64).reshape(-1, 2)
    yield from (("trade_high", ids[:, 0]), ("trade_low", ids[:, 1]))
    for name in ("rr", "pnl_usd", "rpnl_pct"):
        yield name, np.frombuffer(base64.b64decode(page[name]), ">f8").astype(np.float64)
    for name in ("timestamp", "action_at"):
        since_2000 = np.frombuffer(base64.b64decode(page[name]), ">i8").astype(np.int64)
        # numpy's NaT is the same number as Postgres' -infinity
        known = since_2000 != _NO_TIME
        yield name, np.where(known, since_2000 + _EPOCH_2000 * known, _NO_TIME)
    for name in ("trimmed", "reached_s3"):
        yield name, _FLAGS[np.frombuffer(page[name].encode(), np.uint8)]
