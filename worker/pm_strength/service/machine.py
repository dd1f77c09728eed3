"""Mining and evaluating with what this machine has: all its cores, and its free memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..settings import LearningSettings

if TYPE_CHECKING:
    import pandas as pd

    from ..evaluation.candidates import Candidate
    from ..evaluation.evaluate import Evaluation


def mine_lessons(
    events: pd.DataFrame,
    settings: LearningSettings | None = None,
    *,
    progress: Callable[[float], None] = lambda share: None,
    threads: int | None = None,
    memory_bytes: int | None = None,
    published: Iterable[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """All lessons of the events, as `mining.mine_lessons` defines them.

    `threads` share the work: as many as the machine has cores, unless it is given. `memory_bytes` is what
    the result may take on its way: what the machine has free, unless it is given.
    """
    # pandas and the compiler take a second to import, and most commands do not mine
    from .. import mining

    return mining.mine_lessons(
        events,
        settings,
        progress=progress,
        threads=threads if threads is not None else cores(),
        memory=(lambda: memory_bytes) if memory_bytes is not None else free_bytes,
        published=published,
    )


def evaluate(
    events: pd.DataFrame,
    candidates: Sequence[Candidate] | None = None,
    *,
    steps: int = 6,
    embargo_hours: float = 0.0,
    window_days: float | None = None,
    seed: int = 0,
    progress: Callable[[str, float], None] = lambda what, share: None,
    threads: int | None = None,
) -> Evaluation:
    """Whether learned sizes would have paid, as `evaluation.evaluate.evaluate` defines it.

    `threads` share the mining: as many as the machine has cores, unless it is given.
    """
    from ..evaluation.evaluate import evaluate as evaluate_events

    return evaluate_events(
        events,
        candidates,
        steps=steps,
        embargo_hours=embargo_hours,
        window_days=window_days,
        seed=seed,
        progress=progress,
        threads=threads if threads is not None else cores(),
    )


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
