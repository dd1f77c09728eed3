"""Workers on the real queue: side by side, by the schedule, and at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from pm_strength.project.connection import Connection
from pm_strength.project.store import JOBS_QUEUE, Store
from pm_strength.service.worker import Worker, WorkerOptions
from tests.support import reference, strands

from .conftest import Database


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "this never came about"
        time.sleep(0.02)


@contextmanager
def running(connection: Connection, options: WorkerOptions) -> Iterator[Worker]:
    worker = Worker(lambda: Store.connect(connection), options)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join()


def count(db: Database, sql: str) -> Any:
    return (db.execute(sql.encode()).fetchone() or (None,))[0]


def test_competing_workers_capture_each_trade_once(
    store: Store, db: Database, connection: Connection
) -> None:
    rows = strands.trades(600, seed=21)
    for start in range(0, len(rows), 400):
        store.insert_strands(rows[start : start + 400])
    workers = [
        threading.Thread(target=Worker(lambda: Store.connect(connection), WorkerOptions(batch_size=25)).drain)
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    wanted = {event["strand_id"] for event in reference.reference_events(rows)}
    got = {row[0] for row in db.execute("select strand_id from pattern_trade_events").fetchall()}
    assert got == wanted
    assert count(db, "select count(*) from pgmq.q_pm_strength_trades where vt <= now()") == 0


def test_a_strand_that_is_there_is_not_changed_by_inserting_it_again(store: Store, db: Database) -> None:
    (row, *others) = strands.trades(1)
    assert store.insert_strands([row]) == 1
    assert store.insert_strands([row | {"content": {}, "kind": "note"}, *others]) == len(others)
    assert count(db, "select count(*) from ad_strands") == 1 + len(others)
    kept = db.execute("select kind, content from ad_strands where id = %s", (row["id"],)).fetchone()
    assert kept == (row["kind"], row["content"])


def test_a_closed_trade_is_captured_by_a_worker_that_waits(
    store: Store, db: Database, connection: Connection
) -> None:
    rows = strands.trades(1)
    rows[0]["content"] |= {"pattern_key": "p", "action_category": "entry"}
    # the poll is long: without the server waiting for a message, the trade would come much later
    with running(connection, WorkerOptions(wait_seconds=2)):
        time.sleep(0.5)
        store.insert_strands(rows)
        wait_until(lambda: count(db, "select count(*) from pattern_trade_events") > 0)


def test_due_slots_are_enqueued_once_whoever_asks(
    variables: dict[str, str], db: Database, clean: None
) -> None:
    db.execute("update pm_strength.schedule set last_slot = last_slot - interval '5 hours'")
    answers: list[Any] = []

    def ask() -> None:
        with psycopg.connect(variables["DB_URL"], autocommit=True) as own:
            for _ in range(5):
                answers.append(own.execute("select public.pm_strength_enqueue_due()").fetchone())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jobs = db.execute(
        "select message ->> 'job', count(*) from pgmq.q_pm_strength_jobs group by 1 order by 1"
    ).fetchall()
    assert jobs == [("materialize", 1), ("mine", 1), ("sweep", 1)], "only the newest missed slot of each"


def test_a_worker_mines_and_materializes_when_it_is_time(
    store: Store, db: Database, connection: Connection
) -> None:
    store.write_settings("pm", {"n_min": 5})
    store.insert_strands(strands.trades(60))
    Worker(lambda: Store.connect(connection)).drain()
    assert count(db, "select count(*) from pm_overrides") == 0
    # the rows in another order: what is due together must still be done one after the other
    for job in ("materialize", "mine", "sweep"):
        db.execute(
            "update pm_strength.schedule set last_slot = last_slot - interval '2 hours' where job = %s",
            (job,),
        )
    with running(connection, WorkerOptions(job_interval_seconds=0.05)):
        wait_until(lambda: count(db, "select count(*) from pm_overrides") > 0)
    runs = db.execute("select kind, status from learning_runs order by id").fetchall()
    assert runs == [("mine", "succeeded"), ("materialize", "succeeded")]


def test_a_job_that_is_being_done_is_not_given_to_another(store: Store, connection: Connection) -> None:
    store.enqueue_job("mine")
    first = store.read_job(30)
    assert first is not None
    assert store.read_job(30) is None
    assert store.extend(JOBS_QUEUE, [first["msg_id"]], 0) == 1
    again = store.read_job(30)
    assert again is not None
    assert (again["msg_id"], again["read_ct"]) == (first["msg_id"], 2)
    assert store.archive(JOBS_QUEUE, [again["msg_id"]]) == 1


def test_a_materialization_waits_for_the_mining_before_it(store: Store, db: Database) -> None:
    """Also where another worker is at that, and nothing else waits."""
    for job in ("mine", "materialize", "sweep"):
        store.enqueue_job(job)
    mine = store.read_job(30)
    assert mine is not None
    sweep = store.read_job(30)
    assert (mine["message"]["job"], sweep and sweep["message"]["job"]) == ("mine", "sweep")
    assert store.read_job(30) is None
    store.archive(JOBS_QUEUE, [mine["msg_id"]])
    last = store.read_job(30)
    assert last is not None
    assert last["message"]["job"] == "materialize"
    # one that was queued before the next mining does not wait for that
    store.enqueue_job("mine")
    store.extend(JOBS_QUEUE, [last["msg_id"]], 0)
    again = store.read_job(30)
    assert again is not None
    assert again["message"]["job"] == "materialize"


def test_a_job_that_several_ask_for_at_once_is_queued_once(
    variables: dict[str, str], db: Database, clean: None
) -> None:
    def ask() -> None:
        with psycopg.connect(variables["DB_URL"], autocommit=True) as own:
            for _ in range(10):
                own.execute("select public.pm_strength_enqueue_job('mine')")

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(db, "select count(*) from pgmq.q_pm_strength_jobs") == 1


def test_the_number_of_calls_does_not_grow_with_the_batch(
    store: Store, connection: Connection, db: Database
) -> None:
    calls: dict[int, int] = {}
    for trades in (50, 400):
        db.execute("truncate ad_strands, pattern_trade_events")
        rows = strands.trades(trades, seed=trades)
        for start in range(0, len(rows), 400):
            store.insert_strands(rows[start : start + 400])
        names: list[str] = []

        def connect(names: list[str] = names) -> Store:
            counted = Store.connect(connection)
            original = counted._api.rpc

            def rpc(function: str, **params: Any) -> Any:
                names.append(function)
                return original(function, **params)

            counted._api.rpc = rpc  # type: ignore[method-assign]
            return counted

        Worker(connect, WorkerOptions(batch_size=500, capture_threads=1)).drain()
        calls[trades] = len(names)
    assert calls[50] == calls[400]
