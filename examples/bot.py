"""A bot that learns: it asks how big, trades on a made-up market, and writes down what it did.

    export SUPABASE_URL=... SUPABASE_SECRET_KEY=...
    python examples/bot.py --trades 60

Run it, let the worker learn (`pm-strength worker --drain && pm-strength learn`), and run it again: it then
buys more where it won and less where it lost. It uses the public names of pm_strength and supabase-py;
docs/strands.md and docs/sizing.md explain them.
"""

from __future__ import annotations

import argparse
import os
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from pm_strength import Resolution, StrengthClient, apply_strength, generate_canonical_pattern_key
from supabase import Client, create_client

Row = dict[str, Any]

# What this market does with an entry, in R; the bot does not know it.
MEAN_RR = {"solana": 0.9, "base": -0.6}


def strand(kind: str, trade_id: str, at: datetime, content: Row) -> Row:
    """One row of ad_strands."""
    return {
        "id": str(uuid.uuid4()),
        "module": "pm",
        "kind": kind,
        "trade_id": trade_id,
        "content": {"trade_id": trade_id, **content},
        "created_at": at.isoformat(),
    }


def act(
    strength: StrengthClient, action_type: str, context: Row, scope: Row, size: float
) -> tuple[Row, Resolution]:
    """One action: what it is, in which scope, and how big it should be."""
    pattern_key, category = generate_canonical_pattern_key("pm", action_type, context)
    resolution = strength.resolve(pattern_key, category, scope)
    action = {
        "pattern_key": pattern_key,
        "action_category": category,
        "action_type": action_type,
        "scope": scope,
        "size_frac": size,
    }
    # exits and trims are left as they are; entries and adds are scaled, and say why
    return apply_strength(action, resolution), resolution


def trade(strength: StrengthClient, rng: random.Random, at: datetime) -> tuple[list[Row], Row]:
    """The strands of one trade from entry to close, and the sized entry."""
    trade_id = str(uuid.uuid4())
    scope = {
        "chain": rng.choice(sorted(MEAN_RR)),
        "timeframe": rng.choice(["15m", "1h"]),
        "rank": rng.randint(1, 3),
    }
    entry, _ = act(strength, "e1", {"state": "S1", "buy_flag": True}, scope, size=0.3)
    leave, _ = act(strength, "exit", {"state": "S3"}, scope, size=1.0)
    rr = rng.gauss(MEAN_RR[str(scope["chain"])], 0.3)
    summary = {
        "rr": rr,
        "pnl_usd": 100 * rr * entry["size_frac"],
        "exit_timestamp": (at + timedelta(hours=2)).isoformat(),
        "trimmed": False,
        "reached_s3": rr > 0,
    }
    close = {"trade_summary": summary, "entry_context": scope}
    strands = [
        strand("pm_action", trade_id, at, entry),
        strand("pm_action", trade_id, at + timedelta(hours=2), leave),
        strand("position_closed", trade_id, at + timedelta(hours=2, seconds=1), close),
    ]
    return strands, {"chain": scope["chain"], **entry}


def run(database: Client, strength: StrengthClient, trades: int, seed: int) -> dict[str, float]:
    """Trade so many times; the mean size of an entry on each chain."""
    rng = random.Random(seed)
    begin = datetime.now(UTC) - timedelta(hours=3 * trades)
    sizes: dict[str, list[float]] = {chain: [] for chain in MEAN_RR}
    for number in range(trades):
        strands, entry = trade(strength, rng, begin + timedelta(hours=3 * number))
        database.table("ad_strands").insert(strands).execute()
        sizes[entry["chain"]].append(entry["size_frac"])
        if number == 0:
            print("first entry:", entry["strength"])
    return {chain: sum(values) / len(values) for chain, values in sizes.items() if values}


def main() -> None:
    """Run the bot against the project of the environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    url, key = os.environ.get("SUPABASE_URL"), os.environ.get("SUPABASE_SECRET_KEY")
    if not url or not key:
        parser.error(
            "set SUPABASE_URL and SUPABASE_SECRET_KEY to the address and the secret key of a project"
        )
    with StrengthClient(url, key) as strength:
        sizes = run(create_client(url, key), strength, options.trades, options.seed)
    for chain, size in sorted(sizes.items()):
        print(f"{chain}: entries of {size:.3f} on average, 0.300 before strength")


if __name__ == "__main__":
    main()
