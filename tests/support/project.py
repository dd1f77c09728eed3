"""What tests do with a project, and what it must hold then by the plain definition."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import psycopg

from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from tests.support import reference

Database = psycopg.Connection[tuple[object, ...]]


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
        assert row["action_at"] == event["action_at"], strand_id
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
        # the evidence beside them has tests of its own
        assert close_to({name: got[key]["stats"][name] for name in stats}, stats), key
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
