"""`demo`: the whole loop on simulated trades, from an empty stack to an explained size."""

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
from ..runtime.resolution import Resolution
from ..runtime.sizing import SIZED_CATEGORIES, apply_strength
from ..service import runs as learning
from ..service.worker import Worker
from .output import Steps, out, print_table, progress_bars, scope_text, spinner
from .resolve import print_resolution
from .show import OVERRIDE_HEADINGS, override_cells, short_pattern
from .target import open_stack

if TYPE_CHECKING:
    from ..local.stack import StackStatus

SAMPLE = "strands_btc_pairs.jsonl.gz"
# Not the default folder: the demo begins and ends empty, and a user's own stack must not.
DIRECTORY = Path(".pm-strength-demo")
SHOWN = 5
MATCHES_SHOWN = 8
SIZE_FRAC = 0.35


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running, to look around.")] = False,
    directory: Annotated[
        Path, typer.Option("--dir", help="The demo's folder; emptied first.", file_okay=False)
    ] = DIRECTORY,
) -> None:
    """Learn from 2,932 simulated trades on real candles of 7 pairs, and explain one size.

    The trades are what simple rules would have done on the candles of January 2018; the stack is its own.
    """
    with _stack(directory, keep) as status:
        connection = Connection(status.api_url, status.keys.secret_key)
        store = Store.connect(connection)
        try:
            _learn(store, connection)
            _show_overrides(store)
            _show_size(store)
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
        ("trades captured", f"{mined.trades:,} of {closed:,} closed ones"),
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
    """Drain the queue that the trigger has filled; returns the number of events."""
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
    for sign, noun in ((-1, "positive"), (1, "negative")):
        rows.sort(key=lambda row: (sign * row["multiplier"], -row["confidence_score"], row["id"]))
        title = f"\nStrongest {noun} overrides of entries and adds"
        print_table(title, OVERRIDE_HEADINGS, map(override_cells, rows[:SHOWN]))


def _show_size(store: Store) -> None:
    """The last entry of the sample: what the bot would ask about at its next tick."""
    event = store.newest_event("entry")
    if event is None:
        raise AssertionError("the sample has entries")
    action = {name: event[name] for name in ("pattern_key", "action_category", "scope")}
    action["size_frac"] = SIZE_FRAC
    answer = store.resolve(action["pattern_key"], action["action_category"], action["scope"], MATCHES_SHOWN)
    resolution = Resolution(
        answer["multiplier"], answer["reason"], run_id=answer["run_id"], strategy=answer.get("strategy")
    )
    sized = apply_strength(action, resolution)
    out.print("\n[bold]One sizing decision[/bold]")
    out.print(f"{action['action_category']} of {short_pattern(action['pattern_key'])} in", markup=False)
    out.print(f"  {scope_text(action['scope'])}", markup=False)
    print_resolution(answer | {"size_frac_before": action["size_frac"], "size_frac": sized["size_frac"]})


def _say_what_next(keep: bool, directory: Path) -> None:
    out.print("\n[bold]Next[/bold]")
    program = "pm-strength" if shutil.which("pm-strength") else os.path.relpath(sys.argv[0])
    option = f" --dir {directory}"
    kept = (
        (f"{program} overrides{option}", "all overrides, with filters"),
        (f"{program} lessons{option} --action add", "what they were made from"),
        (f"{program} settings set{option} n_min=20", "then `learn`: other settings"),
        (f"{program} down{option} --purge", "stop it and remove its data"),
    )
    gone = (
        (f"{program} demo --keep", "the same, left running to look around"),
        (f"{program} up", "a stack of your own, with `import`, `worker` and `learn`"),
        ("README.md", "`supabase start`, hosted projects, and the bot's side"),
    )
    for command, meaning in kept if keep else gone:
        out.print(f"  {command:<60}  {meaning}", markup=False, soft_wrap=True)
