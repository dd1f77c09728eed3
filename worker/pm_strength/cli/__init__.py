"""`pm-strength`: the command line.

Exit codes: 0 done; 1 refused or done in part (bad lines, a failed run); 2 wrong usage or settings;
3 no project to talk to, or out of reach; 130 interrupted.
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
from . import learn, queue, resolve, settings, show, stack, strands, work
from .demo import demo
from .output import err
from .text import drop_output, prepare_streams, speaks_unicode

app = typer.Typer(
    name="pm-strength",
    help="Learns position-size multipliers from closed trades, on Supabase.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # its frames around help are drawn with characters that not every terminal has
    rich_markup_mode="rich" if speaks_unicode(sys.stdout) else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(demo)
for module in (stack, strands, work, learn, show, resolve, queue):
    module.register(app)
app.add_typer(settings.app, name="settings")


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done in detail.")] = False,
) -> None:
    """Applies to every command."""
    logs.configure(level=logging.DEBUG if verbose else logging.WARNING)


def main() -> None:
    """Run the command line; errors of ours are one line and an exit code, not a traceback."""
    prepare_streams()
    try:
        try:
            app()
        finally:
            # here, where it can still be caught, and not as Python ends
            sys.stdout.flush()
    except PmStrengthError as error:
        # one line, however narrow: what reads a log reads lines
        err.print(f"[red]error:[/red] {escape(logs.redact(str(error)))}", soft_wrap=True)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        drop_output()
        sys.exit(1)
    except OSError as error:
        # a full disk, most of all: what was not written must not be tried again as Python ends
        drop_output(errors_too=False)
        with suppress(OSError):
            err.print(f"[red]error:[/red] {escape(_said(error))}", soft_wrap=True)
        sys.exit(1)


def _said(error: OSError) -> str:
    what = error.strerror or str(error)
    return logs.redact(f"{error.filename}: {what}" if error.filename is not None else what)


def exit_code(error: PmStrengthError) -> int:
    """2 for what the user typed or set, 3 for a project that is not there, 1 for all else."""
    if isinstance(error, SettingsError | PatternKeyError):
        return 2
    if isinstance(error, ConnectionSettingsError | StackError | TransientStoreError):
        return 3
    return 1
