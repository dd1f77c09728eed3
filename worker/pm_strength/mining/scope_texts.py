"""A column of scopes from their JSON texts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from ..json_values import Scalar
from .arrays import MISSING, IntArray
from .scope_array import ScopeArray
from .scope_codes import code_values, empty_codes
from .scope_members import members_of


class ScopeTexts:
    """Takes texts of scopes, a JSON object each, and makes one column of them all.

    A value that makes no dimension (a list, an object, null, a text that is too long) is left out.
    """

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._counts: list[IntArray] = []
        self._members: list[IntArray] = []

    def add(self, lines: str) -> None:
        """Add the objects of some lines."""
        text = lines.encode()
        counts, members, spans = members_of(np.frombuffer(text, np.uint8))
        known = self._numbers
        number = [known.setdefault(text[begin:end], len(known)) for begin, end in spans.tolist()]
        self._counts.append(counts)
        self._members.append(np.array(number, np.int64).take(members))

    def column(self) -> ScopeArray:
        """The scopes of all lines that were added."""
        none = np.empty(0, np.int64)
        counts = np.concatenate([none, *self._counts])
        members = np.concatenate([none, *self._members])
        dimension, names, values = self._parsed()
        # the place of each distinct member: its column among those with a value, and its code there
        kept: list[tuple[str, tuple[Scalar, ...]]] = []
        column_of, code_of = np.full(len(values), -1, np.int64), np.full(len(values), MISSING, np.int64)
        for d, name in enumerate(names):
            mine = np.flatnonzero(dimension == d)
            known, codes_of = code_values([values[member] for member in mine.tolist()])
            if known:
                column_of[mine], code_of[mine] = len(kept), codes_of
                kept.append((name, known))
        codes = empty_codes(len(counts), [len(known) for _, known in kept])
        column = column_of.take(members)
        place = np.repeat(np.arange(len(counts)) * len(kept), counts)
        place += column
        code = code_of.take(members)
        if (column_of < 0).any():
            place, code = place[column >= 0], code[column >= 0]
        codes.reshape(-1)[place] = code
        return ScopeArray.of_group([name for name, _ in kept], [known for _, known in kept], codes)

    def _parsed(self) -> tuple[IntArray, list[str], list[Any]]:
        """The dimension of each distinct member, the names of the dimensions, and the members' values."""
        pairs = [next(iter(json.loads(b"{" + member + b"}").items())) for member in self._numbers]
        names, distinct = pd.factorize(np.array([name for name, _ in pairs] + [None], dtype=object)[:-1])
        order = np.argsort(distinct)
        rank = np.empty(len(distinct), np.int64)
        rank[order] = np.arange(len(distinct))
        return rank.take(names), distinct[order].tolist(), [value for _, value in pairs]
