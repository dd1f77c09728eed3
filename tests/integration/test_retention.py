"""What grows with time goes after some of it, and rewriting lessons keeps tables to a size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from tests.benchmarks.capture_data import copy_strands, trade_rows

from ..support.lessons import stage_rows
from .conftest import Database, Drain


def number(db: Database, sql: str) -> int:
    row = db.execute(sql).fetchone()
    assert row is not None
    return int(str(row[0]))


@pytest.fixture
def tidy(db: Database, clean: None) -> Iterator[None]:
    """No archive before, and the default settings after."""
    db.execute("truncate pgmq.a_pm_strength_trades, pgmq.a_pm_strength_jobs")
    yield
    db.execute("update pm_retention set keep_days = case what when 'archive' then 7 else 90 end")


def test_what_is_past_its_time_goes_and_nothing_else(
    store: Store, db: Database, drain: Drain, tidy: None
) -> None:
    copy_strands(db, trade_rows(40))
    drain()
    db.execute(
        "update pgmq.a_pm_strength_trades set archived_at = now() - interval '8 days' where msg_id % 2 = 0"
    )
    kept = number(
        db, "select count(*) from pgmq.a_pm_strength_trades where archived_at > now() - interval '1 day'"
    )
    letter = (
        "insert into pm_dead_letters (queue, strand_id, code, reason, message, created_at, resolved_at) "
        "values ('pm_strength_trades', %s, 'bad_strand', 'r', '{}', now() - interval '400 days', %s)"
    )
    db.execute(letter, ("open", None))
    db.execute(letter, ("closed long ago", "2020-01-01"))
    db.execute(letter, ("closed now", "infinity"))
    assert sum(store.prune()) == 20 + 1
    assert number(db, "select count(*) from pgmq.a_pm_strength_trades") == kept == 20
    letters = db.execute("select strand_id from pm_dead_letters order by 1").fetchall()
    assert letters == [("closed now",), ("open",)]
    # settings decide: nothing of before is kept now
    db.execute("update pgmq.a_pm_strength_trades set archived_at = now() - interval '2 days'")
    assert sum(store.prune()) == 0
    db.execute("update pm_retention set keep_days = 1 where what = 'archive'")
    assert sum(store.prune()) == 20
    assert number(db, "select count(*) from pattern_trade_events") > 100, "events are never pruned"


def test_a_year_of_hourly_runs(store: Store, db: Database, drain: Drain, tidy: None) -> None:
    copy_strands(db, trade_rows(60))
    drain()
    db.execute(
        """
        with mined as (
          insert into learning_runs (kind, status, started_at, finished_at, settings)
          select 'mine', 'succeeded', t, t, '{}'
          from generate_series(now() - interval '1 year', now(), '1 hour') t
          returning id, started_at
        )
        insert into learning_runs (kind, status, started_at, finished_at, settings, source_run_id)
        select 'materialize', 'succeeded', m.started_at, m.started_at, '{}', m.id from mined m
        """
    )
    db.execute(
        """
        insert into pgmq.a_pm_strength_jobs (msg_id, read_ct, enqueued_at, archived_at, vt, message)
        select n, 1, t, t, t, '{"job": "mine"}'
        from generate_series(now() - interval '1 year', now(), '1 hour') with ordinality s (t, n)
        """
    )
    learning.mine(store)
    learning.materialize(store)
    assert number(db, "select count(*) from learning_runs") <= 2 * (90 * 24 + 2) + 2
    assert number(db, "select count(*) from pgmq.a_pm_strength_jobs") <= 7 * 24 + 2
    assert number(db, "select count(*) from pm_strength.sets") <= 4
    assert number(db, "select count(*) from learning_lessons") > 0
    assert number(db, "select count(*) from pm_overrides") > 0


def test_a_lesson_that_has_been_retired_for_long_goes(
    store: Store, db: Database, drain: Drain, tidy: None
) -> None:
    copy_strands(db, trade_rows(100))
    drain()
    store.write_settings("pm", {"n_min": 20})
    learning.mine(store)
    store.write_settings("pm", {"n_min": 40})
    learning.mine(store)
    retired = "select count(*) from learning_lessons where status = 'retired'"
    there = number(db, retired)
    assert there > 10
    learning.mine(store)
    assert number(db, retired) == there, "retired lessons stay for a while"
    db.execute(
        "update pm_strength.lessons set updated_at = now() - interval '91 days' where retired and id % 2 = 0"
    )
    learning.mine(store)
    assert 0 < number(db, retired) < there


def test_rewriting_lessons_keeps_tables_and_indexes_to_a_size(store: Store, db: Database, tidy: None) -> None:
    """As hourly runs do; vacuum stands for autovacuum, which comes once a minute."""
    lessons: list[dict[str, Any]] = [
        {
            "pattern_key": "p",
            "action_category": "entry",
            "scope_subset": {"a": number % 100, "b": number // 100},
            "n": 40,
            "stats": {"edge_raw": 0.1},
            "decay_halflife_hours": None,
        }
        for number in range(8000)
    ]
    sizes = []
    for _ in range(10):
        run = store.begin_run("pm", "mine", {})
        assert run is not None
        stage_rows(db, run["run_id"], lessons)
        for _page in store.stage_retired(run["run_id"]):
            pass
        assert store.publish_run(run["run_id"], len(lessons), {"lessons": len(lessons)}) == "published"
        for _removed in store.purge_sets():
            pass
        db.execute("vacuum pm_strength.lessons")
        sizes.append(number(db, "select pg_total_relation_size('pm_strength.lessons_0')"))
    assert number(db, "select count(distinct id >> 26) from pm_strength.lessons") == 2
    assert sizes[-1] <= 1.3 * sizes[3], sizes
