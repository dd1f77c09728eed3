"""`learn`, `mine`, `materialize`: learn now; `runs`: what was learned when."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import PmStrengthError
from ..files.event_cache import EventCache
from ..project.store import Store
from ..service import runs as learning
from ..service.machine import mine_lessons
from ..settings import DEFAULT_MODULE, LearningSettings
from .arguments import ModuleOption, parse_change, parse_module, parse_value
from .cluster import HOURS, ROWS, Cluster, EngineOption, HoursOption, MasterOption, RowsOption
from .output import (
    Justify,
    RowFormat,
    RowFormatOption,
    Steps,
    counted,
    err,
    print_csv,
    print_json,
    print_table,
    progress_bars,
)
from .target import ProjectDirectory, cache_for, find_project, open_store

if TYPE_CHECKING:
    import pandas as pd

    from ..engines.mine import Mined

RUN_COLUMNS = (
    *(
        "id",
        "module",
        "kind",
        "role",
        "status",
        "started_at",
        "finished_at",
        "source_run_id",
        "events",
        "trades",
        "lessons",
    ),
    *("overrides", "baseline", "settings", "warning", "error"),
)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(learn)
    app.command()(mine)
    app.command()(materialize)
    app.command()(runs)


def learn(module: ModuleOption = DEFAULT_MODULE, directory: ProjectDirectory = None) -> None:
    """Learn now: mine all events into lessons, then turn the lessons into overrides."""
    with open_store(directory, module) as store:
        _mine(store, module, cache_for(find_project(directory)))
        _materialize(store, module)


def mine(
    events: Annotated[
        str | None,
        typer.Option(
            "--events",
            help="Mine the events of this Parquet or CSV file; no project is needed. With --engine: a "
            "Parquet file or a folder of them, also s3://, gs:// or abfs://; for Spark also "
            "jdbc:postgresql://.",
        ),
    ] = None,
    lessons: Annotated[
        Path | None,
        typer.Option(
            "--lessons", help="With --events: the Parquet or JSON file to write, instead of stdout."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="With --events: a setting, as n_min=20. Can be repeated."
        ),
    ] = None,
    engine: EngineOption = None,
    master: MasterOption = None,
    rows: RowsOption = ROWS,
    hours: HoursOption = HOURS,
    module: ModuleOption = DEFAULT_MODULE,
    directory: ProjectDirectory = None,
) -> None:
    """Mine all events into lessons now: those of the project, or those of a file.

    The overrides stay as they are until `pm-strength materialize`.
    """
    cluster = None if engine is None else Cluster(engine, master, rows, hours)
    if cluster is None and master is not None:
        raise typer.BadParameter("--master goes with --engine")
    if events is not None:
        table = events.startswith("jdbc:")
        if directory is not None or (module != DEFAULT_MODULE and not table):
            raise typer.BadParameter("--events mines a file, --dir and --module a project: give one of them")
        settings = _settings_of(changes or [])
        if lessons is not None:
            check_path(lessons)
        if cluster is None:
            _mine_file(Path(events), lessons, settings)
        else:
            with cluster.mined(events, module, settings) as mined:
                _print_all(mined, lessons)
        return
    if lessons is not None or changes:
        raise typer.BadParameter("--lessons and --set go with --events")
    with open_store(directory, module) as store:
        cache = cache_for(find_project(directory))
        if cluster is None:
            _mine(store, module, cache)
        else:
            with cluster.maker() as make:
                _mine(store, module, cache, make)


def materialize(module: ModuleOption = DEFAULT_MODULE, directory: ProjectDirectory = None) -> None:
    """Turn the lessons of the last mining run into overrides now."""
    with open_store(directory, module) as store:
        _materialize(store, module)


def runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many to show.")] = 20,
    module: Annotated[
        str | None, typer.Option("--module", help="Only the runs of this module; without it, those of all.")
    ] = None,
    output: RowFormatOption = RowFormat.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show the newest runs of mining and materializing, and how each ended."""
    of_module = None if module is None else parse_module(module)
    with open_store(directory, of_module) as store:
        rows = store.runs(limit, of_module)
    if output is RowFormat.JSON:
        print_json(rows)
    elif output is RowFormat.CSV:
        print_csv(rows, RUN_COLUMNS)
    else:
        columns: dict[str, Justify] = {
            "run": "right",
            "module": "left",
            "kind": "left",
            "status": "left",
            "started (UTC)": "left",
        }
        counts: dict[str, Justify] = dict.fromkeys(("events", "trades", "lessons", "overrides"), "right")
        print_table("Runs", columns | counts | {"note": "left"}, map(_run_cells, rows))


