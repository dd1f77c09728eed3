"""Lessons as the columns in which the database takes them: what only the worker can tell.

The database makes all other statistics out of these, the baseline and the settings of the run
(`pm_strength.described_lessons`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
import pandas as pd

from .arrays import IntArray
from .evidence.columns import GUARDED
from .leads import leads_of
from .lessons import lesson_stats
from .scope_array import ScopeArray
from .scope_lines import scope_lines

# The argument of pm_strength_stage_lessons by the column of the frame of lessons.
_NUMBERS = {
    **{name: name for name in ("avg_rr", "variance", "edge_raw", "slope_per_hour", "slope_p_value")},
    **{name: name for name in ("design_effect", "own_design", "bayes_factor", "p_value", "avg_rr_half")},
}
# Known of trades that say how they ended.
_ENDS = ("trimmed_rate", "reached_s3_rate", "a_score", "e_score")
_COUNTS = ("trimmed_n", "reached_s3_n")
# A lesson of the guarded profile without any of these has nothing to tell.
_TELLING = ("effect", "edge", "evidence", "drift", "claimed", "explained_by")

Members = list[list[bytes]]


class LessonColumns:
    """The lessons of a frame, to be taken part by part.

    `members` are the texts of all the objects of one dimension that are in a scope, `groups` all pairs of
    pattern key and action category. Before the first part, `know` takes the terms and the bits that the
    database has for them.
    """

    def __init__(self, lessons: pd.DataFrame) -> None:
        self._lessons = lessons
        scopes: Any = lessons["scope_subset"].array
        self._scopes: ScopeArray = scopes
        self._members = [_members(names, values) for names, values in self._scopes.tables()]
        self.members = sorted({b"{" + m + b"}" for table in self._members for dim in table for m in dim})
        pattern, category = lessons["pattern_key"].cat, lessons["action_category"].cat
        self._group = pattern.codes.to_numpy(np.int64) * len(category.categories)
        self._group += category.codes.to_numpy(np.int64)
        self.groups = [(key, action) for key in pattern.categories for action in category.categories]
        self._terms: list[list[IntArray]] = []
        self._bits = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._lessons)

    def know(self, terms: Sequence[int], bits: Sequence[int]) -> None:
        """Take the term of each of `members`, and the bits of each of `groups`."""
        known = dict(zip(self.members, terms, strict=True))
        self._terms = [
            [np.array([known[b"{" + m + b"}"] for m in dim], np.int64) for dim in table]
            for table in self._members
        ]
        self._bits = np.array(bits, np.int64)

    def part(self, start: int, stop: int) -> dict[str, Any]:
        """The columns of lessons `start` to `stop`, as arguments of pm_strength_stage_lessons."""
        lessons = self._lessons.iloc[start:stop]
        group, place = np.unique(self._group[start:stop], return_inverse=True)
        keys = [self.groups[number] for number in group.tolist()]
        bits = self._bits.take(self._group[start:stop])
        lines, leads, dimensions = [], [], []
        for table, begin, end, codes in self._scopes[start:stop].runs():
            lines.append(scope_lines(codes, self._members[table]))
            lead, count = leads_of(codes, self._terms[table], bits[begin:end])
            leads.append(lead)
            dimensions.append(count)
        n = lessons["n"].to_numpy()
        columns = {
            "first": start,
            "pattern_keys": [key for key, _ in keys],
            "action_categories": [action for _, action in keys],
            "groups": _literal(place.astype(np.int64) + 1),
            "scopes": b"\n".join(lines).decode(),
            "leads": _literal(np.concatenate(leads)),
            "dimensions": _literal(np.concatenate(dimensions)),
            "n": _literal(n),
            "decay_state": _literal(lessons["decay_state"].cat.codes.to_numpy(np.int64)),
        }
        columns |= {name: _literal(lessons[column].to_numpy()) for name, column in _NUMBERS.items()}
        for name in _ENDS:
            values = lessons[name].to_numpy()
            columns[name] = _literal(values) if np.isfinite(values).any() else None
        for name in _COUNTS:
            values = lessons[name].to_numpy()
            columns[name] = None if (values == n).all() else _literal(values.astype(np.int64))
        told = [name for name in _TELLING if name in lessons.columns]
        columns["stats"] = "\n".join(_told(lessons, told)) if told else None
        return columns


def _members(names: Sequence[str], values: Sequence[Sequence[Any]]) -> Members:
    return [
        [json.dumps({name: value}, ensure_ascii=False)[1:-1].encode() for value in known]
        for name, known in zip(names, values, strict=True)
    ]


def _literal(values: Any) -> str:
    """An array as Postgres reads it, with null for what no double can hold."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return "{" + text[1:-1].decode() + "}"


def _told(lessons: pd.DataFrame, telling: Sequence[str]) -> Iterator[str]:
    """For each lesson what the guarded profile says of it as JSON, or nothing."""
    tells = np.zeros(len(lessons), bool)
    for name in telling:
        column = lessons[name]
        tells |= column.notna().to_numpy() & (column != 0.0).to_numpy()
    stats = iter(lesson_stats(lessons[tells], GUARDED))
    for telling_one in tells.tolist():
        yield json.dumps(next(stats), ensure_ascii=False) if telling_one else ""
