"""`evaluate`: whether learned sizes would have paid, on a project's own trades."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..service.machine import evaluate as evaluate_events
from ..settings import DEFAULT_MODULE, LearningSettings
from .arguments import ModuleOption, parse_change, parse_value
from .output import Format, FormatOption, Justify, Steps, out, print_json, print_table, progress_bars
from .target import ProjectDirectory, open_store

if TYPE_CHECKING:
    import pandas as pd

    from ..evaluation.evaluate import Evaluation, Result

DEFAULT_PROFILES = ["source", "source:most_specific", "guarded"]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(evaluate)


def evaluate(
    events: Annotated[
        Path | None,
        typer.Option(
            "--events", help="Evaluate the events of this Parquet or CSV file; no project is needed."
        ),
    ] = None,
    steps: Annotated[
        int, typer.Option("--steps", min=1, max=200, help="How often to learn anew and size what comes next.")
    ] = 6,
    embargo_hours: Annotated[
        float,
        typer.Option("--embargo-hours", min=0, help="Learn only from trades that closed so long before."),
    ] = 0.0,
    window_days: Annotated[
        float | None,
        typer.Option("--window-days", min=0.01, help="Learn only from trades of so many days, not from all."),
    ] = None,
    profiles: Annotated[
        list[str] | None,
        typer.Option(
            "--profile",
            metavar="PROFILE[:STRATEGY]",
            help="What to compare, such as guarded or source:most_specific. Can be repeated.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A setting for all of them, as n_min=20. Can be repeated."
        ),
    ] = None,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow", help="Compare what the live and the shadow profile said at the time; learn nothing."
        ),
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a report with plots to this file.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the report as JSON to this file.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Of the resampling; the same gives the same.")
    ] = 0,
    module: ModuleOption = DEFAULT_MODULE,
    output: FormatOption = Format.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Tell whether learned sizes would have paid on your own trades, and which profile to trust.

    Learns from the trades that had closed before a time, sizes the entries and adds that came next, and
    again, step by step. The verdict is `pays`, `does not pay` or `cannot tell`.
    """
    from ..evaluation.candidates import named_candidate
    from ..report.html import check_report_path, write_report

    if events is not None and (directory is not None or module != DEFAULT_MODULE):
        raise typer.BadParameter("--events evaluates a file, --dir and --module a project: give one of them")
    if events is not None and not events.is_file():
        raise typer.BadParameter(f"there is no file {events}", param_hint="--events")
    if html is not None:
        check_report_path(html)
    changed = {name: parse_value(text) for name, text in map(parse_change, changes or [])}
    with progress_bars() as bars:
        told = Steps(bars)
        if shadow:
            if events is not None or profiles or changes:
                raise typer.BadParameter(
                    "--shadow replays a project: it takes no --events, --profile or --set"
                )
            report = _replay(module, directory, seed, told)
        else:
            frame, settings = _read(events, module, directory, changed, told)
            report = evaluate_events(
                frame,
                [named_candidate(name, settings) for name in profiles or DEFAULT_PROFILES],
                steps=steps,
                embargo_hours=embargo_hours,
                window_days=window_days,
                seed=seed,
                progress=told,
            )
        told.finish()
    if html is not None:
        write_report(report, html)
    if json_path is not None:
        json_path.write_text(
            json.dumps(report.to_dict(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
    if output is Format.JSON:
        print_json(report.to_dict())
    else:
        print_evaluation(report)


def _replay(module: str, directory: Path | None, seed: int, told: Steps) -> Evaluation:
    from ..service.replay import replay

    with open_store(directory, module) as store:
        return replay(store, module, told, seed)


def _read(
    events: Path | None, module: str, directory: Path | None, changed: dict[str, Any], told: Steps
) -> tuple[pd.DataFrame, LearningSettings]:
    """The events, and the settings that all candidates share: a project's own, changed as asked."""
    if events is not None:
        from ..files.events import read_events

        settings = LearningSettings.from_mapping(changed)
        told("reading events", 0.0)
        return read_events(events, settings.outcome), settings
    from ..service.events import read_all_events

    with open_store(directory, module) as store:
        settings = LearningSettings.from_mapping(store.settings_row(module) | changed)
        return read_all_events(store, module, told), settings


def print_evaluation(report: Evaluation) -> None:
    """Print the verdicts, and the figures behind them."""
    out.print(
        f"{report.actions:,} entries and adds of {report.trades:,} trades, sized in {len(report.steps)} "
        "steps, each by what had closed before it",
        markup=False,
    )
    if report.without_time:
        out.print(
            f"{report.without_time:,} more are left out: when they were taken is not known", markup=False
        )
    for result in report.results:
        out.print(f"[bold]{result.name}: {result.verdict}[/bold] ({result.why})")
    columns: dict[str, Justify] = {"candidate": "left"}
    columns |= dict.fromkeys(
        ("uplift", "from", "to", "chance", "within day", "|m - 1|", "SQN", "fall", "overrides"), "right"
    )
    plain = ("sizes unchanged", *[""] * 6, f"{report.plain.sqn:+.2f}", f"{report.plain.drawdown:,.1f}", "")
    print_table(
        f"\nUplift in {report.outcome} an action, at equal exposure",
        columns,
        [plain, *map(_cells, report.results)],
    )


def _cells(result: Result) -> tuple[str, ...]:
    numbers = (
        result.uplift,
        result.low,
        result.high,
        result.shuffled.high,
        result.shuffled_within_day.mean,
    )
    return (
        result.name,
        *(f"{number:+.4f}" for number in numbers),
        f"{result.spread:.3f}",
        f"{result.curve.sqn:+.2f}",
        f"{result.curve.drawdown:,.1f}",
        f"{result.override_count:,}",
    )
