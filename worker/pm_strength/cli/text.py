"""Text in and out of the program whatever the locale: nothing is lost, and JSON stays JSON."""

from __future__ import annotations

import codecs
import json
import os
import sys
from typing import IO

import typer

from ..json_values import is_storable

_ERRORS = "pm_strength.json_escapes"


def prepare_streams() -> None:
    r"""Have stdout and stderr write what their encoding lacks as `\u00e9`, and be there at all."""
    codecs.register_error(_ERRORS, _json_escapes)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - open until the end
        getattr(sys, name).reconfigure(errors=_ERRORS)


def encoding_of(stream: IO[str]) -> str:
    """The encoding that a stream writes in; UTF-8 where it doesn't say."""
    return getattr(stream, "encoding", None) or "utf-8"


def speaks_unicode(stream: IO[str]) -> bool:
    """Whether a stream's encoding has all characters."""
    return codecs.lookup(encoding_of(stream)).name.startswith("utf")


def typed(text: str) -> str:
    """An argument of the command line as UTF-8, also where the locale takes it for ASCII."""
    return os.fsencode(text).decode(errors="surrogateescape")


def storable(text: str, option: str) -> str:
    """An argument as `typed` gives it; wrong usage of an option where UTF-8 cannot hold it."""
    text = typed(text)
    if not is_storable(text):
        raise typer.BadParameter("expected text in UTF-8", param_hint=option)
    return text


def drop_output(errors_too: bool = True) -> None:
    """Send what is still to be written nowhere: its reader has gone, as `| head` does."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr) if errors_too else (sys.stdout,):
        os.dup2(nowhere, stream.fileno())


def _json_escapes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
