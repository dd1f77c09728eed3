"""Two calls at once on the same trade, horizon or set: the second waits for the first, and sees it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from .conftest import Database

TRADE = "866be140-e3e7-522e-8e79-436a4227d831"

# A call on a connection of its own.
Call = Callable[[Database], Any]


@contextmanager
def at_once(variables: dict[str, str], first: Call, second: Call) -> Iterator[list[Any]]:
    """`first` in a transaction that stays open until `second`, begun meanwhile, waits or has ended.

    Yields what each returned.
    """
    answers: list[Any] = [None, None]
    with (
        psycopg.connect(variables["DB_URL"]) as one,
        psycopg.connect(variables["DB_URL"], autocommit=True) as two,
        psycopg.connect(variables["DB_URL"], autocommit=True) as watch,
    ):
        answers[0] = first(one)
        thread = threading.Thread(target=lambda: answers.__setitem__(1, second(two)))
        thread.start()
        waits = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
        deadline = time.monotonic() + 60
        while thread.is_alive() and watch.execute(waits, (two.info.backend_pid,)).fetchone() != (True,):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        one.commit()
        thread.join()
    yield answers


def value(db: Database, sql: str, *arguments: Any) -> Any:
    row = db.execute(sql.encode(), arguments).fetchone()
    assert row is not None
    return row[0]


def capture(strand_id: str, rr: float) -> Call:
    events = [
        {
            "strand_id": strand_id,
            "trade_id": TRADE,
            "pattern_key": "p",
            "action_category": "entry",
            "scope": {},
            "rr": rr,
            "timestamp": "2026-01-01T00:00:00Z",
        }
    ]
    return lambda db: value(
        db, "select public.pm_strength_commit_trades(%s, '{}', '[]', '[]')", json.dumps(events)
    )


def plain(db: Database, rr: float) -> Call:
    """Strands of the trade, and the call by which the database captures them alone."""
    for kind, content in (
        ("pm_action", {"pattern_key": "p", "action_category": "entry"}),
        ("position_closed", {"trade_summary": {"rr": rr}}),
    ):
        db.execute(
            "insert into ad_strands (id, module, kind, trade_id, content) values (%s, 'pm', %s, %s, %s)",
            (kind, kind, TRADE, json.dumps(content)),
        )
    return lambda db: value(db, "select public.pm_strength_capture_plain(array[1], array['position_closed'])")


def begin(kind: str) -> Call:
    return lambda db: value(
        db, "select public.pm_strength_begin_run('pm', %s, '{}', gen_random_uuid())", kind
    )


def opened(db: Database, kind: str) -> int:
    """A run with a set for no rows, which has looked at all lessons: at none."""
    run_id = int(begin(kind)(db)["run_id"])
    value(db, "select public.pm_strength_open_set(%s, 0)", run_id)
    if kind == "materialize":
        value(db, "select public.pm_strength_stage_overrides(%s, 0, 1)", run_id)
    return run_id


def publish(run_id: int) -> Call:
    return lambda db: value(db, "select public.pm_strength_publish_run(%s, 0, '{}')", run_id)


@pytest.mark.usefixtures("clean")
def test_two_workers_with_one_trade_give_it_one_outcome(variables: dict[str, str], db: Database) -> None:
    """A lease that ran out: both read the trade before it had events, and each another close."""
    with at_once(variables, capture("a1", 1), capture("a2", 2)) as answers:
        assert answers == [{"events": 1}, {"events": 1}]
    assert db.execute("select distinct rr from pattern_trade_events").fetchall() == [(1.0,)]


@pytest.mark.usefixtures("clean")
def test_what_a_worker_captured_meanwhile_keeps_its_outcome(variables: dict[str, str], db: Database) -> None:
    """The database has read the trade as one without events, and looks again before it writes."""
    with at_once(variables, capture("a1", 1), plain(db, 2)) as answers:
        assert answers == [{"events": 1}, {"events": 0, "done": [], "trades": []}]
    assert db.execute("select distinct rr from pattern_trade_events").fetchall() == [(1.0,)]


@pytest.mark.usefixtures("clean")
def test_a_worker_keeps_the_outcome_that_the_database_captured(
    variables: dict[str, str], db: Database
) -> None:
    with at_once(variables, plain(db, 2), capture("a1", 1)) as answers:
        assert answers == [{"events": 1, "done": [1], "trades": [TRADE]}, {"events": 1}]
    assert db.execute("select distinct rr from pattern_trade_events").fetchall() == [(2.0,)]


@pytest.mark.usefixtures("clean")
def test_a_mining_run_begins_where_the_database_ended(variables: dict[str, str], db: Database) -> None:
    with at_once(variables, plain(db, 1), begin("mine")) as answers:
        assert answers[1]["horizon"] == value(db, "select max(id) from pattern_trade_events")


@pytest.mark.usefixtures("clean")
def test_a_mining_run_begins_where_capture_ended(variables: dict[str, str], db: Database) -> None:
    """Not below: ids are given before they are committed, and no trade may be read by half."""
    with at_once(variables, capture("a1", 1), begin("mine")) as answers:
        assert answers[1]["horizon"] == value(db, "select max(id) from pattern_trade_events")


@pytest.mark.usefixtures("clean")
def test_the_slower_of_two_publishers_sees_the_faster(variables: dict[str, str], db: Database) -> None:
    older, newer = (begin("mine")(db)["run_id"] for _ in range(2))
    with at_once(variables, publish(newer), publish(older)) as answers:
        assert answers == ["published", "superseded"]
    live = "select run_id from pm_strength.live_set('pm', 'lessons')"
    assert value(db, live) == newer


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("kind", ["mine", "materialize"])
def test_a_run_that_is_published_twice_at_once_is_published_once(
    variables: dict[str, str], db: Database, kind: str
) -> None:
    """As a client does whose first answer was cut: the set before must stay the one before."""
    for kind_before in ("mine", "mine", "materialize"):
        assert publish(opened(db, kind_before))(db) == "published"
    table = {"mine": "lessons", "materialize": "overrides"}[kind]
    before = value(db, "select run_id from pm_strength.live_set('pm', %s)", table)
    run_id = opened(db, kind)
    with at_once(variables, publish(run_id), publish(run_id)) as answers:
        assert answers == ["published", "published"]
    sets = (
        "select array_agg(run_id order by id desc) from pm_strength.sets "
        "where state in ('live', 'kept') and kind = %s"
    )
    assert value(db, sets, table)[:2] == [run_id, before]


@pytest.mark.usefixtures("clean")
def test_two_that_remove_a_set_leave_none_of_its_rows(variables: dict[str, str], db: Database) -> None:
    """The runs of two modules end at the same time, every hour."""
    db.execute(
        """
        insert into pm_strength.sets (id, kind, state, dropped_at)
        overriding system value values (1000001, 'lessons', 'dropped', now());
        insert into pm_strength.lessons (id, pattern_key, action_category, scope_subset, n, stats)
        select 1000001::bigint * 67108864 + n, 'p', 'entry', jsonb_build_object('n', n), 1, '{}'
        from generate_series(1, 30) n
        """
    )

    def purge(own: Database) -> Any:
        return value(own, "select public.pm_strength_purge_sets(10)")

    with at_once(variables, purge, purge) as answers:
        assert answers == [10, 10]
    assert [purge(db), purge(db)] == [10, 0]
    assert value(db, "select count(*) from pm_strength.lessons") == 0
    assert value(db, "select count(*) from pm_strength.sets where emptied_at is not null") == 1


@pytest.mark.usefixtures("clean")
def test_a_set_is_not_taken_for_empty_while_its_last_rows_are_removed(
    variables: dict[str, str], db: Database
) -> None:
    """The transaction that removes them may break off."""
    db.execute(
        """
        insert into pm_strength.sets (id, kind, state, dropped_at)
        overriding system value values (1000001, 'overrides', 'dropped', now());
        insert into pm_strength.overrides (
          id, pattern_key, action_category, scope_subset, multiplier, confidence_score, lead, dimensions
        )
        values (1000001::bigint * 67108864, 'p', 'entry', '{}', 1, 1, 0, 0)
        """
    )
    db.execute("set lock_timeout = '5s'")
    with psycopg.connect(variables["DB_URL"]) as other:
        assert value(other, "select public.pm_strength_purge_sets(10)") == 1
        assert value(db, "select public.pm_strength_purge_sets(10)") == 0
        other.rollback()
    assert value(db, "select public.pm_strength_purge_sets(10)") == 1


@pytest.mark.usefixtures("clean")
def test_a_slot_is_queued_once_though_two_ask_at_once(variables: dict[str, str], db: Database) -> None:
    db.execute("update pm_strength.schedule set last_slot = last_slot - interval '5 hours'")

    def ask(own: Database) -> Any:
        return value(own, "select public.pm_strength_enqueue_due()")

    with at_once(variables, ask, ask) as answers:
        assert answers == [3, 0]
    assert value(db, "select count(*) from pgmq.q_pm_strength_jobs") == 3
