"""`make bench-capture`: how fast closed trades become events, beside other ways, on an embedded stack.

Ratios count: they are of one run on one machine. Nothing is asserted but that no event is missing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg

from pm_strength.local.stack import Stack
from pm_strength.project.api import Api
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.service.trades import Trades
from pm_strength.service.worker import Worker, WorkerOptions, collect_garbage_less
from tests.benchmarks.capacity import CAPTURE
from tests.benchmarks.capture_data import copy_strands, trade_rows

BATCH = 500
SOURCE_TRADES = 150
LATENCY_TRADES = 60
# At least these shares; the insert may take at most so much longer with the trigger.
SOURCE_BAR, PYTHON_BAR, LOOP_BAR, INSERT_BAR, STEADY_BAR = 80.0, 1.4, 0.40, 1.5, 0.20
WORKERS = (1, 2, 4, 8)

Db = psycopg.Connection[Any]


class Bench:
    """One stack, emptied between the measurements."""

    def __init__(self, stack: Stack) -> None:
        variables = stack.up().variables()
        self.connection = Connection(variables["API_URL"], variables["SECRET_KEY"])
        self.db: Db = psycopg.connect(variables["DB_URL"], autocommit=True)

    def empty(self) -> None:
        """No strands, no events, no messages."""
        self.db.execute("truncate public.ad_strands, public.pattern_trade_events, public.pm_dead_letters")
        self.db.execute("truncate pgmq.q_pm_strength_trades, pgmq.a_pm_strength_trades")

    def worker(self, on_batch: Callable[[int, int], None] = lambda messages, events: None) -> Worker:
        """The worker as `pm-strength worker` makes it."""
        return Worker(lambda: Store.connect(self.connection), WorkerOptions(batch_size=BATCH), on_batch)

    def capture(
        self, trades: int, on_batch: Callable[[int, int], None] = lambda messages, events: None
    ) -> None:
        """Let a worker run, as the service does, until it has handled so many messages."""
        handled = 0
        lock = threading.Lock()

        def count(messages: int, events: int) -> None:
            nonlocal handled
            with lock:
                handled += messages
                on_batch(messages, events)
                if handled >= trades:
                    worker.stop()

        worker = self.worker(count)
        worker.run()

    def count(self, table: str) -> int:
        """The rows of a table."""
        return int(self.db.execute(f"select count(*) from {table}").fetchone()[0])  # type: ignore[index]


def timed(work: Callable[[], Any]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def throughput(bench: Bench, trades: int) -> None:
    """Trades a second: ours, the source's way, reading and archiving alone, COPY."""
    bench.empty()
    copy_strands(bench.db, trade_rows(trades))
    ours = trades / timed(lambda: bench.capture(trades))
    events = bench.count("public.pattern_trade_events")
    assert bench.count("pgmq.q_pm_strength_trades") == 0
    bench.empty()
    copy_strands(bench.db, trade_rows(trades))
    with all_by_python():
        python = trades / timed(lambda: bench.capture(trades))
    assert bench.count("public.pattern_trade_events") == events
    rows = bench.db.execute(
        "select strand_id, trade_id, pattern_key, action_category, scope::text, rr, pnl_usd, rpnl_pct, "
        "trimmed, reached_s3, timestamp, closed_by from public.pattern_trade_events order by id"
    ).fetchall()

    bench.empty()
    copy_seconds = timed(lambda: copy_events(bench.db, rows))
    assert bench.count("public.pattern_trade_events") == events
    bench.empty()
    copy_strands(bench.db, trade_rows(trades))
    loop = trades / timed(lambda: read_and_archive(bench))
    bench.empty()
    copy_strands(bench.db, trade_rows(SOURCE_TRADES))
    source = SOURCE_TRADES / timed(lambda: source_way(bench))

    print(f"{trades:,} trades, {events / trades:.1f} events each, batches of {BATCH}")
    line("ours", ours, "")
    line("source's way, row by row", source, f"{ours / source:.0f}x (at least {SOURCE_BAR:.0f}x)")
    line("the model, on two cores", 2e6 / CAPTURE, f"{ours * CAPTURE / 2e6:.0%} of it")
    line("all of it by Python", python, f"{ours / python:.1f}x (at least {PYTHON_BAR}x)")
    line("only read and archive", loop, f"{ours / loop:.0%} of it (at least {LOOP_BAR:.0%})")
    line("COPY of the same events", trades / copy_seconds, f"{ours * copy_seconds / trades:.0%} of it")


@contextmanager
def all_by_python() -> Iterator[None]:
    """No trade is captured by the database alone."""
    plain = Trades._capture_plain
    Trades._capture_plain = lambda self, store, messages: messages  # type: ignore[method-assign]
    try:
        yield
    finally:
        Trades._capture_plain = plain  # type: ignore[method-assign]


