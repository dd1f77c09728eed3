"""Capture and the strands function take and refuse the same: both are held to one table of cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pm_strength.capture.trade import Outcome, Strand, capture_trade, group_by_trade
from pm_strength.json_values import parse_json

FUNCTIONS = Path(__file__).parents[2] / "supabase" / "functions"
CASES = parse_json((FUNCTIONS / "strands" / "strand.cases.json").read_text())
OUTCOME = Outcome(1.0, None, None, None, None, "2026-01-05T00:00:00+00:00", "close")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_the_function_takes_capture_takes(case: dict[str, Any]) -> None:
    row = case["strand"]
    strand = Strand(row["id"], row["kind"], row["trade_id"], row["created_at"], row["content"])
    content = row["content"]
    if row["trade_id"] is None and None in (
        content.get("pattern_key", ""),
        content.get("action_category", ""),
    ):
        # an action that makes no event and is of no trade: nobody looks at it
        assert case["path"] is None
        return
    trades, bad = group_by_trade([strand])
    for trade_id, (closes, actions) in trades.items():
        bad += capture_trade(trade_id, closes, actions, OUTCOME if actions else None).bad
    if case["path"] is None:
        assert bad == []
    else:
        field = ".".join(case["path"])[:200]  # a longer key is cut
        assert [fault.reason.startswith(field) for fault in bad] == [True]
