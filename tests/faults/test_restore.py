"""A dump restored elsewhere, also without its queues, and strands in any order learn the same."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pm_strength.errors import PermanentStoreError
from pm_strength.local.binaries import postgres_bin
from pm_strength.local.postgres import SUPERUSER
from pm_strength.local.stack import Stack
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from pm_strength.service.worker import Worker
from tests.benchmarks.capture_data import copy_strands, trade_rows
from tests.integration.conftest import Database

PG_BIN = os.environ.get("PM_STRENGTH_PG_BIN")
WITHOUT_QUEUES = [f"--exclude-table=pgmq.{kind}_pm_strength*" for kind in "qa"]
# as docs/retention-and-backup.md says for another version of pgmq, whose tables differ
WITHOUT_PGMQ = ["--exclude-schema=pgmq"]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "elsewhere", pg_bin=Path(PG_BIN) if PG_BIN else None)
    stack.up(migrate_schema=False)
    yield stack
    stack.down(purge=True)


def learned(db: Database) -> dict[str, Any]:
    """The lessons in force, by what they are about."""
    rows = db.execute(
        "select pattern_key, action_category, scope_subset, stats from learning_lessons "
        "where status = 'active'"
    )
    return {json.dumps(row[:3], sort_keys=True): row[3] for row in rows.fetchall()}


def assert_same(got: dict[str, Any], wanted: dict[str, Any]) -> None:
    """The same lessons; the order of events may change the last digit of a sum."""
    assert got.keys() == wanted.keys()
    for key, stats in wanted.items():
        assert got[key]["n"] == stats["n"]
        assert got[key]["avg_rr"] == pytest.approx(stats["avg_rr"], rel=1e-12, abs=1e-12)
        assert got[key]["edge_raw"] == pytest.approx(stats["edge_raw"], rel=1e-9, abs=1e-12)
        assert got[key]["decay_meta"]["state"] == stats["decay_meta"]["state"]


def dump_and_restore(source: Stack, target: Stack, file: Path, *options: str) -> None:
    tools = postgres_bin(Path(PG_BIN) if PG_BIN else None)
    schemas = [f"--schema={name}" for name in ("public", "pm_strength", "pgmq")]
    urls = [stack.postgres().url(SUPERUSER) for stack in (source, target)]
    for command in (
        [tools / "pg_dump", "-Fc", *options, "-f", file, urls[0]],
        [tools / "pg_restore", "--single-transaction", *schemas, "-d", urls[1], file],
    ):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "options", [[], WITHOUT_QUEUES, WITHOUT_PGMQ], ids=["whole", "without queues", "without pgmq"]
)
def test_a_restored_dump_learns_the_same(
    store: Store, db: Database, drain: Any, stack: Stack, elsewhere: Stack, tmp_path: Path, options: list[str]
) -> None:
    rows = list(trade_rows(400))
    copy_strands(db, iter(rows[:1500]))
    drain()
    learning.mine(store)

    with psycopg.connect(elsewhere.postgres().url(), autocommit=True) as there:
        there.execute("create extension if not exists pgmq")
        # a restore of chosen schemas makes what is in them, not the schema
        there.execute("create schema pm_strength")
        there.execute("grant usage on schema pm_strength to authenticated, service_role")
    dump_and_restore(stack, elsewhere, tmp_path / "dump", *options)
    elsewhere.restart("postgrest")
    status = elsewhere.status()
    assert status is not None
    variables = status.variables()

    with psycopg.connect(variables["DB_URL"], autocommit=True) as there:
        # inserts go on whether the queue is there or not
        copy_strands(there, iter(rows[1500:]))
        other = Store.connect(Connection(variables["API_URL"], variables["SECRET_KEY"]))
        if options:
            with pytest.raises(PermanentStoreError, match="pm-strength repair"):
                other.claim_trades(10, 30, 0)
            assert other.repair() == ["pm_strength_trades", "pm_strength_jobs"]
        assert other.repair() == []
        Worker(lambda: Store.connect(Connection(variables["API_URL"], variables["SECRET_KEY"]))).drain()
        learning.mine(other)
        other.close()

        copy_strands(db, iter(rows[1500:]))
        drain()
        learning.mine(store)
        assert len(learned(db)) > 100
        assert_same(learned(there), learned(db))


def test_order_and_clock_make_no_difference(store: Store, db: Database, drain: Any) -> None:
    rows = list(trade_rows(150))
    copy_strands(db, iter(rows))
    drain()
    learning.mine(store)
    wanted = learned(db)
    assert len(wanted) > 50

    rng = random.Random(6)
    db.execute("truncate ad_strands, pattern_trade_events, pm_dead_letters")
    moved = []
    for row in rows:
        at = datetime.fromisoformat(row[7])
        # late, in the future, and written with other offsets; the exit's own time stays an instant
        at += timedelta(days=rng.choice([0, 0, 365, 3650]))
        content = json.loads(row[6])
        if "trade_summary" in content:
            end = datetime.fromisoformat(content["trade_summary"]["exit_timestamp"])
            zone = timezone(timedelta(hours=rng.randrange(-11, 12)))
            content["trade_summary"]["exit_timestamp"] = end.astimezone(zone).isoformat()
        moved.append((*row[:6], json.dumps(content), at.isoformat()))
    rng.shuffle(moved)
    for start in range(0, len(moved), 300):
        copy_strands(db, iter(moved[start : start + 300]))
        drain()
    drain()
    learning.mine(store)
    assert_same(learned(db), wanted)