def side_by_side(bench: Bench, trades: int) -> None:
    """Processes with a worker each, as `pm-strength worker` runs it, on one database."""
    print("Workers on one database")
    for count in WORKERS:
        bench.empty()
        bench.db.execute("alter table public.ad_strands disable trigger pm_strength_enqueue_inserted")
        copy_strands(bench.db, trade_rows(trades))
        bench.db.execute("alter table public.ad_strands enable trigger pm_strength_enqueue_inserted")
        context = multiprocessing.get_context("spawn")
        ready, stop = context.Barrier(count + 1), context.Event()
        processes = [context.Process(target=work, args=(bench.connection, ready, stop)) for _ in range(count)]
        for process in processes:
            process.start()
        ready.wait(120)
        before = processor_seconds()
        start = time.perf_counter()
        bench.db.execute(
            "select pgmq.send_batch('pm_strength_trades', array_agg(jsonb_build_object('strand_id', id))) "
            "from public.ad_strands where kind = 'position_closed'"
        )
        while bench.count("pgmq.q_pm_strength_trades"):
            time.sleep(0.1)
        seconds = time.perf_counter() - start
        busy = {name: after - before[name] for name, after in processor_seconds().items()}
        stop.set()
        for process in processes:
            process.join(30)
        shares = ", ".join(f"{name} {spent / seconds:.2f}" for name, spent in busy.items())
        line(f"{count} worker{'s' * (count > 1)}", trades / seconds, f"cores busy: {shares}")


def work(connection: Connection, ready: Any, stop: Any) -> None:
    """A worker in a process of its own."""
    collect_garbage_less()
    worker = Worker(lambda: Store.connect(connection), WorkerOptions(batch_size=BATCH, wait_seconds=1))
    running = threading.Thread(target=worker.run)
    running.start()
    time.sleep(2)  # its imports and its first, empty claim
    ready.wait(120)
    stop.wait(600)
    worker.stop()
    running.join()


def processor_seconds() -> dict[str, float]:
    """What Postgres, PostgREST and Python have used, of processes that there are now."""
    spent = dict.fromkeys(("postgres", "postgrest", "python"), 0.0)
    for process in psutil.process_iter(["name", "cpu_times"]):
        name, times = process.info["name"] or "", process.info["cpu_times"]
        for known in spent:
            if times is not None and name.rstrip("0123456789.") == known:
                spent[known] += times.user + times.system
    return spent


def line(what: str, rate: float, note: str) -> None:
    """One line of the table."""
    print(f"  {what:<28} {rate:>10,.0f} trades/s   {note}", flush=True)


def copy_events(db: Db, rows: Sequence[tuple[Any, ...]]) -> None:
    """The least that storing events can take."""
    columns = "strand_id, trade_id, pattern_key, action_category, scope, rr, pnl_usd, rpnl_pct, trimmed, "
    with (
        db.cursor() as cursor,
        cursor.copy(
            f"copy public.pattern_trade_events ({columns} reached_s3, timestamp, closed_by) from stdin"
        ) as copy,
    ):
        for row in rows:
            copy.write_row(row)


def read_and_archive(bench: Bench) -> None:
    """Messages off the queue through the same API, without looking at them."""
    bench.db.execute(
        """
        create or replace function public.bench_read(batch_size integer) returns jsonb
        language sql security definer set search_path = '' as $$
          select coalesce(jsonb_agg(m.msg_id), '[]') from pgmq.read('pm_strength_trades', 60, batch_size) m
        $$;
        notify pgrst, 'reload schema';
        """
    )
    time.sleep(1)
    api = Api(bench.connection)
    while ids := api.rpc("bench_read", batch_size=BATCH):
        api.rpc("pm_strength_archive", queue="pm_strength_trades", msg_ids=ids)
    api.close()
    bench.db.execute("drop function public.bench_read(integer)")


def source_way(bench: Bench) -> None:
    """As the source document does it: select a trade's actions, see which are there, insert one by one."""
    api = Api(bench.connection)
    closes = bench.db.execute(
        "select trade_id, content from public.ad_strands where kind = 'position_closed'"
    ).fetchall()
    for trade_id, content in closes:
        actions = api.table(
            lambda client, trade_id=trade_id: (
                client.table("ad_strands").select("*").eq("kind", "pm_action").eq("trade_id", trade_id)
            )
        )
        for action in actions:
            there = api.table(
                lambda client, action=action: (
                    client.table("pattern_trade_events").select("id").eq("strand_id", action["id"])
                )
            )
            if not there:
                event = {
                    "strand_id": action["id"],
                    "trade_id": trade_id,
                    "pattern_key": action["content"]["pattern_key"],
                    "action_category": action["content"]["action_category"],
                    "scope": action["content"]["scope"],
                    "rr": content["trade_summary"]["rr"],
                    "pnl_usd": content["trade_summary"]["pnl_usd"],
                    "timestamp": content["trade_summary"]["exit_timestamp"],
                }
                api.table(lambda client, event=event: client.table("pattern_trade_events").insert(event))
    api.close()


