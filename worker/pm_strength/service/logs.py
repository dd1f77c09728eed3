"""Structured logs on stderr: JSON lines for machines, short lines on a terminal, never a secret."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

# What every record has; anything else came in as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_SECRETS = re.compile(
    r"sb_secret_[\w-]+"
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]+"  # a JWT, as legacy keys are
    r"|(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"  # user and password in an address
)
_COLORS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}
_RESET = "\x1b[0m"


def configure(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send the package's logs from `level` on, and warnings of all others, to `stream` (stderr)."""
    stream = stream if stream is not None else sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TerminalFormatter() if stream.isatty() else JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("pm_strength").setLevel(level)


def redact(text: str) -> str:
    """The text with keys, tokens and passwords cut out."""
    return _SECRETS.sub("[redacted]", text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and the fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = _extra(record) | fields
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        order = ("time", "level", "logger", "message")
        ordered = {name: fields[name] for name in order} | fields
        return json.dumps(_redacted(ordered), ensure_ascii=False, default=str)


class TerminalFormatter(logging.Formatter):
    """`12:34:56 message key=value ...`, the level in colour where it is more than info."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, and the traceback below it."""
        extra = " ".join(f"{name}={_short(value)}" for name, value in _extra(record).items())
        message = f"{record.getMessage()} {extra}".rstrip()
        color = _COLORS.get(record.levelname)
        if color:
            message = f"{color}{record.levelname.lower()}{_RESET} {message}"
        line = f"{datetime.fromtimestamp(record.created).strftime('%H:%M:%S')} {message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _redacted(value: Any) -> Any:
    """The value redacted before it becomes JSON: afterwards, half of an escape could be left behind."""
    if isinstance(value, dict):
        return {redact(str(key)): _redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        # json writes nan and inf as words that JSON does not have
        return value if value - value == 0 else str(value)
    return redact(str(value))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return json.dumps(plain, ensure_ascii=False) if " " in plain or not plain else plain
