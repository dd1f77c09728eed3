"""`learn`, `mine`, `materialize`, `runs`: learning now, and what was learned when."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .. import learning
from ..errors import PmStrengthError
from ..store import Store
from .output import Format, FormatOption, Justify, Steps, print_csv, print_json, print_table, progress_bars
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


def mine(directory: ProjectDirectory = None) -> None:
    """Mine all events and publish the lessons now."""
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
