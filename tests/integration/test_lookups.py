"""Capture and the sweep look strands up by index: a call may take 8 seconds, however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pm_strength.local.postgres import SUPERUSER
from pm_strength.local.stack import Stack
from pm_strength.project.store import Store
from tests.benchmarks.capture_data import copy_strands, trade_rows

from .conftest import Database, Drain


@pytest.fixture
def counting(stack: Stack, clean: None) -> Iterator[psycopg.Connection[Any]]:
    """A connection on which calls of functions are counted, which takes a superuser."""
    with psycopg.connect(stack.postgres().url(SUPERUSER), autocommit=True) as connection:
        connection.execute("set track_functions = 'all'")
        yield connection


def number(db: psycopg.Connection[Any], sql: str) -> int:
    db.execute("select pg_stat_force_next_flush()")
    row = db.execute(sql.encode()).fetchone()
    assert row is not None
    return int(row[0])


def scans(db: Database) -> int:
    return number(
        db,
        "select sum(seq_scan) from pg_stat_user_tables "
        "where relname in ('ad_strands', 'pattern_trade_events')",
    )


def sweep(db: psycopg.Connection[Any], kind: str, page_size: int = 20_000) -> Any:
    row = db.execute("select public.pm_strength_sweep(%s, '', %s)", (kind, page_size)).fetchone()
    assert row is not None
    return row[0]["found"]


def test_capture_and_the_sweep_read_indexes_and_never_a_table(
    store: Store, db: Database, drain: Drain
) -> None:
    """Whatever the statistics say, here that there is nothing: a plan for little is slow for much."""
    for table in ("ad_strands", "pattern_trade_events"):
        db.execute(f"analyze public.{table}".encode())
    copy_strands(db, trade_rows(150))
    before = scans(db)
    drain()
    assert scans(db) == before
    db.execute("delete from pattern_trade_events where id % 20 = 0")
    db.execute(
        "insert into ad_strands (id, module, kind, trade_id) values ('lone', 'pm', 'position_closed', %s)",
        ("00000000-0000-4000-8000-00000000000a",),
    )
    db.execute("select pgmq.purge_queue('pm_strength_trades')")
    before = scans(db)
    assert sweep(db, "pm_action") > 5
    assert sweep(db, "position_closed") == 1
    assert scans(db) == before


def test_the_sweep_asks_for_new_actions_only_where_a_close_waits_for_them(
    counting: psycopg.Connection[Any], store: Store
) -> None:
    """Whatever the planner likes best, here to read all strands first."""
    counting.execute(
        "insert into ad_strands (id, module, kind, trade_id) "
        "select 'c' || n, 'pm', 'position_closed', gen_random_uuid()::text from generate_series(1, 200) n"
    )
    counting.execute("select pgmq.purge_queue('pm_strength_trades')")
    counting.execute(
        "select pgmq.send('pm_strength_trades', jsonb_build_object('strand_id', 'c7', 'attempt', 2), 600)"
    )
    for way in ("indexscan", "bitmapscan", "indexonlyscan"):
        counting.execute(f"set enable_{way} = off")
    calls = "select coalesce(sum(calls), 0) from pg_stat_user_functions where funcname = 'has_new_action'"
    before = number(counting, calls)
    assert sweep(counting, "position_closed") == 199
    assert number(counting, calls) == before + 1
