"""A number by which the slice of some codes is found: a sum, so that leaving a dimension out subtracts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import FloatArray, IntArray
from ..cube.compiled import compiled

KeyArray = npt.NDArray[np.uint64]


def code_keys(cards: Sequence[int]) -> KeyArray:
    """A fixed random number of 64 bits for each code of each dimension: dimensions x the largest number."""
    rng = np.random.Generator(np.random.PCG64(20_240_229))
    keys: KeyArray = rng.integers(
        1, 2**64, size=(len(cards), max(cards, default=0) + 1), dtype=np.uint64, endpoint=False
    )
    return keys


def places(codes: npt.NDArray[Any], others: npt.NDArray[Any]) -> IntArray:
    """Where in `others` the same codes stand, for each row of `codes`; -1 is no code."""
    width = codes.shape[1]
    keys = code_keys([int(others[:, d].max(initial=-1)) + 1 for d in range(width)])
    found: IntArray = _places(_keys_of(codes, keys), _keys_of(others, keys))
    return found


def same_trades(codes: npt.NDArray[Any], n: FloatArray) -> Any:
    """Which slices have the same trades as one with a dimension fewer, and so say nothing new."""
    keys = code_keys([int(column.max(initial=-1)) + 1 for column in codes.T])
    return _same_trades(codes, n, _keys_of(codes, keys), keys)


@compiled
def _keys_of(codes: Any, keys: Any) -> Any:
    count, width = codes.shape
    key = np.zeros(count, np.uint64)
    for s in range(count):
        for d in range(width):
            if codes[s, d] >= 0:
                key[s] += keys[d, codes[s, d]]
    return key


@compiled
def _table(key: Any) -> Any:
    """Where each key stands, in a table of at least twice as many places."""
    size = 16
    while size < 2 * len(key):
        size *= 2
    slot = np.full(size, -1, np.int64)
    for s in range(len(key)):
        at = np.int64(key[s] >> np.uint64(20)) & (size - 1)
        while slot[at] >= 0:
            at = (at + 1) & (size - 1)
        slot[at] = s
    return slot


@compiled
def _look_up(slot: Any, key: Any, wanted: Any) -> int:
    mask = len(slot) - 1
    at = np.int64(wanted >> np.uint64(20)) & mask
    while slot[at] >= 0:
        if key[slot[at]] == wanted:
            return int(slot[at])
        at = (at + 1) & mask
    return -1


@compiled
def _places(wanted: Any, key: Any) -> Any:
    slot = _table(key)
    place = np.empty(len(wanted), np.int64)
    for s in range(len(wanted)):
        place[s] = _look_up(slot, key, wanted[s])
    return place


@compiled
def _same_trades(codes: Any, n: Any, key: Any, keys: Any) -> Any:
    count, width = codes.shape
    slot = _table(key)
    same = np.zeros(count, np.bool_)
    for s in range(count):
        for d in range(width):
            if codes[s, d] >= 0:
                at = _look_up(slot, key, key[s] - keys[d, codes[s, d]])
                if at >= 0 and n[at] == n[s]:
                    same[s] = True
    return same
