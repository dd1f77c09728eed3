"""`queue`, `requeue`, `repair`: what waits, what could not be processed, and another try."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from .output import Justify, out, print_json, print_table
from .target import ProjectDirectory, open_store

SHOWN_LETTERS = 20


class QueueFormat(StrEnum):
    """How the state of the queues is printed."""

    TABLE = "table"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(queue)
    app.command()(requeue)
    app.command()(repair)


def queue(
    output: Annotated[QueueFormat, typer.Option("--output", "-o")] = QueueFormat.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show the depth and the oldest age of each queue, and the dead letters with their reasons."""
    with open_store(directory) as store:
        status = store.queue_status()
        letters = store.dead_letters() if status["dead_letters"] else []
    if output is QueueFormat.JSON:
        print_json({"queues": status["queues"], "dead_letters": letters})
        return
    columns: dict[str, Justify] = {"queue": "left", "depth": "right", "due now": "right", "oldest": "right"}
    print_table("Queues", columns, map(_queue_cells, status["queues"]))
    if not letters:
        out.print("No dead letters.")
        return
    more = f"; the first {SHOWN_LETTERS}" if len(letters) > SHOWN_LETTERS else ""
    print_table(
        f"{len(letters):,} dead letters{more}",
        {"id": "right", "strand or job": "left", "code": "left", "reason": "left"},
        (
            (str(row["id"]), row["strand_id"] or row["job"], row["code"], row["reason"])
            for row in letters[:SHOWN_LETTERS]
        ),
    )


def requeue(
    ids: Annotated[list[int] | None, typer.Argument(help="Dead letters; all of them without.")] = None,
    directory: ProjectDirectory = None,
) -> None:
    """Send dead letters through again, after what was wrong is mended."""
    with open_store(directory) as store:
        sent = store.requeue(ids or None)
    print(f"{sent:,} sent again")


def repair(directory: ProjectDirectory = None) -> None:
    """Make the queues again where a restored dump lacks them, and queue what was missed."""
    with open_store(directory) as store:
        made = store.repair()
        missed = sum(store.sweep())
    print(f"queues made: {', '.join(made) or 'none, all were there'}; {missed:,} strands queued")


def _queue_cells(row: dict[str, Any]) -> tuple[str, ...]:
    oldest = row["oldest_age_seconds"]
    return (
        row["queue"],
        f"{row['depth']:,}",
        f"{row['due']:,}",
        "" if oldest is None else f"{oldest:,.0f} s",
    )
