"""The 64 bits by which the database finds the override of a lesson, but for those of its set.

`pm_strength.lead` in SQL defines them: those of the group and of the two smallest terms of the scope, joined
by xor. What a group's bits and a member's term are, the database says (`pm_strength_scope_bits`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .arrays import MISSING, CodeArray, IntArray

_LAST = np.iinfo(np.int64).max
# By so many bits the second term is rotated.
_TURN = 23


def leads_of(
    codes: CodeArray, terms: Sequence[IntArray], group_bits: IntArray | int
) -> tuple[IntArray, IntArray]:
    """The leads of scopes, and how many dimensions each has.

    `codes` is rows x dimensions; `terms[d][code]` is the term of a value; `group_bits` those of each row.
    """
    held = codes != MISSING
    dimensions: IntArray = held.sum(axis=1)
    # two columns more, so that there are always two to take
    found = np.full((len(codes), len(terms) + 2), _LAST)
    for d, of_values in enumerate(terms):
        found[held[:, d], d] = of_values.take(codes[held[:, d], d])
    found.sort(axis=1)
    first = np.where(dimensions > 0, found[:, 0], 0)
    second = np.where(dimensions > 1, _turned(found[:, 1]), 0)
    return group_bits ^ first ^ second, dimensions


def _turned(terms: IntArray) -> IntArray:
    bits = np.ascontiguousarray(terms).view(np.uint64)
    turned: IntArray = ((bits << np.uint64(_TURN)) | (bits >> np.uint64(64 - _TURN))).view(np.int64)
    return turned
