"""Packed pages of events, as the database makes them."""

from __future__ import annotations

import base64
import json
import math
import struct
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

EPOCH_2000 = datetime(2000, 1, 1, tzinfo=UTC)


def pack_events(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A page of rows of `pattern_trade_events`; times are ISO 8601 or None."""

    def number(value: float | None) -> bytes:
        return struct.pack(">d", math.nan if value is None else value)

    def moment(value: str | None) -> bytes:
        if value is None:
            return struct.pack(">q", -(2**63))
        since = datetime.fromisoformat(value) - EPOCH_2000
        return struct.pack(">q", (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)

    def joined(name: str, pack: Any) -> str:
        # as Postgres does: with line breaks
        return base64.encodebytes(b"".join(pack(row.get(name)) for row in rows)).decode()

    page: dict[str, Any] = {
        "last_id": rows[-1]["id"] if rows else None,
        "trade_id": joined("trade_id", lambda value: uuid.UUID(value).bytes),
        "pattern_key": [row["pattern_key"] for row in rows],
        "action_category": [row["action_category"] for row in rows],
        "scope": "\n".join(json.dumps(row["scope"], ensure_ascii=False) for row in rows),
    }
    page |= {name: joined(name, number) for name in ("rr", "pnl_usd", "rpnl_pct")}
    page |= {name: joined(name, moment) for name in ("timestamp", "action_at")}
    for name in ("trimmed", "reached_s3"):
        page[name] = "".join({True: "t", False: "f", None: "-"}[row.get(name)] for row in rows)
    return page
