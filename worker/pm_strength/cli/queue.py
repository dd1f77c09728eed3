"""`queue`, `requeue`, `repair`: what waits, what could not be learned from, and another try."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .output import Format, FormatOption, Justify, counted, out, print_json, print_table
from .target import ProjectDirectory, open_store

SHOWN_LETTERS = 20


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(queue)
    app.command()(requeue)
    app.command()(repair)


def queue(output: FormatOption = Format.TABLE, directory: ProjectDirectory = None) -> None:
    """Show how much waits in each queue and for how long, and the dead letters with their reasons.

    A dead letter is a strand or a job that could not be processed.
    """
    with open_store(directory) as store:
        status = store.queue_status()
        letters = store.dead_letters() if status["dead_letters"] else []
    if output is Format.JSON:
        print_json({"queues": status["queues"], "dead_letters": letters})
        return
    columns: dict[str, Justify] = {"queue": "left", "depth": "right", "due now": "right", "oldest": "right"}
    print_table("Queues", columns, map(_queue_cells, status["queues"]))
    if not letters:
        out.print("No dead letters.")
        return
    title = counted(len(letters), "dead letter")
    if len(letters) > SHOWN_LETTERS:
        title += f"; the oldest {SHOWN_LETTERS} (-o json for all)"
    print_table(
        title,
        {"id": "right", "strand or job": "left", "code": "left", "reason": "left"},
        (
            (str(row["id"]), row["strand_id"] or row["job"], row["code"], row["reason"])
            for row in letters[:SHOWN_LETTERS]
        ),
    )


def requeue(
    ids: Annotated[
        list[int] | None,
        typer.Argument(help="The ids of the dead letters, as `queue` shows them; without ids, all of them."),
    ] = None,
    directory: ProjectDirectory = None,
) -> None:
    """Put dead letters back on their queue, once you have mended what was wrong."""
    with open_store(directory) as store:
        sent = store.requeue(ids or None)
    print(f"{counted(sent, 'dead letter')} back on the queue")


def repair(directory: ProjectDirectory = None) -> None:
    """Make the queues that a restored database lacks, and queue the trades that were missed.

    Events that do not know when their action was taken are told by its strand.
    """
    with open_store(directory) as store:
        made = store.repair()
        missed = sum(store.sweep())
        timed = sum(store.fill_action_times())
    print(
        f"queues made: {', '.join(made) or 'none, as all exist'}; {counted(missed, 'strand')} queued; "
        f"{counted(timed, 'event')} given the time of the action"
    )


def _queue_cells(row: dict[str, Any]) -> tuple[str, ...]:
    oldest = row["oldest_age_seconds"]
    return (
        row["queue"],
        f"{row['depth']:,}",
        f"{row['due']:,}",
        "" if oldest is None else f"{oldest:,.0f} s",
    )
