"""What becomes of each message of a batch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pm_strength.capture.batch import plan_batch
from pm_strength.json_values import Row

TRADE = "866be140-e3e7-522e-8e79-436a4227d831"
AT = "2026-01-05T10:00:00+00:00"


def strand(id: str, kind: str, content: Row, trade_id: str | None = TRADE) -> Row:
    return {"id": id, "kind": kind, "trade_id": trade_id, "created_at": AT, "content": json.dumps(content)}


def action(id: str, **content: Any) -> Row:
    return strand(id, "pm_action", {"pattern_key": "p", "action_category": "entry"} | content)


def close(id: str, rr: Any = 1.0) -> Row:
    return strand(id, "position_closed", {"trade_summary": {"rr": rr}})


def message(msg_id: int, strand_id: Any, **more: Any) -> Row:
    return {"msg_id": msg_id, "message": {"strand_id": strand_id} | more}


def batch(messages: list[Row], strands: list[Row], events: list[Row] | None = None) -> tuple[list[Row], Row]:
    return messages, {"strands": strands, "events": events or []}


def reasons(dead: dict[str, Row]) -> dict[str, str]:
    return {strand_id: letter["code"] for strand_id, letter in dead.items()}


def test_a_trade_is_captured_once_for_all_its_messages() -> None:
    plan = plan_batch(*batch([message(1, "c"), message(2, "c"), message(3, "a")], [close("c"), action("a")]))
    assert [event["strand_id"] for event in plan.events] == ["a"]
    assert (sorted(plan.done_ids), plan.retries, plan.dead) == ([1, 2, 3], [], {})


def test_bad_strands_are_dead_letters_and_their_messages_done() -> None:
    plan = plan_batch(
        *batch(
            [message(1, "c"), message(2, "lost"), message(3, "gone")],
            [close("c", rr="x"), action("a"), strand("lost", "position_closed", {}, None)],
        )
    )
    assert plan.events == []
    assert sorted(plan.done_ids) == [1, 2, 3]
    assert reasons(plan.dead) == {"c": "bad_strand", "lost": "bad_strand", "gone": "bad_strand"}
    assert "found none" in plan.dead["gone"]["reason"]


def test_a_close_without_actions_is_tried_five_times_over_about_an_hour() -> None:
    delays = []
    more: Row = {}
    for _ in range(4):
        plan = plan_batch(*batch([message(1, "c", **more)], [close("c")]))
        assert (plan.done_ids, plan.dead) == ([], {})
        (retry,) = plan.retries
        delays.append(retry["delay_seconds"])
        assert retry["message"]["strand_id"] == "c"
        more = {"attempt": retry["message"]["attempt"]}
    assert more == {"attempt": 5}
    assert 3000 <= sum(delays) <= 4500
    plan = plan_batch(*batch([message(1, "c", attempt=5)], [close("c")]))
    assert (plan.done_ids, plan.retries, reasons(plan.dead)) == ([1], [], {"c": "no_actions"})


@pytest.mark.parametrize("attempt", [None, -5, 0, "2", 1.5, [], 10**30])
def test_a_message_may_say_what_it_likes_of_its_attempts(attempt: Any) -> None:
    plan = plan_batch(*batch([message(1, "c", attempt=attempt)], [close("c")]))
    assert plan.retries or plan.dead


def test_a_close_whose_trade_has_its_events_is_done() -> None:
    outcome = {
        "rr": 2.0,
        "pnl_usd": None,
        "rpnl_pct": None,
        "trimmed": None,
        "reached_s3": None,
        "timestamp": AT,
        "closed_by": "first",
    }
    known = [{"trade_id": TRADE, "outcome": outcome, "strand_ids": ["a"]}]
    plan = plan_batch(*batch([message(1, "c")], [close("c"), action("a"), action("late")], known))
    assert [(event["strand_id"], event["rr"]) for event in plan.events] == [("late", 2.0)]
    assert plan.done_ids == [1]


def test_a_message_that_names_no_strand_is_unreadable() -> None:
    plan = plan_batch(
        *batch([{"msg_id": 1, "message": "text"}, message(2, 5), {"msg_id": 3, "message": None}], [])
    )
    assert plan.unreadable == [1, 2, 3]
    assert plan.done_ids == []
