"""A trade's strands become events, or reasons that name the field."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from pm_strength.capture.trade import (
    BadStrand,
    Capture,
    Outcome,
    Strand,
    capture_trade,
    group_by_trade,
    read_close,
)

TRADE = "866be140-e3e7-522e-8e79-436a4227d831"
AT = "2026-01-05T10:00:00+00:00"


def strand(kind: str, content: Any, id: str = "s", **columns: Any) -> Strand:
    row = {
        "id": id,
        "kind": kind,
        "trade_id": TRADE,
        "created_at": AT,
        "content": json.dumps(content),
    } | columns
    made = Strand.from_row(row)
    assert isinstance(made, Strand)
    return made


def action(id: str = "a", **content: Any) -> Strand:
    return strand(
        "pm_action", {"pattern_key": "p", "action_category": "entry", "scope": {"x": 1}} | content, id
    )


def close(id: str = "c", context: Any = None, **summary: Any) -> Strand:
    return strand("position_closed", {"entry_context": context, "trade_summary": {"rr": 1.5} | summary}, id)


def captured(closes: list[Strand], actions: list[Strand], *more: Any) -> Capture:
    return capture_trade(TRADE, closes, actions, *more)


def test_each_action_is_an_event_with_the_trades_outcome() -> None:
    closing = close(
        context={"chain": "base"},
        pnl_usd=12.5,
        rpnl_pct=-3,
        trimmed=True,
        exit_timestamp="2026-01-05T12:00:00",
    )
    capture = captured([closing], [action("a1"), action("a2", action_category="Scale_Up", scope=None)])
    assert capture.bad == []
    assert [event.to_row() for event in capture.events] == [
        {
            "strand_id": strand_id,
            "trade_id": TRADE,
            "pattern_key": "p",
            "action_category": category,
            "scope": scope,
            "action_at": AT,
            "rr": 1.5,
            "pnl_usd": 12.5,
            "rpnl_pct": -3.0,
            "trimmed": True,
            "reached_s3": None,
            "timestamp": "2026-01-05T12:00:00+00:00",
            "closed_by": "c",
            "module": "pm",
        }
        for strand_id, category, scope in (
            ("a1", "entry", {"x": 1, "chain": "base"}),
            ("a2", "add", {"chain": "base"}),
        )
    ]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2026-01-05T12:00:00", "2026-01-05T12:00:00+00:00"),
        ("2026-01-05T12:00:00Z", "2026-01-05T12:00:00+00:00"),
        ("2026-01-05T12:00:00.5+05:30", "2026-01-05T06:30:00.500000+00:00"),
        ("20260105T120000Z", "2026-01-05T12:00:00+00:00"),
        ("2026-01-05", "2026-01-05T00:00:00+00:00"),
        (None, AT),
    ],
)
def test_times_are_utc_and_never_now(given: str | None, stored: str) -> None:
    assert read_close(close(exit_timestamp=given))[0].timestamp == stored


def test_a_time_without_offset_is_utc_wherever_the_worker_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        closing = close(exit_timestamp="2026-01-05T12:00:00")
        assert read_close(closing)[0].timestamp == "2026-01-05T12:00:00+00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("summary", "field"),
    [
        *[
            ({"rr": value}, "content.trade_summary.rr")
            for value in (None, "NaN", "1.5", True, [], {}, float("inf"), float("nan"), 10**400)
        ],
        ({"pnl_usd": "5"}, "content.trade_summary.pnl_usd"),
        ({"rpnl_pct": False}, "content.trade_summary.rpnl_pct"),
        ({"trimmed": 1}, "content.trade_summary.trimmed"),
        ({"reached_s3": "yes"}, "content.trade_summary.reached_s3"),
        *[
            ({"exit_timestamp": value}, "content.trade_summary.exit_timestamp")
            for value in ("yesterday", "", 5, True, "2026-13-01", [])
        ],
    ],
)
def test_a_bad_outcome_names_the_field_and_captures_nothing(summary: dict[str, Any], field: str) -> None:
    row = close(**summary)
    capture = captured([row], [action()])
    assert (capture.events, capture.outcome) == ([], None)
    assert [fault.strand_id for fault in capture.bad] == ["c"]
    assert capture.bad[0].reason.startswith(field + ": expected ")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (None, "content"),
        ([], "content"),
        ({}, "content.trade_summary"),
        ({"trade_summary": "x"}, "content.trade_summary"),
        ({"trade_summary": {"rr": 1}, "entry_context": []}, "content.entry_context"),
    ],
)
def test_a_close_without_a_summary_names_what_lacks(content: Any, field: str) -> None:
    capture = captured([strand("position_closed", content, "c")], [action()])
    assert capture.bad[0].reason.startswith(field + ": expected an object")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"action_category": "hodl"}, "content.action_category"),
        ({"action_category": 5}, "content.action_category"),
        ({"pattern_key": ""}, "content.pattern_key"),
        ({"pattern_key": ["p"]}, "content.pattern_key"),
        ({"pattern_key": "p" * 501}, "content.pattern_key"),
        ({"scope": []}, "content.scope"),
        ({"scope": "solana"}, "content.scope"),
        ({"scope": {"x": "y" * 201}}, "content.scope.x"),
        ({"scope": {"x": ["y" * 17_000]}}, "content.scope"),
    ],
)
def test_a_bad_action_names_the_field_and_its_siblings_count(content: dict[str, Any], field: str) -> None:
    capture = captured([close()], [action("bad", **content), action("good")])
    assert [event.strand_id for event in capture.events] == ["good"]
    assert [fault.strand_id for fault in capture.bad] == ["bad"]
    assert capture.bad[0].reason.startswith(field + ": expected ")


@pytest.mark.parametrize("lacking", ["pattern_key", "action_category"])
def test_an_action_without_a_key_makes_no_event_and_no_noise(lacking: str) -> None:
    capture = captured([close()], [action(**{lacking: None})])
    assert (capture.events, capture.bad) == ([], [])


def test_the_first_valid_close_counts() -> None:
    capture = captured([close("bad", rr=None), close("first", rr=2), close("second", rr=3)], [action()])
    assert [event.outcome.rr for event in capture.events] == [2.0]
    assert [fault.strand_id for fault in capture.bad] == ["bad"]


def test_late_actions_take_the_outcome_that_the_trade_has() -> None:
    known = Outcome(9.0, None, None, None, None, AT, closed_by="second")
    closes = [close("first", {"x": 5, "y": "first"}), close("second", {"y": "second"})]
    capture = captured(closes, [action("old"), action("late")], known, {"old"})
    assert [(event.strand_id, event.outcome, event.scope) for event in capture.events] == [
        ("late", known, {"x": 1, "y": "second"})
    ]


@pytest.mark.parametrize(
    ("column", "inner", "field"),
    [
        (None, None, "trade_id"),
        ("no-uuid", None, "trade_id"),
        (TRADE, "no-uuid", "content.trade_id"),
        (None, 5, "content.trade_id"),
        (None, True, "content.trade_id"),
        (TRADE, "00000000-0000-4000-8000-000000000001", "trade_id"),
        (TRADE + "0", None, "trade_id"),
    ],
)
def test_a_strand_without_one_trade_names_the_field(column: Any, inner: Any, field: str) -> None:
    trades, bad = group_by_trade([strand("pm_action", {"trade_id": inner}, trade_id=column)])
    assert trades == {}
    assert bad[0].reason.startswith(field + ": expected ")


@pytest.mark.parametrize(
    ("column", "inner"), [(TRADE, None), (None, TRADE), (TRADE.upper(), TRADE.replace("-", ""))]
)
def test_a_trade_may_stand_in_the_column_or_the_content(column: Any, inner: Any) -> None:
    trades, bad = group_by_trade([strand("pm_action", {"trade_id": inner}, trade_id=column)])
    assert (list(trades), bad) == ([TRADE], [])


def test_an_event_is_of_the_module_that_closed_its_trade() -> None:
    content = {"trade_summary": {"rr": 1.5}}
    closing = strand("position_closed", content, "c", module="dm")
    capture = captured([closing], [strand("pm_action", {"pattern_key": "p", "action_category": "e1"}, "a")])
    assert [event.to_row()["module"] for event in capture.events] == ["dm"]
    known = Outcome(9.0, None, None, None, None, AT, closed_by="gone", module="swing")
    assert captured([closing], [action()], known).events[0].to_row()["module"] == "swing"


def test_content_that_the_database_found_too_large_is_bad_alone() -> None:
    row = {"id": "s", "kind": "pm_action", "trade_id": None, "created_at": AT, "content": None}
    made = Strand.from_row(row)
    assert made == BadStrand("s", "content: expected at most 1 MB of trade_summary, entry_context and scope")
    # what is given may be as long as it likes: the database counts
    assert isinstance(strand("pm_action", {"note": "x" * 2**21}), Strand)


def test_content_that_cannot_be_read_is_bad() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    row = {"id": "s", "kind": "pm_action", "trade_id": None, "created_at": AT, "content": deep}
    made = Strand.from_row(row)
    assert isinstance(made, BadStrand)
    assert made.reason.startswith("content: ")
