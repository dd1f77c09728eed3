"""Lessons that are mined on a cluster are those of local mining, also when a worker dies meanwhile."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from pm_strength import LearningSettings, mine_lessons
from pm_strength.cli import app
from pm_strength.engines.mine import Runner, mine_on
from pm_strength.engines.on_dask import DaskRunner, dask_client, parts_of_frame, parts_of_parquet
from pm_strength.engines.on_spark import SparkRunner, rows_of_frame, rows_of_parquet, spark_session
from pm_strength.engines.watch import Watch
from pm_strength.errors import EngineError, FileError
from pm_strength.mining.cut.plan import Piece, Plan
from pm_strength.mining.cut.rows import event_rows
from tests.support.pieces import assert_lessons_equal, random_events

from .clusters import Cluster, wait_until

both = pytest.mark.parametrize("engine", ["dask", "spark"], indirect=True)
Engine = tuple[str, Cluster]

# Settings, and the rows from which a group is cut.
CASES: list[tuple[dict[str, Any], int]] = [
    ({"n_min": 5, "max_dims": None}, 10**6),
    ({"n_min": 8, "max_dims": 3, "outcome": "roi"}, 10**6),
    ({"n_min": 5, "max_dims": 2, "outcome": "pnl_usd"}, 200),
    ({"n_min": 4, "max_dims": None, "scope_dims": ["number", "chain", "größe"]}, 150),
]


@contextmanager
def opened(engine: Engine) -> Iterator[tuple[Callable[[Path, LearningSettings], Runner], Any, Watch]]:
    """What makes a runner of a folder, the client or session, and its watch."""
    name, cluster = engine
    watch = Watch(f"{name.title()} at {cluster.address}", 0.05)
    if name == "dask":
        with dask_client(cluster.address, watch) as client:
            yield (
                lambda path, s: DaskRunner(client, parts_of_parquet(client, str(path), s, watch), watch),
                client,
                watch,
            )
    else:
        with spark_session(cluster.address, watch) as session:
            yield (
                lambda path, s: SparkRunner(session, rows_of_parquet(session, str(path), s), watch),
                session,
                watch,
            )


def write(events: pd.DataFrame, folder: Path) -> Path:
    """Events as a folder of Parquet files of several row groups each."""
    folder.mkdir()
    table = events.assign(scope=events["scope"].map(json.dumps))
    third = len(table) // 3
    for number, name in enumerate(("a b.parquet", "c.parquet", "ü.parquet")):
        part = table.iloc[number * third : (number + 1) * third if number < 2 else None]
        part.to_parquet(folder / name, row_group_size=150)
    (folder / "_SUCCESS").touch()
    return folder


@both
def test_it_finds_what_local_mining_finds(engine: Engine, tmp_path: Path) -> None:
    with opened(engine) as (make, there, watch):
        for seed, (chosen, limit) in enumerate(CASES):
            events, settings = random_events(20 + seed), LearningSettings(**chosen)
            runner = make(write(events, tmp_path / str(seed)), settings)
            without = assert_lessons_equal(
                mine_on(runner, settings, rows=limit).frame(), events, settings, True
            )
            assert (without > 0) == (limit < 10**6)
        # the guarded profile, on events that this process has
        settings = LearningSettings(profile="guarded", guarded_n_min=5)
        rows = event_rows(events, settings, pd.RangeIndex(len(events)).to_numpy())
        handed: Runner = (
            DaskRunner(there, parts_of_frame(there, rows), watch)
            if engine[0] == "dask"
            else SparkRunner(there, rows_of_frame(there, rows), watch)
        )
        assert_lessons_equal(mine_on(handed, settings).frame(), events, settings, False)


@both
def test_what_is_wrong_is_named(engine: Engine, tmp_path: Path) -> None:
    settings = LearningSettings(n_min=5)
    with opened(engine) as (make, _there, _watch):
        events = random_events(1)
        events.iloc[-1, events.columns.get_loc("trade_id")] = ""
        with pytest.raises(FileError, match=r"%?.*\.parquet: row \d+: trade_id: expected text, got ''"):
            mine_on(make(write(events, tmp_path / "row"), settings), settings)
        with pytest.raises(FileError, match="expected a column 'rr'"):
            make(write(random_events(1).drop(columns="rr"), tmp_path / "column"), settings)
        with pytest.raises(FileError, match="nothing_here"):
            make(tmp_path / "nothing_here", settings)
        runner = make(write(random_events(1), tmp_path / "piece"), settings)
        failing = Wrapped(runner, fail)
        with pytest.raises(EngineError, match=r"group module=pm\|pattern_key=p\d, (entry|trim): no luck"):
            mine_on(failing, settings).frame()


@dataclass
class Wrapped:
    """A runner whose pieces are mined by a function of the tests."""

    runner: Runner
    wrap: Callable[..., pd.DataFrame]

    def each_part(self, look: Any, tell: Any) -> Iterator[Any]:
        return self.runner.each_part(look, tell)

    def each_piece(self, plan: Plan, mine: Any, tell: Any) -> Iterator[pd.DataFrame]:
        return self.runner.each_piece(plan, partial(self.wrap, mine=mine), tell)


def fail(piece: Piece, rows: pd.DataFrame, mine: Any) -> pd.DataFrame:
    raise EngineError(f"{piece}: no luck")


def hold(piece: Piece, rows: pd.DataFrame, mine: Any, folder: Path) -> pd.DataFrame:
    """Say that a piece is being mined, and go on once a worker was killed."""
    (folder / f"{os.getpid()}.mining").touch()
    end = time.monotonic() + 60
    while not (folder / "killed").exists() and time.monotonic() < end:
        time.sleep(0.05)
    return mine(piece, rows)


@both
def test_a_worker_that_dies_while_it_mines_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    events, settings = random_events(30), LearningSettings(n_min=5, max_dims=None)
    marks = tmp_path / "marks"
    marks.mkdir()
    killed: list[int] = []

    def kill_one(what: str, share: float) -> None:
        mining = sorted(marks.glob("*.mining"))
        if what == "mining" and mining and not killed:
            killed.append(int(mining[0].stem))
            engine[1].kill_worker_of(killed[0])
            (marks / "killed").touch()

    with opened(engine) as (make, _there, _watch):
        runner = Wrapped(make(write(events, tmp_path / "events"), settings), partial(hold, folder=marks))
        found = mine_on(runner, settings, rows=300, progress=kill_one).frame()
    assert killed
    assert assert_lessons_equal(found, events, settings, True) > 0
    # another process mined what that one had in hand
    assert {int(mark.stem) for mark in marks.glob("*.mining")} - set(killed)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["mine", *arguments])


@both
def test_the_command_writes_parquet(engine: Engine, tmp_path: Path) -> None:
    events, settings = random_events(31), LearningSettings(n_min=5)
    folder, out = write(events, tmp_path / "events"), tmp_path / "lessons.parquet"
    address = ("--engine", engine[0], "--master", engine[1].address)
    ended = run(*address, "--events", str(folder), "--lessons", str(out), "--set", "n_min=5")
    assert ended.exit_code == 0, ended.output
    wanted = mine_lessons(events, settings)
    assert f"{len(wanted):,} lessons from" in ended.output
    table = pd.read_parquet(out)
    assert sorted(table["avg_rr"]) == sorted(wanted["avg_rr"])
    assert set(table.columns) == set(wanted.columns) - {
        "own_design",
        "avg_rr_half",
        "trimmed_n",
        "reached_s3_n",
    }


@pytest.mark.parametrize("master", ["dask tcp://127.0.0.1:9", "spark spark://127.0.0.1:9"])
def test_an_engine_that_is_not_there_is_an_error_and_no_wait(master: str, tmp_path: Path) -> None:
    name, address = master.split()
    ended = run("--engine", name, "--master", address, "--events", str(tmp_path))
    assert isinstance(ended.exception, EngineError)
    assert str(ended.exception).startswith(f"{name.title()} at {address} is not reached")


def test_workers_that_never_come_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pm_strength.engines.watch.WORKER_SECONDS", 1.0)
    lonely = Cluster(tmp_path)
    from .clusters import HOST, free_port, listens

    port = free_port()
    program = str(Path(os.sys.executable).parent / "dask")  # type: ignore[attr-defined]
    lonely.start(program, "scheduler", "--host", HOST, "--port", str(port), "--no-dashboard", "--no-jupyter")
    try:
        wait_until(lambda: listens(port), 60, lonely.said)
        write(random_events(1), tmp_path / "events")
        ended = run(
            "--engine", "dask", "--master", f"tcp://{HOST}:{port}", "--events", str(tmp_path / "events")
        )
        assert isinstance(ended.exception, EngineError)
        assert "has had no worker for" in str(ended.exception)
    finally:
        lonely.stop()
