"""`up`, `down`, `status`: the embedded stack."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import StackError
from .output import err, out, print_json, spinner
from .target import DEFAULT_DIRECTORY, StackDirectory, open_stack

if TYPE_CHECKING:
    from ..local.stack import StackStatus


class StatusFormat(StrEnum):
    """How the stack's address and keys are printed."""

    PRETTY = "pretty"
    ENV = "env"
    JSON = "json"


StatusOption = Annotated[StatusFormat, typer.Option("--output", "-o", help="How to print.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(up)
    app.command()(down)
    app.command()(status)


def up(directory: StackDirectory = DEFAULT_DIRECTORY, output: StatusOption = StatusFormat.PRETTY) -> None:
    """Start the embedded stack (Postgres, pgmq, PostgREST, gateway) and apply the migrations.

    Does nothing to what runs already. The data stays in the folder between runs.
    """
    stack = open_stack(directory)
    with spinner("starting ...") as shown:
        started = stack.up(progress=lambda step: shown.update(f"starting {step} ..."))
    _print(started, output)


def down(
    directory: StackDirectory = DEFAULT_DIRECTORY,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the data too.")] = False,
) -> None:
    """Stop the embedded stack and keep its data."""
    open_stack(directory).down(purge=purge)
    err.print(f"Stopped; the data in {directory} is {'gone' if purge else 'kept'}.", markup=False)


def status(directory: StackDirectory = DEFAULT_DIRECTORY, output: StatusOption = StatusFormat.PRETTY) -> None:
    """Show where the embedded stack is and its keys; exit code 3 if it does not run.

    `eval "$(pm-strength status -o env)"` sets the variables in a shell.
    """
    running = open_stack(directory).status()
    if running is None:
        raise StackError(f"No stack is running in {directory}: start it with `pm-strength up`.")
    _print(running, output)


def _print(running: StackStatus, output: StatusFormat) -> None:
    variables = running.variables()
    if output is StatusFormat.JSON:
        print_json(variables)
    elif output is StatusFormat.ENV:
        for name, value in variables.items():
            print(f'{name}="{value}"')
    else:
        for name, value in variables.items():
            out.print(f"[bold]{name:>17}[/bold]  {value}", soft_wrap=True)
