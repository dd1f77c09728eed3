"""The program's output streams: they print any text, whatever the locale is, and survive a lost reader."""

from __future__ import annotations

import codecs
import json
import os
import sys
from typing import IO

_ERRORS = "pm_strength.json_escapes"


def prepare_streams() -> None:
    r"""Make stdout and stderr write a character that their encoding lacks as JSON does, as `\u00e9`.

    A stream that was closed before the program started becomes one that discards its output.
    """
    codecs.register_error(_ERRORS, _json_escapes)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - open until the end
        getattr(sys, name).reconfigure(errors=_ERRORS)


def encoding_of(stream: IO[str]) -> str:
    """The encoding that a stream writes in; UTF-8 if it names none."""
    return getattr(stream, "encoding", None) or "utf-8"


def speaks_unicode(stream: IO[str]) -> bool:
    """Whether a stream's encoding has all characters."""
    return codecs.lookup(encoding_of(stream)).name.startswith("utf")


def drop_output(errors_too: bool = True) -> None:
    """Discard what is still to be written: the reader has gone, as in `| head`."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr) if errors_too else (sys.stdout,):
        os.dup2(nowhere, stream.fileno())


def _json_escapes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
