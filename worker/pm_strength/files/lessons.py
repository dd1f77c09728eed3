"""Lessons written to a Parquet or JSON file, part by part, so that few scopes are dicts at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd

from ..errors import FileError
from ..mining import lesson_rows
from ..mining.evidence.columns import INTERVALS

PART_ROWS = 20_000


def check_lessons_path(path: Path) -> None:
    """Raise `FileError` if `write_lessons` cannot write there: better known before mining than after it."""
    if path.suffix.lower() not in (".parquet", ".pq", ".json"):
        raise FileError(f"{path}: expected a name that ends in .parquet or .json")
    if not path.parent.is_dir():
        raise FileError(f"{path}: there is no folder {path.parent}")
    if path.suffix.lower() != ".json":
        _pyarrow()


def write_lessons(lessons: pd.DataFrame, path: Path) -> None:
    """Write what `mine_lessons` returned: as Parquet (scopes as JSON text) or as a JSON array.

    The JSON objects are the rows of `learning_lessons`. An existing file is replaced only when the new
    one is complete. Raises `FileError`.
    """
    write_parts([lessons], path)


def write_parts(parts: Iterable[pd.DataFrame], path: Path) -> int:
    """Write lessons that come part by part, as `write_lessons` does; there is at least one part.

    Returns how many lessons there were.
    """
    check_lessons_path(path)
    part = path.with_name(path.name + ".part")
    try:
        if path.suffix.lower() == ".json":
            with part.open("w", encoding="utf-8") as file:
                count = write_json(parts, file)
        else:
            count = _write_parquet(parts, part)
        part.replace(path)
        return count
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def write_json(parts: Iterable[pd.DataFrame], file: IO[str]) -> int:
    """Write a JSON array with one lesson on each line; returns how many there were."""
    separator, count = "[\n", 0
    for lessons in parts:
        for start in _starts(lessons):
            for row in lesson_rows(lessons, start, start + PART_ROWS):
                file.write(separator + json.dumps(row, ensure_ascii=False, allow_nan=False))
                separator = ",\n"
        count += len(lessons)
    file.write("[]\n" if separator == "[\n" else "\n]\n")
    return count


def _starts(lessons: pd.DataFrame) -> Iterator[int]:
    return iter(range(0, len(lessons), PART_ROWS))


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise FileError("Parquet files need pyarrow: install 'pm-strength[worker,parquet]'.") from None
    return pyarrow


def _write_parquet(parts: Iterable[pd.DataFrame], path: Path) -> int:
    pyarrow = _pyarrow()
    writer: Any = None
    count = 0
    try:
        for lessons in parts:
            fields = _fields(lessons, pyarrow)
            if writer is None:
                writer = pyarrow.parquet.ParquetWriter(path, pyarrow.schema(fields))
            for start in _starts(lessons):
                part = lessons.iloc[start : start + PART_ROWS]
                columns = {name: part[name].tolist() for name, _ in fields}
                columns["scope_subset"] = [
                    json.dumps(scope, ensure_ascii=False) for scope in columns["scope_subset"]
                ]
                # an undefined statistic is null, as in the database
                arrays = [pyarrow.array(columns[name], kind, from_pandas=True) for name, kind in fields]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=writer.schema))
            count += len(lessons)
    finally:
        if writer is not None:
            writer.close()
    return count


def _fields(lessons: pd.DataFrame, pyarrow: Any) -> list[tuple[str, Any]]:
    texts = ("pattern_key", "action_category", "scope_subset", "decay_state")
    return [
        (name, pyarrow.string() if name in texts else pyarrow.int64() if name == "n" else pyarrow.float64())
        for name in lessons.columns
        if name not in INTERVALS
    ]
