"""What the commands print: tables for people, JSON and CSV for scripts."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.status import Status
from rich.table import Table

from .text import encoding_of, speaks_unicode

Justify = Literal["left", "right"]

# Columns, where there is no terminal to ask.
WIDTH = 120


class _Console(Console):
    """A console with the encoding of its stream: rich assumes UTF-8 for a stream that it opens itself."""

    @property
    def encoding(self) -> str:
        return encoding_of(self.file)


def _console(stderr: bool = False) -> Console:
    console = _Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDTH
    return console


out = _console()
err = _console(stderr=True)


class Format(StrEnum):
    """How one thing is printed."""

    TABLE = "table"
    JSON = "json"


class RowFormat(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[Format, typer.Option("--output", "-o", help="The format to print in.")]
RowFormatOption = Annotated[RowFormat, typer.Option("--output", "-o", help="The format to print in.")]


def counted(number: int, noun: str) -> str:
    """`1 override`, `1,200 overrides`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def print_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print a header and one line for each row: objects, lists and booleans as JSON, null as nothing."""
    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)


def print_table(title: str, columns: Mapping[str, Justify], rows: Iterable[Sequence[str]]) -> None:
    """Print a title and a table. `columns` are headings with their justification; only the last one folds."""
    # not the table's own title, which rich folds at the width of the table
    out.print(title, style="bold", markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    last = list(columns)[-1]
    for heading, justify in columns.items():
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=heading != last)
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    out.print(table)


def plain(text: str) -> str:
    """Text that rich prints unchanged: data may look like markup, or hold characters that move the cursor."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return shown.replace("[", r"\[")


def scope_text(scope: Mapping[str, Any]) -> str:
    """A scope on one line, `chain=solana rank=2`; a value that is not a plain word is JSON."""
    if not scope:
        return "(any)"
    return " ".join(f"{key}={_word(value)}" for key, value in sorted(scope.items()))


def short_pattern(pattern_key: str) -> str:
    """`uptrend.S1.buy_flag` of a canonical key; any other key unchanged."""
    return re.sub(r"^module=[^|]*\|pattern_key=", "", pattern_key)


def spinner(text: str) -> Status:
    """A text with a spinner on stderr, for as long as a block runs."""
    return err.status(text, spinner=_spinner_name())


@contextmanager
def progress_bars(always: bool = False) -> Iterator[Progress]:
    """Progress bars on stderr while a block runs.

    Where stderr is not a terminal there are none; with `always`, their last state is printed.
    """
    columns = (
        SpinnerColumn(_spinner_name(), finished_text=f"[green]{'✓' if _draws_unicode() else '+'}[/green]"),
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=err, disable=not (always or err.is_terminal)) as bars:
        yield bars


class Steps:
    """One progress bar for each step of a long run; when a step begins, the one before it is done."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._current: str | None = None

    def __call__(self, what: str, share: float) -> None:
        """Show how much of a step is done: a share from 0 to 1."""
        if what != self._current:
            self.finish()
            self._current = what
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=1.0, note="")
        self._bars.update(self._tasks[what], completed=share)

    def finish(self) -> None:
        """Mark the last step as done."""
        if self._current is not None:
            self._bars.update(self._tasks[self._current], completed=1.0)


def _draws_unicode() -> bool:
    return speaks_unicode(err.file)


def _spinner_name() -> str:
    return "dots" if _draws_unicode() else "line"


def _word(value: Any) -> str:
    if isinstance(value, str) and value.isprintable() and not any(char in value for char in " =\"'"):
        return value if not _looks_like_json(value) else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


def _looks_like_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _cell(value: Any) -> Any:
    if isinstance(value, Mapping | list | bool):
        return json.dumps(value, ensure_ascii=False)
    return value