def load(bench: Bench, trades: int) -> None:
    """A bulk insert with and without the trigger; then its drain: steady, and in steady memory."""
    # one action a trade: the closings are what is measured
    rows = list(trade_rows(trades, seed=2, actions_a_trade=1))
    closings = [row for row in rows if row[2] == "position_closed"]
    actions = [row for row in rows if row[2] != "position_closed"]
    seconds: dict[str, list[float]] = {"disable": [], "enable": []}
    for _ in range(3):
        for state in seconds:
            bench.empty()
            copy_strands(bench.db, iter(actions))
            bench.db.execute(f"alter table public.ad_strands {state} trigger pm_strength_enqueue_inserted")
            bench.db.execute("create temp table closing (like public.ad_strands)")
            with (
                bench.db.cursor() as cursor,
                cursor.copy(
                    "copy closing (id, module, kind, symbol, timeframe, trade_id, content, created_at)"
                    " from stdin"
                ) as copy,
            ):
                for row in closings:
                    copy.write_row(row)
            seconds[state].append(
                timed(lambda: bench.db.execute("insert into public.ad_strands select * from closing"))
            )
            bench.db.execute("drop table closing")
    without, with_trigger = (statistics.median(values) for values in seconds.values())
    ratio = with_trigger / without
    print(f"{trades:,} closings in one insert")
    print(
        f"  with the trigger {with_trigger:.1f} s, without {without:.1f} s: {ratio:.2f}x"
        f" (at most {INSERT_BAR}x)"
    )

    marks: list[tuple[float, int, float]] = []

    def mark(messages: int, events: int) -> None:
        marks.append((time.perf_counter(), messages, memory_mb()))

    start = time.perf_counter()
    bench.capture(trades, mark)
    assert bench.count("public.pattern_trade_events") == trades
    done, times, total = [0], [start], 0
    for at, messages, _ in marks:
        total += messages
        if total >= trades * len(times) / 10 and len(times) <= 10:
            times.append(at)
            done.append(total)
    rates = [
        (after - before) / (end - begin)
        for before, after, begin, end in zip(done, done[1:], times, times[1:], strict=False)
    ]
    change = rates[-1] / rates[0] - 1
    print(f"  drained at {total / (marks[-1][0] - start):,.0f} trades/s (2 actions' strands each)")
    print(
        f"  last tenth {change:+.0%} to the first (within {STEADY_BAR:.0%});"
        f" tenths: {[round(rate) for rate in rates]}"
    )
    print(f"  memory {marks[len(marks) // 10][2]:.0f} MB after a tenth, {marks[-1][2]:.0f} MB at the end")


def memory_mb() -> float:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def latency(bench: Bench) -> None:
    """From the commit of a closing strand to its events, while the worker has nothing else to do."""
    bench.empty()
    worker = bench.worker()
    running = threading.Thread(target=worker.run)
    running.start()
    seconds = []
    insert = (
        "insert into public.ad_strands (id, module, kind, symbol, timeframe, trade_id, content, created_at) "
    )
    insert += "values (%s, %s, %s, %s, %s, %s, %s, %s)"
    rows = list(trade_rows(LATENCY_TRADES, seed=3, actions_a_trade=2))
    time.sleep(2)
    for row in rows:
        bench.db.execute(insert, row)
        if row[2] == "position_closed":
            start = time.perf_counter()
            while not bench.db.execute(
                "select 1 from public.pattern_trade_events where trade_id = %s", (row[5],)
            ).fetchone():
                time.sleep(0.001)
            seconds.append(time.perf_counter() - start)
    worker.stop()
    running.join()
    api = Api(bench.connection)
    trips = [timed(lambda: api.rpc("pm_strength_queue_status")) for _ in range(200)]
    api.close()
    print("Latency, idle system, from commit to events")
    print(f"  median {statistics.median(seconds) * 1000:.0f} ms, 99th {quantile(seconds) * 1000:.0f} ms")
    print(f"  one bare call: {statistics.median(trips) * 1000:.0f} ms, 99th {quantile(trips) * 1000:.0f} ms")


def quantile(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(values)[min(len(values) - 1, round(len(values) * 0.99))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=40_000, help="trades for one to eight workers")
    parser.add_argument("--closings", type=int, default=200_000)
    options = parser.parse_args(arguments)
    collect_garbage_less()  # as the command does
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack")
        bench = Bench(stack)
        try:
            throughput(bench, options.trades)
            side_by_side(bench, options.workers)
            latency(bench)
            load(bench, options.closings)
        finally:
            bench.db.close()
            stack.down(purge=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
