"""Workers that are killed, hang or are asked to stop: no trade is lost, none counted twice."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from typing import Any

import psutil

from pm_strength.local.stack import Stack
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from pm_strength.service.worker import Worker, WorkerOptions
from tests.benchmarks.capture_data import copy_strands, trade_rows
from tests.integration.conftest import Database

from .conftest import Workers, scale, wait_until


def expected_events(trades: int) -> set[str]:
    return {row[0] for row in trade_rows(trades) if row[2] == "pm_action"}


def captured(db: Database) -> list[Any]:
    return [row[0] for row in db.execute("select strand_id from pattern_trade_events").fetchall()]


def waiting(db: Database) -> int:
    row = db.execute("select count(*) from pgmq.q_pm_strength_trades").fetchone()
    assert row is not None
    return int(str(row[0]))


def assert_all_learned(db: Database, trades: int) -> None:
    events = captured(db)
    assert len(events) == len(set(events))
    assert set(events) == expected_events(trades)
    assert waiting(db) == 0
    assert db.execute("select * from pm_dead_letters").fetchall() == []
    outcomes = db.execute(
        "select trade_id from pattern_trade_events group by 1 having count(distinct (rr, timestamp)) > 1"
    )
    assert outcomes.fetchall() == []


def test_workers_killed_again_and_again_lose_and_double_nothing(db: Database, workers: Workers) -> None:
    trades = scale(20_000, 3_000)
    copy_strands(db, trade_rows(trades))
    rng = random.Random(4)
    for _ in range(3):
        workers.start("--batch-size", "50")
    kills = 0
    while waiting(db) > 0:
        time.sleep(rng.uniform(0.2, 1.5))
        workers.kill_one(rng)
        kills += 1
        workers.start("--batch-size", "50")
        assert kills < 400, "the queue does not become empty"
    assert kills >= scale(5, 2)
    workers.stop()
    assert_all_learned(db, trades)


def test_sigterm_ends_a_busy_worker_with_its_batch_done_or_back(db: Database, workers: Workers) -> None:
    trades = scale(10_000, 4_000)
    copy_strands(db, trade_rows(trades))
    worker = workers.start("--batch-size", "200")
    wait_until(lambda: bool(captured(db)))
    start = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=10) == 0
    assert time.monotonic() - start < 10
    assert waiting(db) > 0, "it was stopped in the middle"
    # nothing is invisible: whoever comes next needs not wait for a lease
    hidden = db.execute("select count(*) from pgmq.q_pm_strength_trades where vt > now()").fetchone()
    assert hidden == (0,)
    workers.running.clear()
    workers.start()
    wait_until(lambda: waiting(db) == 0)
    workers.stop()
    assert_all_learned(db, trades)


def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(
    db: Database, workers: Workers, stack: Stack
) -> None:
    trades = scale(6_000, 3_000)
    copy_strands(db, trade_rows(trades))
    worker = workers.start("--batch-size", "100")
    wait_until(lambda: bool(captured(db)))
    # PostgREST hangs: the call in hand does not come back, so the first signal cannot end it
    state = json.loads((stack.directory / "state.json").read_text())
    postgrest = psutil.Process(state["daemons"]["postgrest"]["pid"])
    postgrest.suspend()
    try:
        time.sleep(0.5)
        worker.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        assert worker.poll() is None
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=2) == 128 + signal.SIGTERM
    finally:
        postgrest.resume()
    workers.running.clear()
    workers.start()
    wait_until(lambda: waiting(db) == 0)
    workers.stop()
    assert_all_learned(db, trades)


def test_a_worker_that_no_try_can_help_ends_and_says_what_to_fix(
    db: Database, workers: Workers, variables: dict[str, str]
) -> None:
    workers.environment["SUPABASE_SECRET_KEY"] = "sb_secret_of_another_project"
    assert workers.start().wait(timeout=30) == 1
    workers.environment["SUPABASE_SECRET_KEY"] = variables["PUBLISHABLE_KEY"]
    assert workers.start().wait(timeout=30) == 1
    workers.running.clear()
    said = [log.read_text() for log in workers.logs]
    assert "check SUPABASE_SECRET_KEY" in said[0]
    assert "use the project's secret (service_role) key" in said[1]
    assert all("Traceback" not in text and text.count("error:") == 1 for text in said)


def test_a_long_mine_keeps_its_lease_and_a_dead_one_loses_it(
    store: Store, db: Database, connection: Connection, monkeypatch: Any
) -> None:
    """Longer than the visibility timeout, so that only extending it keeps the job."""
    begun, finish = threading.Event(), threading.Event()

    def hang(store: Store, module: str, progress: Any, cache: Any = None) -> None:
        begun.set()
        assert finish.wait(60)
        raise learning.SupersededRunError("hung long enough")

    monkeypatch.setattr(learning, "mine", hang)
    db.execute("update pm_strength.schedule set last_slot = 'infinity'")
    try:
        store.enqueue_job("mine")
        worker = Worker(lambda: Store.connect(connection), WorkerOptions(visibility_seconds=3))
        doing = threading.Thread(target=worker._jobs.do_next, args=(Store.connect(connection),))
        doing.start()
        assert begun.wait(30)
        end = time.monotonic() + 7
        while time.monotonic() < end:
            assert store.read_job(3) is None, "another worker got the job that is being done"
            time.sleep(0.2)
        finish.set()
        doing.join()
        assert store.queue_status()["queues"][1]["depth"] == 0

        # a worker that read it and died is not heard of again
        store.enqueue_job("mine")
        assert store.read_job(2) is not None
        assert store.read_job(2) is None
        wait_until(lambda: store.read_job(2) is not None, seconds=10)
    finally:
        db.execute("update pm_strength.schedule set last_slot = pm_strength.slot(every, past, now())")


def test_runs_side_by_side_publish_in_order_and_once(
    clean: None, db: Database, drain: Any, connection: Connection
) -> None:
    copy_strands(db, trade_rows(300))
    drain()
    ends: list[str] = []

    def mine() -> None:
        own = Store.connect(connection)
        try:
            ends.append(str(learning.mine(own).run_id))
        except learning.SupersededRunError as error:
            ends.append(str(error))
        finally:
            own.close()

    threads = [threading.Thread(target=mine) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = db.execute("select id, status from learning_runs order by finished_at").fetchall()
    published = [int(str(row[0])) for row in runs if row[1] == "succeeded"]
    assert len(ends) == 4
    assert published, ends
    assert published == sorted(published), "an older run went live over a newer one"
    assert {str(row[1]) for row in runs} <= {"succeeded", "superseded"}
    live = db.execute("select run_id from pm_strength.live_set('pm', 'lessons')").fetchone()
    assert live == (published[-1],)
    counted = db.execute("select count(*), count(distinct run_id) from learning_lessons").fetchone()
    stated = db.execute("select lessons from learning_runs where id = %s", (published[-1],)).fetchone()
    assert counted is not None
    assert stated == (counted[0],)
