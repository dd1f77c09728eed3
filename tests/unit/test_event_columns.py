"""Packed pages of events come out as the events that went in."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pandas as pd

from pm_strength.mining import lesson_rows, mine_lessons
from pm_strength.project.event_columns import event_columns, from_arrays, joined
from pm_strength.scopes import typed_scope
from pm_strength.settings import LearningSettings

from ..support.packed import pack_events

TIMES = ("2026-01-01T00:00:00+00:00", "1999-12-31T23:59:59.999999+00:00", "0001-01-01T00:00:00+00:00")
TIMES += ("9999-12-31T23:59:59.999999+00:00", "2000-01-01T00:00:00+00:00")
SCOPES: list[dict[str, Any]] = [
    *({}, {"a": 1}, {"a": 1.0, "b": "x\ny"}, {"a": True}, {"a": "1", "ü": 'q"\\'}),
    *({"a": [1, 2]}, {"a": None}, {"a": 2**53}, {"a": 1e-300}),
]


def rows(seed: int, count: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    trades = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(count // 2)]
    return [
        {
            "id": 3 * number + 1,
            "trade_id": rng.choice(trades),
            "pattern_key": rng.choice(["p", "q", "a|b=c"]),
            "action_category": rng.choice(["entry", "add", "trim", "exit"]),
            "scope": rng.choice(SCOPES),
            "rr": rng.gauss(0, 1),
            "pnl_usd": rng.choice([None, rng.gauss(0, 100)]),
            "rpnl_pct": rng.choice([None, 1e308, -5e-324]),
            "timestamp": rng.choice(TIMES),
            "action_at": rng.choice([None, *TIMES]),
            "trimmed": rng.choice([None, True, False]),
            "reached_s3": rng.choice([None, True, False]),
        }
        for number in range(count)
    ]


def plain(events: list[dict[str, Any]]) -> pd.DataFrame:
    """The events without packing, as a user's own table has them."""
    return pd.DataFrame(events)


def test_what_is_unpacked_is_what_was_packed() -> None:
    events = rows(1, 500)
    frame = event_columns([pack_events(events[:200]), pack_events(events[200:])]).frame()
    # a list and a null are no dimensions
    held = [{name: value for name, (_, value) in typed_scope(e["scope"]).items()} for e in events]
    assert frame["scope"].tolist() == held
    assert frame["pattern_key"].tolist() == [event["pattern_key"] for event in events]
    for name in ("rr", "pnl_usd", "rpnl_pct"):
        wanted = [event[name] for event in events]
        assert [None if pd.isna(value) else value for value in frame[name]] == wanted
    for name in ("timestamp", "action_at"):
        microseconds = frame[name].astype("int64").tolist()
        moments = [None if event[name] is None else pd.Timestamp(event[name]) for event in events]
        assert microseconds == [
            -(2**63) if m is None else int(m.as_unit("us").asm8.view("i8")) for m in moments
        ]
    flags = {True: 1.0, False: 0.0}
    for name in ("trimmed", "reached_s3"):
        assert [flags.get(event[name]) for event in events] == [
            None if pd.isna(value) else value for value in frame[name]
        ]
    order = list(dict.fromkeys(event["trade_id"] for event in events))
    assert frame["trade_id"].tolist() == [order.index(event["trade_id"]) for event in events]


def test_no_page_makes_an_empty_frame() -> None:
    assert len(event_columns([]).frame()) == 0
    assert mine_lessons(event_columns([]).frame()).empty


def test_packed_events_have_the_lessons_of_plain_ones() -> None:
    events = rows(2, 4000)
    for settings in (LearningSettings(n_min=15), LearningSettings(profile="guarded", outcome="pnl_usd")):
        packed = mine_lessons(event_columns([pack_events(events)]).frame(), settings)
        assert len(packed) > 20
        assert lesson_rows(packed) == lesson_rows(mine_lessons(plain(events), settings))


def test_what_was_kept_and_what_is_new_are_as_if_read_at_once() -> None:
    events = rows(3, 900)
    # dimensions, values, patterns and trades that only one of the parts has
    events[850]["scope"] = {"late": "first", "a": -5}
    events[851]["pattern_key"] = "a new one"
    events[0]["scope"] = {"early": 1, "a": "gone"}
    whole = event_columns([pack_events(events)])
    for cut in (0, 1, 450, 899, 900):
        parts = [event_columns([pack_events(part)] if part else []) for part in (events[:cut], events[cut:])]
        kept = from_arrays(parts[0].arrays())
        both = joined(kept, parts[1])
        pd.testing.assert_frame_equal(both.frame().drop(columns="scope"), whole.frame().drop(columns="scope"))
        assert both.frame()["scope"].tolist() == whole.frame()["scope"].tolist()
        for name in ("codes", "pattern", "category"):
            assert getattr(both, name).tolist() == getattr(whole, name).tolist()
        assert (both.dimensions, both.values) == (whole.dimensions, whole.values)


def test_trades_with_half_an_id_in_common_are_two() -> None:
    events = rows(4, 4)
    ids = [uuid.UUID(int=high << 64 | low) for high, low in ((1, 1), (1, 2), (2, 1), (1, 1))]
    for event, trade in zip(events, ids, strict=True):
        event["trade_id"] = str(trade)
    assert event_columns([pack_events(events)]).frame()["trade_id"].tolist() == [0, 1, 2, 0]
    parts = [event_columns([pack_events(part)]) for part in (events[:2], events[2:])]
    assert joined(*parts).frame()["trade_id"].tolist() == [0, 1, 2, 0]
