"""How much memory a slice takes on its way into the frame of lessons."""

from __future__ import annotations

from collections.abc import Sequence

from .encode import CodedGroup

# A slice's row in the frame of lessons, and what computing it takes.
FRAME_BYTES = 200
# The evidence for a slice: the sums of the lattice, its codes there, and the columns that come of them.
EVIDENCE_BYTES = 600
# A slice's five sums; they and its codes are held up to three times while arrays grow and are joined.
SUMS_BYTES = 40
COPIES = 3


def slice_bytes(groups: Sequence[CodedGroup]) -> int:
    """The bytes that one slice takes at most."""
    codes = max((group.codes.itemsize * group.codes.shape[1] for group in groups), default=0)
    return COPIES * (codes + SUMS_BYTES) + FRAME_BYTES + EVIDENCE_BYTES
