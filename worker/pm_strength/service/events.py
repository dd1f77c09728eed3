"""All events of a module, read by two calls at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from ..json_values import Row
from ..project.store import Store

if TYPE_CHECKING:
    import pandas as pd

# Called with what is being done and the share that is done, 0 to 1. If it raises, reading ends.
Progress = Callable[[str, float], None]

# The largest id that there can be.
ALL_IDS = 2**63 - 1
# With fewer events a second call gains nothing.
SPLIT_IDS = 100_000
POLL_SECONDS = 0.1


def silent(what: str, share: float) -> None:
    """Progress that is not shown."""


def read_all_events(
    store: Store, module: str, progress: Progress = silent, horizon: int | None = None
) -> pd.DataFrame:
    """All events of a module up to an id (all, without one), as `event_page.event_frame` gives them."""
    from ..project.event_page import event_frame

    if horizon is None or horizon < SPLIT_IDS:
        return event_frame(_pages(store, module, progress, horizon))
    return event_frame(_halves(store, module, progress, horizon))


def _pages(store: Store, module: str, progress: Progress, horizon: int | None) -> Iterator[Row]:
    for page in store.read_events(module, 0, ALL_IDS if horizon is None else horizon):
        progress("reading events", page["last_id"] / horizon if horizon else 0.0)
        yield page


def _halves(store: Store, module: str, progress: Progress, horizon: int) -> Iterator[Row]:
    """The pages of both halves of the ids: a thread reads the second while this one takes the first."""
    middle, stop = horizon // 2, threading.Event()
    second: deque[Row] = deque()
    read = 0

    def read_second() -> None:
        nonlocal read
        for page in store.read_events(module, middle, horizon):
            second.append(page)
            read = page["last_id"] - middle
            if stop.is_set():
                return

    with ThreadPoolExecutor(1) as pool:
        reading: Future[None] = pool.submit(read_second)
        try:
            for page in store.read_events(module, 0, middle):
                progress("reading events", (page["last_id"] + read) / horizon)
                yield page
            while True:
                # asked first: what the thread has read before it was done is then there
                done = reading.done()
                progress("reading events", (middle + read) / horizon)
                if second:
                    yield second.popleft()
                elif done:
                    break
                else:
                    wait([reading], POLL_SECONDS)
        finally:
            stop.set()
    reading.result()
