"""Events know when their action was taken, and those that do not are told by its strand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.service.events import read_all_events
from pm_strength.service.worker import Worker

from .conftest import Database

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def trade(number: int) -> list[dict[str, Any]]:
    """An entry, an add and a close, an hour apart."""
    trade_id = str(uuid4())
    common = {"module": "pm", "trade_id": trade_id}
    action = {"pattern_key": "p", "scope": {"a": number % 3}}
    at = [(START + timedelta(days=number, hours=hour)).isoformat() for hour in range(3)]
    return [
        common
        | {"id": f"e{number}", "kind": "pm_action", "created_at": at[0]}
        | {"content": action | {"action_category": "entry"}},
        common
        | {"id": f"a{number}", "kind": "pm_action", "created_at": at[1]}
        | {"content": action | {"action_category": "add"}},
        common
        | {"id": f"c{number}", "kind": "position_closed", "created_at": at[2]}
        | {"content": {"trade_summary": {"rr": 1.0}}},
    ]


def drain(variables: dict[str, str]) -> None:
    connection = Connection(variables["API_URL"], variables["SECRET_KEY"])
    Worker(lambda: Store.connect(connection)).drain()


def times(db: Database) -> dict[str, datetime | None]:
    return dict(db.execute("select strand_id, action_at from pattern_trade_events").fetchall())


def test_an_event_has_the_time_of_its_action(store: Store, db: Database, variables: dict[str, str]) -> None:
    rows = [strand for number in range(5) for strand in trade(number)]
    late = rows.pop(1)
    store.insert_strands(rows)
    drain(variables)
    store.insert_strands([late])
    list(store.sweep())
    drain(variables)
    wanted = {
        row["id"]: datetime.fromisoformat(row["created_at"])
        for row in [*rows, late]
        if row["kind"] == "pm_action"
    }
    assert times(db) == wanted
    # delivering it all again changes nothing
    db.execute("update ad_strands set created_at = created_at + interval '1 day' where kind = 'pm_action'")
    store.enqueue_job("sweep")
    drain(variables)
    assert times(db) == wanted
    events = read_all_events(store, "pm")
    assert set(events["action_at"].dt.to_pydatetime()) == set(wanted.values())


def test_a_time_that_not_every_reader_has_is_none(
    store: Store, db: Database, variables: dict[str, str]
) -> None:
    store.insert_strands([strand for number in range(2) for strand in trade(number)])
    db.execute("update ad_strands set created_at = 'infinity' where id = 'e0'")
    db.execute("update ad_strands set created_at = '20000-01-01Z' where id = 'a0'")
    drain(variables)
    found = times(db)
    assert (found["e0"], found["a0"]) == (None, None)
    assert found["e1"] is not None
    assert store.dead_letters() == []
    assert sum(store.fill_action_times()) == 0


def test_events_without_it_are_told_by_their_strand(store: Store, db: Database) -> None:
    store.insert_strands([strand for number in range(30) for strand in trade(number)])
    db.execute(
        "insert into pattern_trade_events (strand_id, trade_id, pattern_key, action_category, scope, rr, "
        "\"timestamp\") select id, trade_id::uuid, 'p', 'entry', '{}', 1, now() from ad_strands "
        "where kind = 'pm_action'"
    )
    db.execute(
        "insert into pattern_trade_events (strand_id, trade_id, pattern_key, action_category, scope, rr, "
        "\"timestamp\") values ('gone', gen_random_uuid(), 'p', 'entry', %s, 1, now())",
        (json.dumps({}),),
    )
    assert sum(store.fill_action_times()) == 60
    found = times(db)
    assert found.pop("gone") is None
    stored = db.execute("select id, created_at from ad_strands where kind = 'pm_action'").fetchall()
    assert found == dict(stored)
    assert sum(store.fill_action_times()) == 0


def test_filling_reads_each_event_without_a_time_once(store: Store, db: Database) -> None:
    """Among 40,000 events that have one, with statistics from before."""
    db.execute("analyze pattern_trade_events")
    db.execute(
        "insert into pattern_trade_events (strand_id, trade_id, pattern_key, action_category, scope, rr, "
        "\"timestamp\", action_at) select 'x' || n, gen_random_uuid(), 'p', 'entry', '{}', 1, now(), "
        "case when n % 400 <> 0 then now() end from generate_series(1, 40000) n"
    )
    count = (
        "select coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::bigint from pg_stat_user_tables "
        "where relname = 'pattern_trade_events'"
    )

    def rows_read() -> int:
        db.execute("select pg_stat_force_next_flush()")
        found = db.execute(count.encode()).fetchone()
        assert found is not None
        return int(found[0])

    db.execute("begin")
    db.execute("commit")
    before = rows_read()
    filled = db.execute("select pm_strength_fill_action_at('', 2000)").fetchone()
    assert filled is not None
    assert filled[0]["filled"] == 0
    assert rows_read() - before <= 300
