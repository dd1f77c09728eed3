"""A number by which the slice of some codes is found: a sum, so that leaving a dimension out subtracts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def code_keys(cards: Sequence[int]) -> npt.NDArray[np.uint64]:
    """A fixed random number of 64 bits for each code of each dimension: dimensions x the largest number."""
    rng = np.random.Generator(np.random.PCG64(20_240_229))
    keys: npt.NDArray[np.uint64] = rng.integers(
        1, 2**64, size=(len(cards), max(cards, default=0) + 1), dtype=np.uint64, endpoint=False
    )
    return keys


def key_of(codes: npt.NDArray[Any], keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The key of each row of codes, where -1 is no code; that of the empty subset is 0."""
    total = np.zeros(len(codes), np.uint64)
    for d in range(codes.shape[1]):
        column = codes[:, d].astype(np.int64)
        total += np.where(column >= 0, keys[d][np.maximum(column, 0)], np.uint64(0))
    return total
