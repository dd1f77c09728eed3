"""`demo`: all of the learning on simulated trades, from an empty stack to one explained size."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from ..files.strand_import import import_strands
from ..project.connection import Connection
from ..project.store import Store
from ..runtime.resolution import Match, Resolution
from ..runtime.sizing import SIZED_CATEGORIES, apply_strength
from ..service import runs as learning
from ..service.events import read_all_events
from ..service.machine import evaluate
from ..service.worker import Worker
from ..settings import DEFAULT_MODULE
from .evaluate import print_evaluation
from .output import Steps, out, print_table, progress_bars, scope_text, short_pattern, spinner
from .resolve import print_resolution
from .show import OVERRIDE_HEADINGS, override_cells
from .target import open_stack

if TYPE_CHECKING:
    from ..local.stack import StackStatus

SAMPLE = "strands_btc_pairs.jsonl.gz"
# Not the default folder, where a user's own stack is: the demo removes all data before and after.
DIRECTORY = Path(".pm-strength-demo")
SHOWN = 5
MATCHES_SHOWN = 8
SIZE_FRAC = 0.35


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the demo's stack running, to look around.")
    ] = False,
    directory: Annotated[
        Path,
        typer.Option(
            "--dir", help="The folder of the demo's stack. What is in it is removed first.", file_okay=False
        ),
    ] = DIRECTORY,
) -> None:
    """Learn from 2,932 simulated trades on real candles of 7 pairs, explain one size, and say if it pays.

    The trades are what simple rules would have done on the 5-minute candles of January 2018. The demo
    has an embedded stack of its own, and removes it at the end. It takes about a minute; the first time on
    a machine, half of that goes into compiling the mining code.
    """
    with _stack(directory, keep) as status:
        connection = Connection(status.api_url, status.keys.secret_key)
        store = Store.connect(connection)
        try:
            _learn(store, connection)
            _show_overrides(store)
            _show_size(store)
            _show_verdict(store)
        finally:
            store.close()
    _say_what_next(keep, directory)


@contextmanager
def _stack(directory: Path, keep: bool) -> Iterator[StackStatus]:
    stack = open_stack(directory)
    stack.down(purge=True)
    try:
        with spinner("starting ...") as shown:
            status = stack.up(progress=lambda step: shown.update(f"starting {step} ..."))
        yield status
    except BaseException:
        stack.down(purge=True)
        raise
    if not keep:
        stack.down(purge=True)


def _learn(store: Store, connection: Connection) -> None:
    with progress_bars(always=True) as bars:
        strands = _load(store, bars)
        closed = store.queue_status()["queues"][0]["depth"]
        events = _capture(connection, bars, closed)
        steps = Steps(bars)
        mined = learning.mine(store, progress=steps)
        materialized = learning.materialize(store, progress=steps)
        steps.finish()
    if materialized is None:
        raise AssertionError("a materialization follows the mining above")
    rows = [
        ("strands loaded", f"{strands:,}"),
        ("trades captured", f"{mined.trades:,} of {closed:,}"),
        ("events", f"{events:,}"),
        ("mean outcome (baseline)", f"{mined.baseline:+.4f} R"),
        ("lessons", f"{mined.lessons:,}"),
        ("overrides", f"{materialized.overrides:,}"),
    ]
    print_table("\nLearned", {"": "left", " ": "right"}, rows)


def _load(store: Store, bars: Progress) -> int:
    data = gzip.decompress(resources.files("pm_strength").joinpath("data", SAMPLE).read_bytes())
    task = bars.add_task("loading strands", total=len(data), note="")
    report = import_strands(
        data.splitlines(keepends=True),
        store.insert_strands,
        on_bytes=lambda size: bars.advance(task, size),
    )
    bars.update(task, note=f"{report.inserted:,}")
    return report.inserted


def _capture(connection: Connection, bars: Progress, closed: int) -> int:
    """Capture the trades that the trigger has queued; returns the number of events."""
    task = bars.add_task("capturing trades", total=closed, note="")
    total = 0

    def count(messages: int, events: int) -> None:
        nonlocal total
        total += events
        bars.update(task, advance=messages, note=f"{total:,} events")

    Worker(lambda: Store.connect(connection), on_batch=count).drain()
    return total


def _show_overrides(store: Store) -> None:
    rows = [
        row
        for category in SIZED_CATEGORIES
        for row in store.strongest_overrides(SHOWN, action_category=category)
    ]
    for sign, effect in ((-1, "enlarge a size"), (1, "reduce a size")):
        rows.sort(key=lambda row: (sign * row["multiplier"], -row["confidence_score"], row["id"]))
        title = f"\nThe overrides that {effect} most (entries and adds)"
        print_table(title, OVERRIDE_HEADINGS, map(override_cells, rows[:SHOWN]))
    out.print("\nTrims and exits are never sized, so no size depends on their overrides.")


def _show_size(store: Store) -> None:
    """Explain the size of the last entry of the sample, as if a bot asked before making it."""
    event = store.newest_event("entry")
    if event is None:
        raise AssertionError("the sample has entries")
    action = {name: event[name] for name in ("pattern_key", "action_category", "scope")}
    action["size_frac"] = SIZE_FRAC
    category = action["action_category"]
    answer = store.resolve(action["pattern_key"], category, action["scope"], MATCHES_SHOWN)
    resolution = Resolution(
        answer["multiplier"], answer["reason"], run_id=answer["run_id"], strategy=answer["strategy"]
    )
    sized = apply_strength(action, resolution)
    out.print("\n[bold]One sizing decision[/bold]")
    out.print(f"{category}, {short_pattern(action['pattern_key'])}, in the scope", markup=False)
    out.print(f"  {scope_text(action['scope'])}", markup=False)
    sizes = {"size_frac_before": action["size_frac"], "size_frac": sized["size_frac"]}
    print_resolution(answer | sizes, category, MATCHES_SHOWN)


def _show_verdict(store: Store) -> None:
    """Whether sizes by either profile would have paid, and the few overrides of the guarded one."""
    with progress_bars(always=True) as bars:
        steps = Steps(bars)
        report = evaluate(read_all_events(store, DEFAULT_MODULE, steps), progress=steps)
        steps.finish()
    out.print("\n[bold]Does it pay?[/bold]")
    print_evaluation(report)
    guarded = report.results[-1]
    out.print(
        f"\nThe guarded profile has {guarded.override_count} overrides in the last step:",
        markup=False,
    )
    for row in guarded.overrides[:SHOWN]:
        match = Match(0, row["scope_subset"], row["multiplier"], 1.0, 1.0, stats=row["stats"])
        named = f"{row['action_category']} {short_pattern(row['pattern_key'])}"
        out.print(f"  {named}: {match.explain()}", markup=False, soft_wrap=True)


def _say_what_next(keep: bool, directory: Path) -> None:
    out.print("\n[bold]Next[/bold]")
    program = "pm-strength" if shutil.which("pm-strength") else os.path.relpath(sys.argv[0])
    option = f" --dir {directory}"
    kept = (
        (f"{program} overrides{option}", "the overrides; see --help for filters"),
        (f"{program} lessons{option} --action add", "the lessons that overrides are made from"),
        (f"{program} settings set{option} profile=guarded", "the other profile; then run `learn`"),
        (f"{program} down{option} --purge", "stop the demo's stack and remove its data"),
    )
    gone = (
        (f"{program} demo --keep", "the same, and leave the stack running"),
        (f"{program} up", "a stack of your own, for `import`, `worker`, `learn`"),
        ("README.md", "how a bot uses it; `supabase start`; hosted projects"),
    )
    steps = kept if keep else gone
    width = max(len(command) for command, _ in steps)
    for command, meaning in steps:
        out.print(f"  {command:<{width}}  {meaning}", markup=False, soft_wrap=True)
