"""Which overrides hold in a scope: one bit for each override of a group, one AND for each dimension.

An override holds if, for each of its dimensions, the scope has its value. So for every dimension
there is a bit set of the overrides that say nothing of it, and one for each value of those that want
that value; the overrides that hold are the AND, over all dimensions, of "says nothing" or "wants
what the scope has". Python's integers are the bit sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..scopes import TypedValue

# A value that fewer overrides want than this, and than this share of them, is kept as a list: a bit
# set for each of ten thousand values would take more memory than the overrides.
FEW = 16
FEW_SHARE = 1 / 512

_WORD = 8


@dataclass(frozen=True, slots=True)
class _Dimension:
    silent: int
    wanted: dict[TypedValue, int]
    few: dict[TypedValue, list[int]]


class OverrideIndex:
    """The overrides of one group by the values of their dimensions; their places count from 0."""

    def __init__(self, scopes: Sequence[Mapping[str, TypedValue]]) -> None:
        self._bytes = -(-len(scopes) // (8 * _WORD)) * _WORD
        self._all = (1 << len(scopes)) - 1
        places: dict[str, dict[TypedValue, list[int]]] = {}
        for place, scope in enumerate(scopes):
            for name, value in scope.items():
                places.setdefault(name, {}).setdefault(value, []).append(place)
        least = max(FEW, len(scopes) * FEW_SHARE)
        self._dimensions = [(name, self._dimension(values, least)) for name, values in places.items()]

    def matching(self, scope: Mapping[str, TypedValue]) -> list[int]:
        """The places of the overrides that hold in a scope, ascending."""
        found = self._all
        for name, dimension in self._dimensions:
            value = scope.get(name)
            allowed = dimension.wanted.get(value) if value is not None else None
            if allowed is None:
                few = dimension.few.get(value) if value is not None else None
                allowed = dimension.silent if few is None else dimension.silent | self._bits(few)
            found &= allowed
            if not found:
                return []
        places: list[int] = []
        add = places.append
        for number, word in enumerate(memoryview(found.to_bytes(self._bytes, "little")).cast("Q")):
            base = 64 * number - 1
            while word:
                lowest = word & -word
                add(base + lowest.bit_length())
                word ^= lowest
        return places

    def _dimension(self, values: Mapping[TypedValue, list[int]], least: float) -> _Dimension:
        bits = {value: self._bits(places) for value, places in values.items() if len(places) >= least}
        few = {value: places for value, places in values.items() if len(places) < least}
        speaking = self._bits(place for places in values.values() for place in places)
        silent = self._all & ~speaking
        return _Dimension(silent, {value: silent | wanted for value, wanted in bits.items()}, few)

    def _bits(self, places: Iterable[int]) -> int:
        held = bytearray(self._bytes)
        for place in places:
            held[place >> 3] |= 1 << (place & 7)
        return int.from_bytes(held, "little")
