"""How the hot loops are compiled: by Numba, the code kept for the next process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, and keep the code where there is a place for it."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # a read-only file system: every process compiles anew
        return njit(nogil=True)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function into each of its callers."""
    return njit(inline="always", nogil=True)(function)
