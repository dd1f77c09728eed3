"""Strands that come late, in another order or unseen: a trade is captured once, with its first outcome."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from pm_strength.project.store import Store
from tests.support import strands
from tests.support.project import assert_events, insert, read

from .conftest import Database, Drain


def test_a_close_without_actions_is_tried_five_times_and_captured_when_they_come(
    store: Store, db: Database, drain: Drain
) -> None:
    rows = strands.trades(1)
    insert(store, rows[-1:])
    for attempt in range(5):
        drain()
        waiting = read(db, "select message, vt > now() as waits from pgmq.q_pm_strength_trades")
        if attempt < 4:
            assert waiting == [
                {"message": {"strand_id": rows[-1]["id"], "attempt": attempt + 2}, "waits": True}
            ]
            db.execute("update pgmq.q_pm_strength_trades set vt = now() - interval '1 second'")
    assert waiting == []
    assert [letter["code"] for letter in store.dead_letters()] == ["no_actions"]
    drain()
    assert [letter["code"] for letter in store.dead_letters()] == ["no_actions"]

    insert(store, rows[:-1])
    drain()
    assert_events(db, rows)
    assert store.dead_letters() == []


def test_actions_that_come_while_their_close_waits_are_captured_at_the_next_drain(
    store: Store, db: Database, drain: Drain
) -> None:
    rows = strands.trades(1)
    insert(store, rows[-1:])
    drain()
    insert(store, rows[:-1])
    drain()
    assert_events(db, rows)
    assert store.queue_status()["queues"][0]["depth"] == 0


def test_what_the_trigger_missed_is_found_by_the_sweep(store: Store, db: Database, drain: Drain) -> None:
    rows = strands.trades(30)
    db.execute("alter table pgmq.q_pm_strength_trades rename to away")
    try:
        insert(store, rows)
    finally:
        db.execute("alter table pgmq.away rename to q_pm_strength_trades")
    assert read(db, "select count(*) from pgmq.q_pm_strength_trades") == [{"count": 0}]
    drain()
    assert_events(db, rows)


def test_the_first_valid_close_gives_the_outcome(store: Store, db: Database, drain: Drain) -> None:
    rng = random.Random(5)
    rows = strands.trade(rng, 0)
    rows[0]["content"] |= {"pattern_key": "p", "action_category": "entry"}
    first = rows[-1]
    first["content"]["trade_summary"]["exit_timestamp"] = None
    trade_id = rows[0]["trade_id"] or rows[0]["content"]["trade_id"]
    at = datetime.fromisoformat(first["created_at"])
    invalid = strands.close(rng, trade_id, at - timedelta(hours=1), {})
    invalid["content"]["trade_summary"]["rr"] = None
    later = strands.close(rng, trade_id, at + timedelta(hours=1), {})
    insert(store, [later, invalid, *rows])
    drain()
    events = assert_events(db, [later, invalid, *rows])
    assert {event["rr"] for event in events} == {first["content"]["trade_summary"]["rr"]}
    assert [letter["strand_id"] for letter in store.dead_letters()] == [invalid["id"]]

    much_earlier = strands.close(rng, trade_id, at - timedelta(days=1), {})
    insert(store, [much_earlier])
    drain()
    assert {row["rr"] for row in read(db, "select rr from pattern_trade_events")} == {events[0]["rr"]}
