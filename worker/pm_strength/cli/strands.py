"""`import`: strands out of a file of JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from ..files.strand_import import import_strands
from ..files.strand_lines import BadLine
from .output import err, progress_bars
from .target import ProjectDirectory, open_store

# So many bad lines are shown; the others are only counted.
SHOWN_BAD_LINES = 50


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("import")(import_file)


def import_file(
    file: Annotated[Path, typer.Argument(help="A file with one strand in JSON on each line; - reads stdin.")],
    directory: ProjectDirectory = None,
) -> None:
    """Put the strands of a file into the table ad_strands.

    A strand whose id is in the table already is left alone. A bad line is skipped and reported by its
    number and field, and the exit code is then 1.
    """
    if str(file) != "-" and not file.is_file():
        raise typer.BadParameter(f"there is no file {file}", param_hint="FILE")
    bad_lines = 0

    def show(bad: BadLine) -> None:
        nonlocal bad_lines
        bad_lines += 1
        if bad_lines <= SHOWN_BAD_LINES:
            err.print(str(bad), markup=False, style="yellow", soft_wrap=True)

    with open_store(directory) as store, _open(file) as lines, progress_bars() as bars:
        size = None if str(file) == "-" else file.stat().st_size
        task = bars.add_task("importing strands", total=size, note="")
        report = import_strands(
            lines, store.insert_strands, on_bad=show, on_bytes=lambda count: bars.advance(task, count)
        )
    if bad_lines > SHOWN_BAD_LINES:
        err.print(f"... and {bad_lines - SHOWN_BAD_LINES:,} more bad lines", style="yellow")
    print(f"{report.inserted:,} strands imported, {report.present:,} already there, {report.bad:,} bad lines")
    if report.bad:
        raise typer.Exit(1)


@contextmanager
def _open(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
    else:
        with file.open("rb") as lines:
            yield lines
