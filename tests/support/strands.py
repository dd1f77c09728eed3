"""Made-up strands with everything that real ones can have, from a seed."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]

START = datetime(2026, 1, 1, tzinfo=UTC)
PATTERNS = (
    "module=pm|pattern_key=uptrend.S1.buy_flag",
    'module=pm|pattern_key=odd "quoted", (key): 100%.*',
    "free text, not parsed",
)
CATEGORIES = (("entry", "Entry", "E1", "buy"), ("add", "scale_up"), ("trim",), ("exit", "panic_exit", "SELL"))
DIMENSIONS: dict[str, tuple[Any, ...]] = {
    "chain": ("solana", "base", "Solana"),
    "timeframe": ("15m", "1h", "4h"),
    "rank": (1, 2, 1.0, "1", True, 2.5),
    "weekend": (True, False),
    'we"ird,key.(x):': ("a,b", 'q"uote', "{br}ace", "ünï"),
    "leverage": (1, 10, 1e-3, -4),
}
# Values that are no dimension: as if the key were missing.
NOTHING = (None, "", [], {}, ["solana"], {"nested": 1})


def strand(rng: random.Random, kind: str, trade_id: str, at: datetime, content: Row, **columns: Any) -> Row:
    """One row of ad_strands."""
    return {
        "id": str(uuid.UUID(int=rng.getrandbits(128))),
        "module": "pm",
        "kind": kind,
        "trade_id": trade_id,
        "created_at": at.isoformat(),
        "content": content,
    } | columns


def scope(rng: random.Random) -> Row:
    """A scope with missing dimensions, look-alikes and values that are none."""
    chosen = {}
    for name, values in DIMENSIONS.items():
        draw = rng.random()
        if draw < 0.8:
            chosen[name] = rng.choice(values)
        elif draw < 0.9:
            chosen[name] = rng.choice(NOTHING)
    return chosen


def action(rng: random.Random, trade_id: str, at: datetime, context: Row) -> Row:
    """An action of a trade; its scope is the entry's with changes."""
    content: Row = {
        "trade_id": trade_id,
        "pattern_key": rng.choice(PATTERNS),
        "action_category": rng.choice(rng.choice(CATEGORIES)),
        "scope": context | (scope(rng) if rng.random() < 0.4 else {}),
    }
    if rng.random() < 0.05:
        del content[rng.choice(["pattern_key", "action_category"])]
    if rng.random() < 0.05:
        content["scope"] = None
    return strand(rng, "pm_action", trade_id, at, content)


def close(rng: random.Random, trade_id: str, at: datetime, context: Row) -> Row:
    """The closing strand of a trade; its outcome leans on the scope, so that there is an edge."""
    lean = {"solana": 0.8, "base": -0.5}.get(str(context.get("chain")), 0.0)
    summary: Row = {
        "rr": round(rng.gauss(lean, 0.4), 6),
        "pnl_usd": round(rng.gauss(0, 50), 4),
        "rpnl_pct": rng.choice([None, round(rng.gauss(0, 5), 4)]),
        "exit_timestamp": rng.choice(
            [at.isoformat(), at.replace(tzinfo=None).isoformat(), at.strftime("%Y-%m-%dT%H:%M:%SZ"), None]
        ),
        "trimmed": rng.choice([True, False]),
    }
    if rng.random() < 0.2:
        del summary["pnl_usd"]
    content = {"trade_id": trade_id, "entry_context": context, "trade_summary": summary}
    return strand(rng, "position_closed", trade_id, at, content)


def trade(rng: random.Random, number: int) -> list[Row]:
    """The strands of one trade, the close last."""
    trade_id = str(uuid.UUID(int=rng.getrandbits(128)))
    at = START + timedelta(minutes=7 * number)
    context = scope(rng)
    rows = [
        action(rng, trade_id, at + timedelta(seconds=step), context)
        for step in range(rng.choice([1, 1, 2, 3, 9]))
    ]
    rows.append(close(rng, trade_id, at + timedelta(minutes=rng.randint(1, 300)), context))
    # The trade id may stand in the column, in the content, or in both, in any case.
    for row in rows:
        where = rng.random()
        if where < 0.3:
            row["trade_id"] = None
        elif where < 0.5:
            row["content"].pop("trade_id", None)
        elif where < 0.6:
            row["trade_id"] = trade_id.upper()
    return rows


def trades(count: int, seed: int = 7) -> list[Row]:
    """All strands of `count` trades in order of trade."""
    rng = random.Random(seed)
    return [row for number in range(count) for row in trade(rng, number)]
