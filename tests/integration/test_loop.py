"""The whole loop on real parts, against an independent implementation of the contract."""

from __future__ import annotations

import copy
import json
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pm_strength import OverrideBook, StrengthClient
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from pm_strength.settings import LearningSettings
from supabase import ClientOptions, create_client
from tests.support import reference, strands

from .conftest import Database, Drain


def insert(store: Store, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), 400):
        store.insert_strands(rows[start : start + 400])


def read(db: Database, sql: str) -> list[dict[str, Any]]:
    cursor = db.execute(sql)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def close_to(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(close_to(got[key], wanted[key]) for key in wanted)
    if isinstance(wanted, float) and got is not None:
        return math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-12)
    return bool(got == wanted)


def assert_events(db: Database, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events in the database are those of the reference; returns the latter."""
    wanted = {event["strand_id"]: event for event in reference.reference_events(rows)}
    got = {row["strand_id"]: row for row in read(db, "select * from pattern_trade_events")}
    assert got.keys() == wanted.keys()
    for strand_id, event in wanted.items():
        row = got[strand_id]
        assert str(row["trade_id"]) == event["trade_id"]
        assert row["timestamp"] == datetime.fromisoformat(event["timestamp"])
        for name in ("pattern_key", "action_category", "rr", "pnl_usd", "rpnl_pct", "trimmed", "reached_s3"):
            assert row[name] == event[name], (strand_id, name)
        assert reference.scope_key(row["scope"]) == reference.scope_key(event["scope"])
    return list(wanted.values())


def assert_learned(db: Database, events: list[dict[str, Any]], settings: dict[str, Any]) -> None:
    """Lessons and overrides are those of the reference, to 1e-9 relative or 1e-12 absolute."""
    lessons = reference.reference_lessons(events, settings)
    got = {
        (row["pattern_key"], row["action_category"], reference.scope_key(row["scope_subset"])): row
        for row in read(db, "select * from learning_lessons where status = 'active'")
    }
    assert got.keys() == lessons.keys()
    assert lessons, "the test should learn something"
    for key, stats in lessons.items():
        assert close_to(got[key]["stats"], stats), key
        assert got[key]["n"] == stats["n"]
        assert close_to(got[key]["decay_halflife_hours"], stats["decay_meta"]["half_life_hours"])

    overrides = reference.reference_overrides(lessons, settings)
    live = {
        (row["pattern_key"], row["action_category"], reference.scope_key(row["scope_subset"])): row
        for row in read(db, "select * from pm_overrides")
    }
    assert live.keys() == overrides.keys()
    for key, override in overrides.items():
        for name in ("multiplier", "confidence_score"):
            assert math.isclose(live[key][name], override[name], rel_tol=1e-9, abs_tol=1e-12)
        assert live[key]["decay_state"] == override["decay_state"]


def learn(store: Store) -> None:
    learning.mine(store)
    assert learning.materialize(store) is not None


def test_strands_become_events_lessons_overrides_and_sizes(
    store: Store, db: Database, drain: Drain, connection: Connection
) -> None:
    rows = strands.trades(2200)
    late = [row for row in rows if row["kind"] == "pm_action"][::40]
    on_time = [row for row in rows if row not in late]
    store.write_settings("pm", {"n_min": 12})
    insert(store, on_time)
    drain()
    assert store.queue_status()["queues"][0]["depth"] == 0 or len(late) > 0
    insert(store, late)
    drain()
    learn(store)

    events = assert_events(db, rows)
    assert len(events) > 5000
    settings = LearningSettings(n_min=12).to_dict()
    assert_learned(db, events, settings)
    assert_resolutions_agree(store, db, connection, events, settings)

    before = read(db, "select count(*) from pattern_trade_events")
    insert(store, rows)
    db.execute(
        """
        select pgmq.send('pm_strength_trades', jsonb_build_object('strand_id', id))
        from ad_strands where kind = 'position_closed'
        """
    )
    drain()
    assert read(db, "select count(*) from pattern_trade_events") == before


def assert_resolutions_agree(
    store: Store, db: Database, connection: Connection, events: list[dict[str, Any]], settings: dict[str, Any]
) -> None:
    """Python book, its client and SQL give the reference's multiplier, to 1e-12."""
    overrides = read(db, "select * from pm_overrides")
    book = OverrideBook(overrides, LearningSettings.from_mapping(settings), as_of=datetime.now(UTC))
    rng = random.Random(1)
    with StrengthClient(connection.url, connection.key) as client:
        for number in range(60):
            event = rng.choice(events)
            scope = event["scope"] if number % 3 else strands.scope(rng)
            group = (event["pattern_key"], event["action_category"])
            wanted = reference.reference_resolve(overrides, settings, *group, scope)
            answers = [
                book.resolve(*group, scope).to_dict(),
                client.resolve(*group, scope).to_dict(),
                store.resolve(*group, scope),
            ]
            for got in answers:
                assert math.isclose(got["multiplier"], wanted["multiplier"], rel_tol=1e-12, abs_tol=1e-12)
                assert (got["reason"], got["matched"]) == (wanted["reason"], wanted["matched"])
            heaviest = [[match["id"] for match in got["matches"]] for got in answers]
            assert heaviest[0] == heaviest[1] == heaviest[2]


BAD_CLOSES: dict[str, tuple[dict[str, Any], str]] = {
    "no trade_id": ({"trade_id": None}, "trade_id"),
    "no uuid": ({"trade_id": "not-a-uuid"}, "trade_id"),
    "a number": ({"content.trade_id": 5}, "content.trade_id"),
    "two that differ": ({"trade_id": "00000000-0000-4000-8000-000000000001"}, "trade_id"),
    "rr missing": ({"rr": ...}, "content.trade_summary.rr"),
    "rr null": ({"rr": None}, "content.trade_summary.rr"),
    "rr NaN": ({"rr": "NaN"}, "content.trade_summary.rr"),
    "rr text": ({"rr": "1.5"}, "content.trade_summary.rr"),
    "rr boolean": ({"rr": True}, "content.trade_summary.rr"),
    "a time that is none": ({"exit_timestamp": "yesterday"}, "content.trade_summary.exit_timestamp"),
    "no summary": ({"trade_summary": []}, "content.trade_summary"),
}
BAD_ACTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown category": ({"action_category": "hodl"}, "content.action_category"),
    "scope that is a list": ({"scope": ["15m"]}, "content.scope"),
    "a 1 MB scope": ({"scope": {f"note{i}": ["x" * 1000] for i in range(1000)}}, "content.scope"),
    "a 1 MB string in a scope": ({"scope": {"note": "x" * 1_000_000}}, "content.scope.note"),
    "too many dimensions": ({"scope": {f"d{i}": i for i in range(65)}}, "content.scope"),
    "a number no double holds": ({"scope": {"id": 2**53 + 1}}, "content.scope.id"),
}


