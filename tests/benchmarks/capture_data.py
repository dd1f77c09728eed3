"""Closed trades for the capture benchmark and the fault tests, put into the database by COPY."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

START = datetime(2026, 1, 1, tzinfo=UTC)
DIMENSIONS = {
    "chain": ("solana", "base", "ethereum", "bsc"),
    "timeframe": ("1m", "15m", "1h", "4h"),
    "bucket": ("micro", "small", "mid", "large"),
    "rank": (1, 2, 3, 4, 5),
    "weekend": (True, False),
    "session": ("asia", "europe", "us"),
    "volatility": ("low", "mid", "high"),
    "curator": tuple(f"curator_{number}" for number in range(12)),
}
ACTIONS = (("entry", "e1"), ("add", "scale_up"), ("trim", "trim"), ("exit", "cut"))
COPY = (
    "copy public.ad_strands (id, module, kind, symbol, timeframe, trade_id, content, created_at) from stdin"
)


def trade_rows(count: int, seed: int = 1, actions_a_trade: float = 4.8) -> Iterator[tuple[Any, ...]]:
    """The strands of `count` trades: on average `actions_a_trade` actions, then the close."""
    rng = random.Random(seed)
    for number in range(count):
        trade_id = str(uuid.UUID(int=rng.getrandbits(128)))
        at = START + timedelta(minutes=number)
        context = {name: rng.choice(values) for name, values in DIMENSIONS.items()}
        wanted = int(actions_a_trade) + (rng.random() < actions_a_trade % 1)
        for step in range(wanted):
            category, flag = ACTIONS[0 if step == 0 else 3 if step == wanted - 1 else rng.randrange(1, 3)]
            content = {
                "trade_id": trade_id,
                "pattern_key": f"module=pm|pattern_key=uptrend.S{1 + step % 3}.{flag}_flag",
                "action_category": category,
                "scope": context | {"rank": rng.choice(DIMENSIONS["rank"])},
                "size_frac": round(rng.random(), 4),
                "a_score": round(rng.random(), 6),
                "e_score": round(rng.random(), 6),
            }
            yield _row(rng, "pm_action", trade_id, at + timedelta(seconds=step), content)
        summary = {
            "rr": round(rng.gauss(0.1, 1), 6),
            "pnl_usd": round(rng.gauss(0, 80), 4),
            "rpnl_pct": round(rng.gauss(0, 5), 4),
            "exit_timestamp": (at + timedelta(minutes=50)).isoformat(),
            "trimmed": rng.random() < 0.5,
            "reached_s3": rng.random() < 0.3,
        }
        content = {"trade_id": trade_id, "trade_summary": summary, "entry_context": context}
        yield _row(rng, "position_closed", trade_id, at + timedelta(minutes=50), content)


def _row(
    rng: random.Random, kind: str, trade_id: str, at: datetime, content: dict[str, Any]
) -> tuple[Any, ...]:
    strand_id = str(uuid.UUID(int=rng.getrandbits(128)))
    return strand_id, "pm", kind, "SOL", "1h", trade_id, json.dumps(content), at.isoformat()


def copy_strands(db: psycopg.Connection[Any], rows: Iterator[tuple[Any, ...]]) -> int:
    """COPY strands into the table; returns how many."""
    count = 0
    with db.cursor() as cursor, cursor.copy(COPY) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count
