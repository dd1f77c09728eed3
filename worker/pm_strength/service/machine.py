"""What this machine has for mining: cores and free memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cores() -> int:
    """The cores of this machine."""
    return os.cpu_count() or 1


def free_bytes() -> int:
    """The bytes of memory that are free without swapping: the machine's, or the container's if less."""
    try:
        meminfo = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(meminfo["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # not Linux: `max_lessons` alone is the limit
        return sys.maxsize
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # not a container, or one without a limit
        return free
    return max(min(free, limit - used), 0)
