"""Postgres and PostgREST that crash and come back: workers wait and finish, readers see whole runs."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import httpx
import psycopg

from pm_strength.local.stack import Stack
from tests.benchmarks.capture_data import copy_strands, trade_rows
from tests.integration.conftest import Database

from .conftest import Workers, scale, wait_until
from .test_kills import expected_events


class Outside:
    """A connection that is made again when the database was away."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._url = variables["DB_URL"]

    def rows(self, sql: str) -> list[Any]:
        try:
            with psycopg.connect(self._url, connect_timeout=2) as db:
                return db.execute(sql).fetchall()
        except psycopg.Error:
            return []

    def number(self, sql: str) -> int:
        rows = self.rows(sql)
        return int(rows[0][0]) if rows else -1


def break_parts(stack: Stack, rng: random.Random, times: int, pause: tuple[float, float]) -> None:
    """Crash Postgres or PostgREST and start it again, so many times."""
    for number in range(times):
        time.sleep(rng.uniform(*pause))
        part = ("postgres", "postgrest")[number % 2]
        stack.stop_part(part, crash=True)
        time.sleep(rng.uniform(0.1, 1.0))
        stack.restart(part)


def test_a_drain_outlives_crashes_of_postgres_and_postgrest(
    db: Database, whole: Stack, workers: Workers, variables: dict[str, str]
) -> None:
    trades = scale(15_000, 3_000)
    copy_strands(db, trade_rows(trades))
    outside = Outside(variables)
    workers.start("--batch-size", "100")
    workers.start("--batch-size", "100")
    wait_until(lambda: outside.number("select count(*) from pattern_trade_events") > 0)
    break_parts(whole, random.Random(5), scale(8, 3), (0.2, 1.0))
    wait_until(
        lambda: outside.number("select count(*) from pgmq.q_pm_strength_trades") == 0, 180, workers.said
    )
    assert all(worker.poll() is None for worker in workers.running), workers.said()
    workers.stop()
    events = [row[0] for row in outside.rows("select strand_id from pattern_trade_events")]
    assert len(events) == len(set(events))
    assert set(events) == expected_events(trades)
    assert outside.number("select count(*) from pm_dead_letters") == 0
    assert "trying again" in workers.said(), "the workers noticed nothing"
    assert "Traceback" not in workers.said()


def test_a_reader_sees_whole_runs_while_parts_crash_and_runs_publish(
    db: Database, whole: Stack, workers: Workers, variables: dict[str, str], drain: Any
) -> None:
    copy_strands(db, trade_rows(scale(4_000, 1_500)))
    drain()
    outside, stop = Outside(variables), threading.Event()
    # (view, mining run, rows) of each answer
    seen: set[tuple[str, int, int]] = set()

    def read(view: str, query: str) -> None:
        headers = {"apikey": variables["SECRET_KEY"], "Prefer": "count=exact", "Range": "0-0"}
        with httpx.Client(headers=headers, timeout=5) as client:
            while not stop.is_set():
                try:
                    answer = client.get(f"{variables['API_URL']}/rest/v1/{view}?select=run_id{query}")
                    rows = answer.json() if answer.status_code in (200, 206) else []
                except (httpx.HTTPError, ValueError):
                    continue
                if rows:
                    total = int(answer.headers["Content-Range"].split("/")[1])
                    seen.add((view, rows[0]["run_id"], total))

    mined = "select max(id) from learning_runs where kind = 'mine' and status = 'succeeded'"
    newest = "select coalesce(max(id), 0) from learning_runs where status = 'succeeded'"
    readers = [
        threading.Thread(target=read, args=arguments)
        for arguments in (("learning_lessons", "&status=eq.active"), ("pm_overrides", ""))
    ]
    for reader in readers:
        reader.start()
    worker = workers.start()
    try:
        for number in range(scale(6, 2)):
            before = outside.number(newest)
            outside_enqueue(variables, "mine")
            outside_enqueue(variables, "materialize")
            time.sleep(0.2 + 0.4 * number)
            break_parts(whole, random.Random(number), 2, (0.1, 0.8))
            wait_until(lambda before=before: outside.number(newest) > before + 1, 240, workers.said)  # type: ignore[misc]
            # and a reader has seen it, however slow the machine is
            wait_until(
                lambda: (
                    outside.number(mined)
                    in {run for view, run, _ in list(seen) if view == "learning_lessons"}
                ),
                120,
            )
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert worker.poll() is None, workers.said()
    stated = {
        tuple(row)
        for row in outside.rows(
            "select 'learning_lessons', id, lessons from learning_runs "
            "where kind = 'mine' and status = 'succeeded' union all "
            "select 'pm_overrides', source_run_id, overrides from learning_runs "
            "where kind = 'materialize' and status = 'succeeded'"
        )
    }
    torn = sorted(seen - stated)
    assert not torn, "a reader saw a part of a run"
    assert len({run for view, run, _ in seen if view == "learning_lessons"}) >= 2, "the reader saw no change"
    assert "pm_overrides" in {view for view, _, _ in seen}
    overrides = outside.rows("select count(*), min(run_id), max(run_id) from pm_overrides")[0]
    assert overrides[0] > 0
    assert overrides[1] == overrides[2]


def outside_enqueue(variables: dict[str, str], job: str) -> None:
    with psycopg.connect(variables["DB_URL"], autocommit=True) as db:
        db.execute("select public.pm_strength_enqueue_job(%s)", (job,))