def spoil(row: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    row = copy.deepcopy(row)
    summary = row["content"].get("trade_summary", {})
    for name, value in change.items():
        if name == "trade_id":
            row["trade_id"] = value
            if value is None:
                row["content"].pop("trade_id", None)
        elif name == "content.trade_id":
            row["content"]["trade_id"] = value
            row["trade_id"] = None
        elif name in ("rr", "exit_timestamp"):
            summary[name] = value
            if value is ...:
                del summary[name]
        else:
            row["content"][name] = value
    return row


def test_bad_strands_are_dead_lettered_with_the_field_and_good_ones_learned_from(
    store: Store, db: Database, drain: Drain
) -> None:
    rng = random.Random(3)
    rows = strands.trades(40, seed=11)
    expected: dict[str, str] = {}
    for change, field in BAD_CLOSES.values():
        trade = strands.trade(rng, 100)
        closing = trade[-1]
        closing["trade_id"] = closing["content"]["trade_id"] = (
            trade[-1]["trade_id"] or trade[-1]["content"]["trade_id"]
        )
        trade[-1] = spoil(closing, change)
        expected[trade[-1]["id"]] = field
        rows += trade
    for change, field in BAD_ACTIONS.values():
        trade = strands.trade(rng, 200)
        good, bad = copy.deepcopy(trade[0]), trade[0]
        good["id"] = str(rng.getrandbits(64))
        for row in (good, bad):
            row["content"] |= {"pattern_key": "p", "action_category": "entry", "scope": {}}
        rows += [good, spoil(bad, change), *trade[1:]]
        expected[bad["id"]] = field
    insert(store, rows)
    drain()

    assert_events(db, rows)
    letters = {letter["strand_id"]: letter for letter in store.dead_letters()}
    assert {strand_id: letters[strand_id]["reason"].split(":")[0] for strand_id in expected} == expected
    assert {letter["code"] for strand_id, letter in letters.items() if strand_id in expected} == {
        "bad_strand"
    }
    assert letters.keys() == expected.keys()


def test_a_dead_letter_is_learned_from_once_it_is_mended_and_requeued(
    store: Store, db: Database, drain: Drain
) -> None:
    rows = strands.trades(1)
    good = rows[-1]
    insert(store, [*rows[:-1], spoil(good, {"rr": "1.5"})])
    drain()
    assert [letter["strand_id"] for letter in store.dead_letters()] == [good["id"]]

    assert store.requeue() == 1
    drain()
    assert [letter["strand_id"] for letter in store.dead_letters()] == [good["id"]]

    db.execute(
        "update ad_strands set content = jsonb_set(content, '{trade_summary,rr}', '1.5') where id = %s",
        (good["id"],),
    )
    store.requeue()
    drain()
    assert store.dead_letters() == []
    good["content"]["trade_summary"]["rr"] = 1.5
    assert_events(db, rows)


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


def test_lessons_retire_and_come_back_and_overrides_go(store: Store, db: Database, drain: Drain) -> None:
    store.write_settings("pm", {"n_min": 5})
    insert(store, strands.trades(60))
    drain()
    learn(store)
    lessons = read(db, "select pattern_key, scope_subset, stats, status from learning_lessons order by id")
    assert lessons
    assert read(db, "select count(*) from pm_overrides")[0]["count"] > 0

    store.write_settings("pm", {"n_min": 1000})
    learn(store)
    retired = read(db, "select pattern_key, scope_subset, stats, status from learning_lessons order by id")
    assert {row["status"] for row in retired} == {"retired"}
    assert [row["stats"] for row in retired] == [row["stats"] for row in lessons]
    assert read(db, "select count(*) from pm_overrides") == [{"count": 0}]

    store.write_settings("pm", {"n_min": 5})
    learn(store)
    assert (
        read(db, "select pattern_key, scope_subset, stats, status from learning_lessons order by id")
        == lessons
    )

    db.execute("truncate pattern_trade_events")
    learn(store)
    assert {row["status"] for row in read(db, "select status from learning_lessons")} == {"retired"}
    assert read(db, "select count(*) from pm_overrides") == [{"count": 0}]


def test_a_run_with_invalid_settings_fails_and_what_was_live_stays(
    store: Store, db: Database, drain: Drain
) -> None:
    store.write_settings("pm", {"n_min": 5})
    insert(store, strands.trades(60))
    drain()
    learn(store)
    before = read(db, "select * from pm_overrides order by id")
    db.execute("alter table learning_settings drop constraint learning_settings_valid")
    try:
        db.execute("""update learning_settings set settings = '{"n_min": 0}'""")
        with pytest.raises(ValueError, match="n_min"):
            learning.mine(store)
        run = store.runs(1)[0]
        assert (run["status"], "n_min" in run["error"]) == ("failed", True)
        assert read(db, "select * from pm_overrides order by id") == before
        event = before[0]
        resolution = store.resolve(event["pattern_key"], event["action_category"], event["scope_subset"])
        assert resolution["reason"] == "matched"
    finally:
        db.execute("update learning_settings set settings = '{}'")
        db.execute(
            "alter table learning_settings add constraint learning_settings_valid "
            "check (pm_strength.assert_settings(settings))"
        )


def test_the_sources_own_query_works_from_any_client(
    store: Store, db: Database, drain: Drain, connection: Connection
) -> None:
    store.write_settings("pm", {"n_min": 5})
    insert(store, strands.trades(60))
    drain()
    learn(store)
    events = read(db, "select * from pattern_trade_events limit 5")
    client = create_client(connection.url, connection.key, ClientOptions(httpx_client=httpx.Client()))
    for event in events:
        rows = (
            client.table("pm_overrides")
            .select("*")
            .eq("pattern_key", event["pattern_key"])
            .eq("action_category", event["action_category"])
            .filter("scope_subset", "cd", json.dumps(event["scope"]))
            .execute()
            .data
        )
        resolution = store.resolve(
            event["pattern_key"], event["action_category"], event["scope"], match_limit=None
        )
        assert {row["id"] for row in rows} == {match["id"] for match in resolution["matches"]}


def test_a_run_goes_by_the_settings_that_it_records(
    store: Store, db: Database, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changes them while it begins."""
    store.write_settings("pm", {"n_min": 5, "edge_threshold": 0.1})
    insert(store, strands.trades(60))
    drain()
    begin = Store.begin_run

    def meddle(self: Store, *arguments: Any) -> Any:
        run = begin(self, *arguments)
        self.write_settings("pm", {"n_min": 50, "edge_threshold": 5})
        return run

    with monkeypatch.context() as patch:
        patch.setattr(Store, "begin_run", meddle)
        mined = learning.mine(store)
        store.write_settings("pm", {"n_min": 5, "edge_threshold": 0.1})
        materialized = learning.materialize(store)
    assert materialized is not None
    recorded = {run["id"]: run["settings"] for run in store.runs(2)}
    assert {settings["n_min"] for settings in recorded.values()} == {5}
    assert min(row["n"] for row in read(db, "select n from learning_lessons")) < 50
    assert mined.lessons
    assert materialized.overrides


def test_a_materialization_follows_the_settings_of_now(store: Store, db: Database, drain: Drain) -> None:
    store.write_settings("pm", {"n_min": 5})
    insert(store, strands.trades(60))
    drain()
    learn(store)
    settings = {"n_min": 500, "edge_threshold": 0.2, "multiplier_min": 0.8, "multiplier_max": 1.1}
    store.write_settings("pm", settings)
    assert learning.materialize(store) is not None
    edges = read(db, "select stats -> 'edge_raw' as edge from learning_lessons where status = 'active'")
    wanted = [min(1.1, max(0.8, 1 + row["edge"])) for row in edges if abs(row["edge"]) >= 0.2]
    got = [row["multiplier"] for row in read(db, "select multiplier from pm_overrides")]
    assert sorted(got) == pytest.approx(sorted(wanted), rel=1e-12)
