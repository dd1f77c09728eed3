"""Events from a Parquet or CSV file: the columns that mining needs, every value checked.

The columns are those of `pattern_trade_events`: pattern_key, action_category, scope (JSON text; in
Parquet also a struct or a map), trade_id, timestamp (ISO 8601; without an offset it is UTC) and the
column of the outcome that the settings name. action_at (ISO 8601 or nothing), trimmed and reached_s3
(true, false or nothing) may be there. Other columns are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import FileError
from ..settings import OUTCOME_COLUMNS

_TEXTS = ("pattern_key", "action_category", "trade_id")
_FLAGS = ("trimmed", "reached_s3")
# pandas, Postgres and the API write booleans in their own ways each; 1.0 is 1 and True.
_BOOLEANS = {True: True, False: False, "true": True, "false": False, "t": True, "f": False}


def read_events(path: Path, outcome: str) -> pd.DataFrame:
    """The events of a file, as `mine_lessons` takes them.

    `outcome` is the setting of that name. `action_at` is an aware time or None, a flag True, False or
    None. Raises `FileError`, which names the row (from 1), the column and what was expected.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        frame = _read_csv(path)
    elif suffix in (".parquet", ".pq"):
        frame = _read_parquet(path)
    else:
        raise FileError(f"{path}: expected a name that ends in .parquet or .csv")
    return checked_events(frame, outcome, str(path))


def checked_events(frame: pd.DataFrame, outcome: str, path: str, first: int = 0) -> pd.DataFrame:
    """The events of a frame as it was read, every value checked.

    Errors call it `path`, and its first row row `first` + 1. Raises `FileError`.
    """
    check_columns(map(str, frame.columns), outcome, path)
    place, outcome_column = Place(path, first), OUTCOME_COLUMNS[outcome]
    events = {name: _texts(place, name, frame[name]) for name in _TEXTS}
    events["scope"] = _scopes(place, frame["scope"])
    events["timestamp"] = _timestamps(place, frame["timestamp"])
    events[outcome_column] = _numbers(place, outcome_column, frame[outcome_column])
    if "action_at" in frame.columns:
        events["action_at"] = _action_times(place, frame["action_at"])
    for name in _FLAGS:
        if name in frame.columns:
            events[name] = _booleans(place, name, frame[name])
    return pd.DataFrame(events)


def check_columns(columns: Iterable[str], outcome: str, path: str) -> None:
    """Raise `FileError` if a column that mining needs is not there."""
    there = list(columns)
    for column in (*_TEXTS, "scope", "timestamp", OUTCOME_COLUMNS[outcome]):
        if column not in there:
            raise FileError(f"{path}: expected a column {column!r}, got {', '.join(there)}")


def mined_columns(outcome: str) -> tuple[str, ...]:
    """The columns that mining looks at, if they are there."""
    return (*_TEXTS, "scope", "timestamp", OUTCOME_COLUMNS[outcome], *_FLAGS)


@dataclass(frozen=True, slots=True)
class Place:
    """What errors call a frame, and how many rows there are before its first."""

    path: str
    first: int


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError) as error:
        raise FileError(f"{path}: not a CSV file with a header: {error}") from None
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise FileError("Parquet files need pyarrow: install 'pm-strength[worker,parquet]'.") from None
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise FileError(f"{path}: not a Parquet file: {error}") from None
    return frame_of(table)


def frame_of(table: Any) -> pd.DataFrame:
    """An Arrow table as `checked_events` takes it: a struct or a map becomes a mapping."""
    # an index that pandas kept in the file is a column as any other
    frame: pd.DataFrame = table.to_pandas(maps_as_pydicts="lossy", ignore_metadata=True)
    return frame


def _fail(place: Place, index: int, column: str, expected: str, got: Any) -> FileError:
    shown = repr(got) if len(repr(got)) <= 100 else repr(got)[:100] + "..."
    return FileError(
        f"{place.path}: row {place.first + index + 1}: {column}: expected {expected}, got {shown}"
    )


def _texts(place: Place, name: str, column: Any) -> Any:
    values = column.tolist()
    # some bots number their trades
    kinds = (str,) if name != "trade_id" else (str, int)
    for index, value in enumerate(values):
        if not isinstance(value, kinds) or value == "":
            raise _fail(place, index, name, "text", value)
    return pd.Series(values, dtype=object)


def _scopes(place: Place, column: Any) -> Any:
    scopes: list[Any] = []
    known: dict[str, Any] = {}
    for index, value in enumerate(column.tolist()):
        scope = value
        if isinstance(value, str) and value in known:
            scope = known[value]
        elif isinstance(value, str):
            try:
                scope = known[value] = json.loads(value)
            except (ValueError, RecursionError):
                raise _fail(place, index, "scope", "a JSON object", value) from None
        elif value is None or (isinstance(value, float) and np.isnan(value)):
            scope = {}
        if not isinstance(scope, Mapping):
            raise _fail(place, index, "scope", "a JSON object", value)
        scopes.append(scope)
    return pd.Series(scopes, dtype=object)


def _timestamps(place: Place, column: Any) -> Any:
    moments = _moments(column)
    bad = np.flatnonzero(moments.isna())
    if len(bad):
        raise _fail(place, int(bad[0]), "timestamp", "an ISO 8601 time", column.iloc[bad[0]])
    return moments


def _action_times(place: Place, column: Any) -> Any:
    moments = _moments(column)
    bad = np.flatnonzero(moments.isna() & ~_missing(column))
    if len(bad):
        raise _fail(place, int(bad[0]), "action_at", "an ISO 8601 time or nothing", column.iloc[bad[0]])
    return pd.Series([None if moment is pd.NaT else moment for moment in moments], dtype=object)


def _moments(column: Any) -> Any:
    """Times with an offset, which is UTC where none is given; NaT for what is none."""
    if column.dtype.kind == "M":
        return column.dt.tz_localize("UTC") if column.dt.tz is None else column
    return pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")


def _booleans(place: Place, name: str, column: Any) -> Any:
    flags: list[bool | None] = []
    for index, (value, missing) in enumerate(zip(column.tolist(), _missing(column), strict=True)):
        known = value.lower() if isinstance(value, str) else value
        if missing:
            flags.append(None)
        elif isinstance(known, str | int | float) and known in _BOOLEANS:
            flags.append(_BOOLEANS[known])
        else:
            raise _fail(place, index, name, "true, false or nothing", value)
    return pd.Series(flags, dtype=object)


def _missing(column: Any) -> Any:
    return column.isna() | (column.astype(object) == "")


def _numbers(place: Place, name: str, column: Any) -> Any:
    texts = column.replace("", None) if column.dtype.kind not in "fiu" else column
    numbers = pd.to_numeric(texts, errors="coerce").astype(np.float64)
    bad = np.flatnonzero(numbers.isna() & texts.notna())
    if len(bad):
        raise _fail(place, int(bad[0]), name, "a number", column.iloc[bad[0]])
    return numbers
