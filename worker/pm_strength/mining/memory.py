"""How many slices the machine has room for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from .encode import CodedGroup

# A slice's row in the frame of lessons, and what computing it takes.
FRAME_BYTES = 200
# A slice's five sums; they and its codes are held up to three times while arrays grow and are joined.
SUMS_BYTES = 40
COPIES = 3


def available_bytes() -> int:
    """What can be taken without swapping: of the machine, or of the container where it has less."""
    try:
        meminfo = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(meminfo["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # no Linux: trust in `max_lessons`
        return sys.maxsize
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no container, or none with a limit
        return free
    return max(min(free, limit - used), 0)


def slice_bytes(groups: Sequence[CodedGroup]) -> int:
    """The most that one slice takes on its way into the frame."""
    codes = max((group.codes.itemsize * group.codes.shape[1] for group in groups), default=0)
    return COPIES * (codes + SUMS_BYTES) + FRAME_BYTES
