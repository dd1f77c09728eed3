"""Events as they travel between machines: plain columns, an outcome in every row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...scopes import is_dimension
from ...settings import OUTCOME_COLUMNS, LearningSettings
from ..arrays import CodeArray, IntArray
from ..encode import flags, microseconds, numbers
from ..scope_array import ScopeArray
from ..scope_codes import code_scopes, plain_value
from ..scope_lines import scope_lines
from ..scope_texts import ScopeTexts

GroupKey = tuple[str, str]

# The columns of rows with their kinds. `position` orders all rows, `outcome` is finite and in the unit of the
# setting, `timestamp` in microseconds since 1970, `scope` a line of JSON, a flag 1, 0 or NaN.
KINDS = {
    "position": "int64",
    "pattern_key": "object",
    "action_category": "object",
    "trade_id": "object",
    "timestamp": "int64",
    "outcome": "float64",
    "scope": "object",
    "trimmed": "float64",
    "reached_s3": "float64",
}


def event_rows(events: pd.DataFrame, settings: LearningSettings, position: IntArray) -> pd.DataFrame:
    """Rows from events as `mine_lessons` takes them; those without a finite outcome are left out.

    `position` is the place of each event among all.
    """
    y = numbers(events[OUTCOME_COLUMNS[settings.outcome]])
    if settings.outcome == "roi":
        y = y / 100.0
    finite = np.isfinite(y)
    kept: Any = events[finite]
    return pd.DataFrame(
        {
            "position": position[finite],
            "pattern_key": kept["pattern_key"].astype(str).to_numpy(dtype=object),
            "action_category": kept["action_category"].astype(str).to_numpy(dtype=object),
            "trade_id": kept["trade_id"].astype(str).to_numpy(dtype=object),
            "timestamp": microseconds(kept["timestamp"]),
            "outcome": y[finite],
            "scope": np.array([*_texts(kept["scope"], settings.scope_dims), None], dtype=object)[:-1],
            "trimmed": flags(kept, "trimmed"),
            "reached_s3": flags(kept, "reached_s3"),
        }
    )


def no_rows() -> pd.DataFrame:
    """Rows without any."""
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in KINDS.items()})


def scopes_of(rows: pd.DataFrame) -> tuple[Any, Any, CodeArray]:
    """The dimensions of some rows, their values, and the codes of each row."""
    if not len(rows):
        return (), (), np.empty((0, 0), np.int16)
    texts = ScopeTexts()
    texts.add("\n".join(rows["scope"]))
    table = texts.column().only_table()
    assert table is not None  # noqa: S101 - a column of texts is of one table
    return table


def scope_texts(names: Any, values: Any, codes: CodeArray) -> Any:
    """The scopes of rows of codes, a line of JSON each."""
    members = [
        [json.dumps({name: value})[1:-1].encode() for value in known]
        for name, known in zip(names, values, strict=True)
    ]
    lines = scope_lines(codes, members).decode().split("\n") if len(codes) else []
    return np.array([*lines, None], dtype=object)[:-1]


def day_of(timestamp: IntArray) -> IntArray:
    """The UTC day since 1970 of some times."""
    return timestamp // 86_400_000_000


def _texts(column: pd.Series[Any], scope_dims: tuple[str, ...] | None) -> list[str]:
    """Scopes as lines of JSON, with what mining looks at."""
    if isinstance(column.array, ScopeArray):
        return list(scope_texts(*code_scopes(column, scope_dims)))
    # equal scopes are mostly one object, as they were read
    lines: dict[int, str] = {}
    scopes = column.tolist()
    for scope in scopes:
        if id(scope) not in lines:
            lines[id(scope)] = _line(scope, scope_dims)
    return [lines[id(scope)] for scope in scopes]


def _line(scope: Any, scope_dims: tuple[str, ...] | None) -> str:
    if not isinstance(scope, Mapping):
        return "{}"
    wanted = scope if scope_dims is None else [name for name in scope_dims if name in scope]
    held = {name: scope[name] for name in wanted if is_dimension(scope[name])}
    return json.dumps({str(name): plain_value(value) for name, value in held.items()})
