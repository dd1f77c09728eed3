"""`pm-strength`: the command line.

Exit codes: 0 done; 1 refused, or done in part (bad lines, a failed run); 2 wrong usage or wrong
settings; 3 there is no project, or it is out of reach; 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Annotated

import typer
from rich.markup import escape

from ..errors import (
    ConnectionSettingsError,
    PatternKeyError,
    PmStrengthError,
    SettingsError,
    StackError,
    TransientStoreError,
)
from ..service import logs
from . import evaluate, learn, queue, resolve, settings, show, stack, strands, work
from .demo import demo
from .output import err
from .text import drop_output, prepare_streams, speaks_unicode

app = typer.Typer(
    name="pm-strength",
    help="""Learns position-size multipliers from closed trades, on Supabase.

    A bot writes strands: what it did, and how each trade ended. A closed trade becomes events, mining
    turns events into lessons, materializing turns lessons into overrides, and the overrides that hold
    in a context make the multiplier of a size.

    `pm-strength demo` shows all of it on simulated trades.""",
    epilog="Commands use the project that SUPABASE_URL and SUPABASE_SECRET_KEY name, in the environment or "
    "in .env. If they are not set, commands use the embedded stack that `pm-strength up` starts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # rich draws frames around the help, with characters that not every terminal has
    rich_markup_mode="rich" if speaks_unicode(sys.stdout) else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(demo)
for module in (stack, strands, work, learn, evaluate, show, resolve, queue):
    module.register(app)
app.add_typer(settings.app, name="settings")


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log in detail, to stderr.")] = False,
) -> None:
    """Options of every command."""
    logs.configure(level=logging.DEBUG if verbose else logging.WARNING)


def main() -> None:
    """Run the command line. An error of ours is one line and an exit code, not a traceback."""
    prepare_streams()
    try:
        try:
            app()
        finally:
            # here, where a failure can still be caught, and not while Python ends
            sys.stdout.flush()
    except PmStrengthError as error:
        # one line, however narrow the terminal is: programs read logs line by line
        err.print(f"[red]error:[/red] {escape(logs.redact(str(error)))}", soft_wrap=True)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        drop_output()
        sys.exit(1)
    except OSError as error:
        # mostly a full disk: Python must not try to write the rest again as it ends
        drop_output(errors_too=False)
        with suppress(OSError):
            err.print(f"[red]error:[/red] {escape(_said(error))}", soft_wrap=True)
        sys.exit(1)


def _said(error: OSError) -> str:
    what = error.strerror or str(error)
    return logs.redact(f"{error.filename}: {what}" if error.filename is not None else what)


def exit_code(error: PmStrengthError) -> int:
    """2 for what the user typed or set, 3 for a project that cannot be reached, 1 for anything else."""
    if isinstance(error, SettingsError | PatternKeyError):
        return 2
    if isinstance(error, ConnectionSettingsError | StackError | TransientStoreError):
        return 3
    return 1
