"""`up`, `down`, `status`: the embedded stack."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import StackError
from .output import err, out, print_json, spinner
from .target import DEFAULT_DIRECTORY, StackDirectory, directory_option, open_stack

if TYPE_CHECKING:
    from ..local.stack import StackStatus


class StatusFormat(StrEnum):
    """How the stack's addresses and keys are printed."""

    PRETTY = "pretty"
    ENV = "env"
    JSON = "json"


StatusOption = Annotated[
    StatusFormat, typer.Option("--output", "-o", help="The format to print in; env can be read by a shell.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(up)
    app.command()(down)
    app.command()(status)


def up(directory: StackDirectory = DEFAULT_DIRECTORY, output: StatusOption = StatusFormat.PRETTY) -> None:
    """Start the embedded stack, and apply the migrations.

    The stack is a small Supabase project without Docker: Postgres with pgmq, PostgREST, the edge
    functions and a gateway. Parts that run already stay as they are. The data is kept in the folder.
    """
    stack = open_stack(directory)
    with spinner("starting ...") as shown:
        started = stack.up(progress=lambda step: shown.update(f"starting {step} ..."))
    _print(started, output)


def down(
    directory: StackDirectory = DEFAULT_DIRECTORY,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the folder with all data, too.")] = False,
) -> None:
    """Stop the embedded stack. Its data is kept, unless --purge is given."""
    open_stack(directory).down(purge=purge)
    kept = f"{directory} is removed" if purge else f"the data in {directory} is kept"
    err.print(f"Stopped; {kept}.", markup=False)


def status(directory: StackDirectory = DEFAULT_DIRECTORY, output: StatusOption = StatusFormat.PRETTY) -> None:
    """Show the addresses and keys of the embedded stack. The exit code is 3 if it does not run.

    To have them as variables in a shell: eval "$(pm-strength status -o env)"; after `set -a`, the programs
    that you start from there see them too.
    """
    running = open_stack(directory).status()
    if running is None:
        start = f"pm-strength up{directory_option(directory)}"
        raise StackError(f"No stack is running in {directory}: start it with `{start}`.")
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
