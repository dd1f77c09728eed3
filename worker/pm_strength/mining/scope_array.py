"""A column of scope subsets held as codes: a dict is made where a row is looked at."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, register_extension_dtype, take

from ..json_values import Scalar
from .arrays import MISSING, CodeArray, IntArray

Scope = dict[str, Scalar]


@register_extension_dtype
class ScopeDtype(ExtensionDtype):
    """The dtype of a column of scopes."""

    name = "scope"
    type: ClassVar[Any] = dict
    kind = "O"
    na_value = None

    @classmethod
    def construct_array_type(cls) -> builtins.type[ScopeArray]:
        """The array of this dtype."""
        return ScopeArray


class ScopeArray(ExtensionArray):
    """Scopes of several groups: for each row its number in `tables`, and its codes.

    A table is the names of a group's dimensions and the values that their codes stand for.
    """

    def __init__(
        self, tables: Sequence[Table], table: IntArray, codes: Sequence[CodeArray], row: IntArray
    ) -> None:
        self._tables = tuple(tables)
        self._table = table
        self._codes = tuple(codes)
        self._row = row

    @classmethod
    def of_group(
        cls, names: Sequence[str], values: Sequence[Sequence[Scalar]], codes: CodeArray
    ) -> ScopeArray:
        """A column for one group's codes, rows x dimensions."""
        rows = np.arange(len(codes), dtype=np.int64)
        return cls([(tuple(names), tuple(values))], np.zeros(len(codes), dtype=np.int64), [codes], rows)

    def only_table(self) -> tuple[Sequence[str], Sequence[Sequence[Scalar]], CodeArray] | None:
        """The names, values and codes of all rows, where they are of one table and each has a scope."""
        if len(self._tables) != 1 or (self._table < 0).any():
            return None
        return (*self._tables[0], self._codes[0].take(self._row, axis=0))

    def tables(self) -> Sequence[Table]:
        """The names of the dimensions and the values of the codes, of each table."""
        return self._tables

    def runs(self) -> Iterator[tuple[int, int, int, CodeArray]]:
        """Rows that follow each other and are of one table: its number, the first row, the one after the
        last, and their codes.
        """
        bounds = [0, *(np.flatnonzero(np.diff(self._table)) + 1).tolist(), len(self._table)]
        for begin, end in pairwise(bounds):
            if begin < end:
                number = int(self._table[begin])
                yield number, begin, end, self._codes[number].take(self._row[begin:end], axis=0)

    def _scope(self, at: int) -> Scope | None:
        number = int(self._table[at])
        if number < 0:
            return None
        names, values = self._tables[number]
        codes = self._codes[number][self._row[at]].tolist()
        return {
            name: known[code]
            for name, known, code in zip(names, values, codes, strict=True)
            if code != MISSING
        }

    # what pandas asks of an array

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> ScopeArray:
        raise TypeError("a column of scopes comes out of mine_lessons; for others use dtype object")

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[ScopeArray]) -> ScopeArray:
        tables: list[Table] = []
        codes: list[CodeArray] = []
        numbers = []
        for array in to_concat:
            numbers.append(np.where(array._table < 0, -1, array._table + len(tables)))
            tables.extend(array._tables)
            codes.extend(array._codes)
        row = np.concatenate([array._row for array in to_concat])
        return cls(tables, np.concatenate(numbers), codes, row)

    @property
    def dtype(self) -> ScopeDtype:
        """The column's dtype."""
        return ScopeDtype()

    @property
    def nbytes(self) -> int:
        """Bytes held, codes included."""
        return self._table.nbytes + self._row.nbytes + sum(codes.nbytes for codes in self._codes)

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, int | np.integer):
            return self._scope(int(item))
        item = pd.api.indexers.check_array_indexer(self, item)
        return ScopeArray(self._tables, self._table[item], self._codes, self._row[item])

    def __eq__(self, other: object) -> Any:
        if isinstance(other, dict):
            return np.array([scope == other for scope in self], dtype=bool)
        if isinstance(other, ScopeArray | list | np.ndarray) and len(other) == len(self):
            return np.array([mine == theirs for mine, theirs in zip(self, other, strict=True)], dtype=bool)
        return NotImplemented

    def isna(self) -> npt.NDArray[np.bool_]:
        """Which rows have no scope at all; none of a mining run."""
        return np.asarray(self._table < 0)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> ScopeArray:
        """The rows at `indices`; -1 is a row without a scope where `allow_fill`."""
        table: Any = take(self._table, indices, allow_fill=allow_fill, fill_value=-1)
        row: Any = take(self._row, indices, allow_fill=allow_fill, fill_value=0)
        return ScopeArray(self._tables, table, self._codes, row)

    def copy(self) -> ScopeArray:
        """Another column on the same codes, which never change."""
        return ScopeArray(self._tables, self._table.copy(), self._codes, self._row.copy())


Table = tuple[tuple[str, ...], tuple[Sequence[Scalar], ...]]
