"""Writes scopes held as codes as a line of JSON each. Compiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import MISSING, CodeArray
from .cube.compiled import compiled

_OPEN, _CLOSE, _COMMA, _LINE = ord("{"), ord("}"), ord(","), ord("\n")


def scope_lines(codes: CodeArray, members: Sequence[Sequence[bytes]]) -> bytes:
    """The objects of some rows x dimensions of codes, with a line break between two.

    `members[d][code]` is the member that a code stands for, as `"timeframe": "4h"`.
    """
    flat = [member for of_dimension in members for member in of_dimension]
    starts = np.cumsum([0, *map(len, flat)], dtype=np.int64)
    bases = np.cumsum([0, *map(len, members)], dtype=np.int64)
    pool = np.frombuffer(b"".join(flat) or b" ", np.uint8)
    written = _written(codes.astype(np.int64), bases, starts, pool)
    return bytes(memoryview(written)[:-1]) if len(codes) else b""


@compiled
def _written(codes: Any, bases: Any, starts: Any, pool: Any) -> Any:
    rows, dimensions = codes.shape
    size = 3 * rows
    for row in range(rows):
        for d in range(dimensions):
            code = codes[row, d]
            if code != MISSING:
                member = bases[d] + code
                size += starts[member + 1] - starts[member] + 1
    text = np.empty(size, np.uint8)
    at = 0
    for row in range(rows):
        text[at] = _OPEN
        at += 1
        first = True
        for d in range(dimensions):
            code = codes[row, d]
            if code == MISSING:
                continue
            if not first:
                text[at] = _COMMA
                at += 1
            first = False
            member = bases[d] + code
            for place in range(starts[member], starts[member + 1]):
                text[at] = pool[place]
                at += 1
        text[at] = _CLOSE
        text[at + 1] = _LINE
        at += 2
    return text[:at]
