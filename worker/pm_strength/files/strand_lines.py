"""Strands from JSON lines: each line is checked for what `ad_strands` can hold.

Whether a strand can be learned from is not checked here. Capture does that, and its dead letters say
why not.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime

from ..errors import LineError
from ..json_values import Row

# More levels than any strand has, and far fewer than json and Postgres can read.
MAX_DEPTH = 200
# The id is a btree key, and these hold about 2,700 bytes.
MAX_ID_CHARACTERS = 500
MAX_BIGINT = 2**63 - 1

_REQUIRED = ("id", "module", "kind", "content")
_OPTIONAL = ("symbol", "timeframe", "position_id", "trade_id")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was skipped: its number (from 1), the bad field, and what is wrong with it."""

    number: int
    field: str
    problem: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.field}: {self.problem}"


@dataclass(frozen=True, slots=True)
class StrandLine:
    """A good line: its number (from 1), the row for the table, and its size in bytes."""

    number: int
    row: Row
    size: int


class _NoJson:
    """Stands for `NaN`, `Infinity` or `-Infinity`, so that the error can name the field."""

    def __init__(self, literal: str) -> None:
        self.literal = literal


def parse_line(number: int, line: bytes) -> StrandLine | BadLine | None:
    """The strand of a line, or what is wrong with the line; None for a blank line.

    `created_at` is converted to UTC (a time without an offset is in UTC); all else stays as it is.
    """
    try:
        row = _row(line)
    except LineError as error:
        return BadLine(number, error.field, error.problem)
    return None if row is None else StrandLine(number, row, len(line))


def _row(line: bytes) -> Row | None:
    try:
        text = line.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise LineError("line", f"not UTF-8 at byte {error.start + 1}") from None
    if not text:
        return None
    try:
        value = json.loads(text, parse_constant=_NoJson)
    except json.JSONDecodeError as error:
        raise LineError("line", f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except ValueError:
        raise LineError("line", "a number has too many digits") from None
    except RecursionError:
        raise LineError("line", f"nested deeper than {MAX_DEPTH} levels") from None
    if not isinstance(value, dict):
        raise LineError("line", f"expected a JSON object, got {_kind(value)}")
    return _checked(value)


def _checked(value: Row) -> Row:
    for name in _REQUIRED:
        if name not in value:
            raise LineError(name, "missing")
    _check_id(value["id"])
    for name in ("module", "kind"):
        if not isinstance(value[name], str) or not value[name]:
            raise LineError(name, f"expected a non-empty string, got {_kind(value[name])}")
    if not isinstance(value["content"], dict):
        raise LineError("content", f"expected a JSON object, got {_kind(value['content'])}")
    for name in _OPTIONAL:
        if not isinstance(value.get(name), str | None):
            raise LineError(name, f"expected a string or null, got {_kind(value[name])}")
    for name, item in value.items():
        _check_storable(name, item)
    # an ad_strands of the user's own may have more columns, which only the server knows
    row = dict(value)
    created_at = _utc(row.pop("created_at", None))
    return row if created_at is None else row | {"created_at": created_at}


def _check_id(value: object) -> None:
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > MAX_BIGINT:
            raise LineError("id", "the integer is larger than a bigint")
    elif not isinstance(value, str) or not value:
        raise LineError("id", f"expected a non-empty string or an integer, got {_kind(value)}")
    elif len(value) > MAX_ID_CHARACTERS:
        raise LineError("id", f"longer than {MAX_ID_CHARACTERS} characters")


def _utc(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
        except (ValueError, OverflowError):
            pass
    shown = _shown(value) if isinstance(value, str) else _kind(value)
    raise LineError("created_at", f"expected an ISO 8601 time, got {shown}")


def _check_storable(field: str, value: object) -> None:
    """Raise if jsonb cannot hold the value. Not recursive, so that deep nesting gets our own error."""
    pending: list[tuple[str, object, int]] = [(field, value, 1)]
    while pending:
        path, item, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise LineError(field, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(item, dict):
            for key, inner in item.items():
                _check_text(path, key, "a key ")
                pending.append((f"{path}.{key}", inner, depth + 1))
        elif isinstance(item, list):
            pending.extend((f"{path}[{index}]", inner, depth + 1) for index, inner in enumerate(item))
        elif isinstance(item, str):
            _check_text(path, item, "")
        elif isinstance(item, _NoJson):
            raise LineError(_shown(path), f"{item.literal} is not JSON")
        elif isinstance(item, float) and not math.isfinite(item):
            raise LineError(_shown(path), "the number is too large")


def _check_text(path: str, text: str, what: str) -> None:
    if "\x00" in text:
        raise LineError(_shown(path), f"{what}holds \\u0000, which Postgres cannot store")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise LineError(_shown(path), f"{what}holds half of a surrogate pair") from None


def _kind(value: object) -> str:
    if isinstance(value, _NoJson):
        return value.literal
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return "a string" if value else "an empty string"
    if isinstance(value, dict):
        return "an object"
    return "an array" if isinstance(value, list) else "a number"


def _shown(text: str) -> str:
    """A name or a value from the file, short and on one line."""
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return plain if len(plain) <= 100 else plain[:97] + "..."