def _mine(store: Store, module: str, cache: EventCache | None, make: learning.Maker = learning.here) -> None:
    for role in _roles(store, module):
        with progress_bars() as bars:
            steps = Steps(bars)
            report = learning.mine(store, module, steps, role, cache, make)
            steps.finish()
        _print_mined(report, role)


def _roles(store: Store, module: str) -> list[str]:
    return ["live", "shadow"] if learning.shadow_profile(store, module) is not None else ["live"]


def _print_mined(report: learning.RunReport, role: str) -> None:
    print(
        f"{_run_name(report, role)}: {counted(report.lessons or 0, 'lesson')} from "
        f"{counted(report.events or 0, 'event')} of {counted(report.trades or 0, 'trade')}, "
        f"baseline {_baseline(report.baseline)}"
    )


def check_path(path: Path) -> None:
    """Raise `FileError` if lessons cannot be written there."""
    from ..files.lessons import check_lessons_path

    check_lessons_path(path)


def _settings_of(changes: list[str]) -> LearningSettings:
    return LearningSettings.from_mapping(
        {name: parse_value(text) for name, text in map(parse_change, changes)}
    )


def _mine_file(events_path: Path, lessons_path: Path | None, settings: LearningSettings) -> None:
    # pandas and the compiler take a second to import, and most commands do not mine
    from ..files.events import read_events

    if not events_path.is_file():
        raise typer.BadParameter(f"there is no file {events_path}", param_hint="--events")
    with progress_bars() as bars:
        steps = Steps(bars)
        steps("reading events", 0.0)
        events = read_events(events_path, settings.outcome)
        lessons = mine_lessons(events, settings, progress=lambda share: steps("mining", share))
        steps.finish()
    _write(iter([lessons]), lessons_path)
    _print_counts(len(lessons), lessons.attrs, lessons.attrs["warning"])


def _print_all(mined: Mined, lessons_path: Path | None) -> None:
    count = _write(mined.parts, lessons_path)
    _print_counts(count, mined.numbers, mined.warning(count))


def _write(parts: Iterator[pd.DataFrame], path: Path | None) -> int:
    from ..files.lessons import write_json, write_parts

    return write_json(parts, sys.stdout) if path is None else write_parts(parts, path)


def _print_counts(count: int, numbers: Mapping[Any, Any], warning: str | None) -> None:
    err.print(
        f"{counted(count, 'lesson')} from {counted(numbers['events'], 'event')} of "
        f"{counted(numbers['trades'], 'trade')}, baseline {_baseline(numbers['baseline'])}"
    )
    if warning:
        err.print(warning, style="yellow")


def _materialize(store: Store, module: str) -> None:
    for role in _roles(store, module):
        with progress_bars() as bars:
            steps = Steps(bars)
            report = learning.materialize(store, module, steps, role)
            steps.finish()
        if report is None and role == "live":
            raise PmStrengthError(
                "There are no lessons yet: `pm-strength learn` mines first, then materializes."
            )
        if report is not None:
            print(
                f"{_run_name(report, role)}: {counted(report.overrides or 0, 'override')} from "
                f"{counted(report.lessons or 0, 'lesson')}"
            )


def _run_name(report: learning.RunReport, role: str) -> str:
    return f"run {report.run_id}" if role == "live" else f"run {report.run_id}, in the shadow"


def _baseline(mean: float | None) -> str:
    return "none" if mean is None else f"{mean:+.4f}"


def _run_cells(row: dict[str, Any]) -> tuple[str, ...]:
    counts = (row[name] for name in ("events", "trades", "lessons", "overrides"))
    return (
        str(row["id"]),
        row["module"],
        row["kind"] if row["role"] == "live" else f"{row['kind']} ({row['role']})",
        row["status"],
        row["started_at"][:19].replace("T", " "),
        *("" if count is None else f"{count:,}" for count in counts),
        row["error"] or row["warning"] or "",
    )
