"""A project's events on a cluster: published as a run publishes them, or read by Spark from its Postgres."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest
from typer.testing import CliRunner

from pm_strength.cli import app
from pm_strength.project.store import Store
from pm_strength.service.events import read_all_events
from pm_strength.service.machine import mine_lessons
from pm_strength.settings import LearningSettings
from tests.benchmarks.capture_data import copy_strands, trade_rows
from tests.integration.conftest import Database, Drain, clean, connection, db, drain, stack, store, variables

from .clusters import Cluster
from .test_engines import Engine, both

__all__ = ["clean", "connection", "db", "drain", "stack", "store", "variables"]

LESSONS = """
    select pattern_key, action_category, scope_subset::text, n, stats, decay_halflife_hours
    from public.learning_lessons where status = 'active' order by 1, 2, 3
"""


@pytest.fixture
def events(db: Database, store: Store, drain: Drain, variables: dict[str, str], monkeypatch: Any) -> None:
    """A project with the events of 300 trades."""
    copy_strands(db, trade_rows(300))
    drain()
    monkeypatch.setenv("SUPABASE_URL", variables["API_URL"])
    monkeypatch.setenv("SUPABASE_SECRET_KEY", variables["SECRET_KEY"])


def mine(*arguments: str) -> str:
    ended = CliRunner().invoke(app, ["mine", *arguments], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.output


@both
def test_a_run_on_a_cluster_publishes_the_same_lessons(engine: Engine, db: Database, events: None) -> None:
    mine()
    wanted = db.execute(LESSONS).fetchall()
    said = mine("--engine", engine[0], "--master", engine[1].address)
    assert len(wanted) > 10
    assert f"{len(wanted)} lessons from" in said
    assert db.execute(LESSONS).fetchall() == wanted
    # of a group that is cut there is no evidence, and the database takes that
    mine("--engine", engine[0], "--master", engine[1].address, "--rows", "100")
    cut = db.execute(LESSONS).fetchall()
    assert [row[:4] for row in cut] == [row[:4] for row in wanted]
    assert any(row[4]["p_value"] is None and row[4]["n_effective"] is None for row in cut)


def test_spark_reads_the_table_itself(
    spark: Cluster, store: Store, events: None, variables: dict[str, str], tmp_path: Path, monkeypatch: Any
) -> None:
    url, out = urlsplit(variables["DB_URL"]), tmp_path / "lessons.parquet"
    monkeypatch.setenv("PGUSER", url.username)
    monkeypatch.setenv("PGPASSWORD", url.password)
    address = f"jdbc:postgresql://{url.hostname}:{url.port}{url.path}"
    said = mine(
        *("--engine", "spark", "--master", spark.address, "--events", address),
        *("--lessons", str(out), "--set", "n_min=20"),
    )
    assert str(url.password) not in said
    wanted = mine_lessons(read_all_events(store, "pm"), LearningSettings(n_min=20))
    found = pd.read_parquet(out)
    assert len(found) == len(wanted) > 10
    for name in ("avg_rr", "p_value", "slope_per_hour"):
        assert sorted(found[name].dropna()) == sorted(wanted[name].dropna())
