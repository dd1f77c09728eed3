"""`learn`, `mine`, `materialize`, `runs`: learning now, and what was learned when."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import PmStrengthError
from ..files.events import read_events
from ..files.lessons import check_lessons_path, write_json, write_lessons
from ..mining import mine_lessons
from ..project.store import Store
from ..service import machine
from ..service import runs as learning
from ..settings import LearningSettings
from .output import (
    Format,
    FormatOption,
    Justify,
    Steps,
    err,
    print_csv,
    print_json,
    print_table,
    progress_bars,
)
from .settings import parse_change, parse_value
from .target import ProjectDirectory, open_store

RUN_COLUMNS = (
    *("id", "kind", "status", "started_at", "finished_at", "source_run_id", "events", "trades", "lessons"),
    *("overrides", "baseline", "settings", "warning", "error"),
)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(learn)
    app.command()(mine)
    app.command()(materialize)
    app.command()(runs)


def learn(directory: ProjectDirectory = None) -> None:
    """Mine all events and materialize the overrides now."""
    with open_store(directory) as store:
        _mine(store)
        _materialize(store)


def mine(
    events: Annotated[
        Path | None,
        typer.Option("--events", help="Mine the events of a Parquet or CSV file, without a project."),
    ] = None,
    lessons: Annotated[
        Path | None,
        typer.Option("--lessons", help="With --events: a Parquet or JSON file to write. [default: stdout]"),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="With --events: a setting, as n_min=20."),
    ] = None,
    directory: ProjectDirectory = None,
) -> None:
    """Mine all events and publish the lessons now; or mine a file."""
    if events is not None:
        if directory is not None:
            raise typer.BadParameter("--events reads a file and --dir names a project: give one of them")
        _mine_file(events, lessons, changes or [])
        return
    if lessons is not None or changes:
        raise typer.BadParameter("--lessons and --set go with --events")
    with open_store(directory) as store:
        _mine(store)


def materialize(directory: ProjectDirectory = None) -> None:
    """Turn the lessons of the last mining run into overrides now."""
    with open_store(directory) as store:
        _materialize(store)


def runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")] = 20,
    output: FormatOption = Format.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show the newest runs."""
    with open_store(directory) as store:
        rows = store.runs(limit)
    if output is Format.JSON:
        print_json(rows)
    elif output is Format.CSV:
        print_csv(rows, RUN_COLUMNS)
    else:
        columns: dict[str, Justify] = {
            "run": "right",
            "kind": "left",
            "status": "left",
            "started (UTC)": "left",
        }
        counts: dict[str, Justify] = dict.fromkeys(("events", "trades", "lessons", "overrides"), "right")
        print_table("Runs", columns | counts | {"note": "left"}, map(_run_cells, rows))


def _mine(store: Store) -> None:
    with progress_bars() as bars:
        steps = Steps(bars)
        report = learning.mine(store, progress=steps)
        steps.finish()
    baseline = "none" if report.baseline is None else f"{report.baseline:+.4f}"
    print(
        f"run {report.run_id}: {report.lessons:,} lessons from {report.events:,} events of "
        f"{report.trades:,} trades, baseline {baseline}"
    )


def _mine_file(events_path: Path, lessons_path: Path | None, changes: list[str]) -> None:
    settings = LearningSettings.from_mapping(
        {name: parse_value(text) for name, text in map(parse_change, changes)}
    )
    if not events_path.is_file():
        raise typer.BadParameter(f"there is no file {events_path}", param_hint="--events")
    if lessons_path is not None:
        check_lessons_path(lessons_path)
    with progress_bars() as bars:
        steps = Steps(bars)
        steps("reading events", 0.0)
        events = read_events(events_path, settings.outcome)
        lessons = mine_lessons(
            events,
            settings,
            progress=lambda share: steps("mining", share),
            threads=machine.cores(),
            memory=machine.free_bytes,
        )
        steps.finish()
    if lessons_path is not None:
        write_lessons(lessons, lessons_path)
    else:
        write_json(lessons, sys.stdout)
    numbers = lessons.attrs
    baseline = "none" if numbers["baseline"] is None else f"{numbers['baseline']:+.4f}"
    err.print(
        f"{len(lessons):,} lessons from {numbers['events']:,} events of {numbers['trades']:,} trades, "
        f"baseline {baseline}"
    )
    if numbers["warning"]:
        err.print(numbers["warning"], style="yellow")


def _materialize(store: Store) -> None:
    with progress_bars() as bars:
        steps = Steps(bars)
        report = learning.materialize(store, progress=steps)
        steps.finish()
    if report is None:
        raise PmStrengthError("Nothing was mined yet: `pm-strength learn` does both.")
    print(f"run {report.run_id}: {report.overrides:,} overrides from {report.lessons:,} lessons")


def _run_cells(row: dict[str, Any]) -> tuple[str, ...]:
    counts = (row[name] for name in ("events", "trades", "lessons", "overrides"))
    return (
        str(row["id"]),
        row["kind"],
        row["status"],
        row["started_at"][:19].replace("T", " "),
        *("" if count is None else f"{count:,}" for count in counts),
        row["error"] or row["warning"] or "",
    )
