"""`make bench-learn`: what a user waits for, from `learn` to published overrides, by phase.

An embedded stack is filled with events by COPY. Each size is learned cold, then warm, with the events that
the first run kept, then once more with 1 % new events; for each run the seconds of each phase, the WAL of a
lesson with its override, and what the tables take. The worker's peak memory is that of its own process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from pm_strength.files.event_cache import EventCache
from pm_strength.local.stack import Stack
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.service import runs
from tests.benchmarks.capacity import run_seconds
from tests.benchmarks.mining_data import SHAPES, make_table, to_frame

COLUMNS = (
    *("strand_id", "trade_id", "pattern_key", "action_category", "scope", "rr"),
    *("timestamp", "action_at", "trimmed", "reached_s3"),
)
TABLES = ["pm_strength.lessons", "pm_strength.overrides"]
SIZE = """
select sum(pg_total_relation_size(t.relid)) from unnest(%s::regclass[]) c, pg_partition_tree(c) t
"""
SIZES = (10_000, 100_000, 1_000_000)
Db = psycopg.Connection[Any]


def fill(db: Db, events: int, seed: int) -> None:
    """Add events of the shape of S3: 8 dimensions, 12 groups."""
    frame = to_frame(make_table(replace(SHAPES["S3"], events=events, seed=seed)))
    with (
        db.cursor() as cursor,
        cursor.copy(f"copy pattern_trade_events ({', '.join(COLUMNS)}) from stdin") as copy,
    ):
        for number, row in enumerate(frame.itertuples(index=False)):
            trade = UUID(int=seed << 96 | int(row.trade_id.split("-")[1]))
            group = int(row.pattern_key.split("-")[1])
            copy.write_row(
                (
                    *(f"{seed}.{number}", trade, row.pattern_key, "add" if group % 2 else "entry"),
                    *(json.dumps(row.scope), row.rr, row.timestamp, row.timestamp),
                    *(number % 3 == 0, number % 5 == 0),
                )
            )
    db.execute("analyze pattern_trade_events")


def learn(connection: Connection, folder: str) -> dict[str, Any]:
    """Mine and materialize in this process: seconds by phase, lessons, overrides and peak memory."""
    store = Store.connect(connection)
    phases: dict[str, float] = {}
    began, doing = time.perf_counter(), "beginning"

    def tell(what: str, share: float) -> None:
        nonlocal began, doing
        now = time.perf_counter()
        phases[doing] = phases.get(doing, 0.0) + now - began
        began, doing = now, what

    cache = EventCache(Path(folder), connection.url, connection.key)
    mined = runs.mine(store, progress=tell, cache=cache)
    tell("beginning", 1.0)
    made = runs.materialize(store, progress=tell)
    tell("end", 1.0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert made is not None
    return {"phases": phases, "lessons": mined.lessons, "overrides": made.overrides, "peak": peak}


def measure(
    db: Db, variables: dict[str, str], folder: str, what: str, events: int = 0, new: int = 0
) -> float:
    """Learn in a process of its own, and print what it took; returns the seconds."""
    before = _one(db, "select pg_current_wal_lsn()")
    command = [sys.executable, "-m", "tests.benchmarks.learn", "--measure"]
    secrets = json.dumps([variables["API_URL"], variables["SECRET_KEY"], folder])
    done = subprocess.run(command, input=secrets, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout)
    wal = float(_one(db, "select pg_current_wal_lsn() - %s::pg_lsn", before))
    size = int(_one(db, SIZE, TABLES))
    total = sum(found["phases"].values())
    print(
        f"  {what}: {total:.1f} s, {found['lessons']:,} lessons, {found['overrides']:,} overrides; "
        f"{wal / max(found['lessons'], 1) / 1000:.2f} kB of WAL a lesson, tables {size / 1e6:,.0f} MB, "
        f"worker {found['peak']:,.0f} MB"
    )
    if events:
        model = run_seconds(events, new, found["lessons"], found["overrides"])
        print(f"    the model of docs/scale.md says {model:.1f} s, {model / total:.2f} of that")
    for phase, seconds in found["phases"].items():
        print(f"    {phase:<22} {seconds:>7.2f} s {seconds / total:>5.0%}", flush=True)
    return total


def _one(db: Db, query: str, *arguments: Any) -> Any:
    row = db.execute(query.encode(), arguments).fetchone()
    return row[0] if row else None


def compare(size: int, max_dims: int | None) -> None:
    """Learn from so many events cold and warm, and once more with 1 % new ones."""
    print(f"{size:,} events, max_dims {max_dims or 'null'}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack")
        try:
            variables = stack.up().variables()
            with psycopg.connect(variables["DB_URL"], autocommit=True) as db:
                fill(db, size, 1)
                settings = {"max_dims": max_dims, "max_lessons": 10_000_000}
                connection = Connection(variables["API_URL"], variables["SECRET_KEY"])
                Store.connect(connection).write_settings("pm", settings)
                first = measure(db, variables, folder, "cold", size, size)
                again = measure(db, variables, folder, "warm, no new events", size, 0)
                new = max(size // 100, 1)
                fill(db, new, 2)
                more = measure(db, variables, folder, "warm, 1 % new events", size + new, new)
        finally:
            stack.down(purge=True)
    print(f"  warm takes {again / first:.2f} of cold, with 1 % new events {more / first:.2f}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--max-dims", type=int)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        url, key, folder = json.loads(sys.stdin.read())
        print(json.dumps(learn(Connection(url, key), folder)))
        return 0
    for size in options.sizes:
        compare(size, options.max_dims)
    return 0


if __name__ == "__main__":
    sys.exit(main())
