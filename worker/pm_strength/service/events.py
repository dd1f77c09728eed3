"""All events of a module, read by two calls at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
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


def read_all_events(
    store: Store, module: str, progress: Progress = lambda what, share: None, horizon: int | None = None
) -> pd.DataFrame:
    """All events of a module up to an id (all, without one), as `event_page.event_frame` gives them."""
    from ..project.event_page import event_frame

    if horizon is None or horizon < SPLIT_IDS:
        pages = []
        for page in store.read_events(module, 0, ALL_IDS if horizon is None else horizon):
            pages.append(page)
            progress("reading events", page["last_id"] / horizon if horizon else 0.0)
        return event_frame(pages)
    return event_frame(_halves(store, module, progress, horizon))


def _halves(store: Store, module: str, progress: Progress, horizon: int) -> list[Row]:
    """The pages of both halves of the ids: the second is read by a thread beside this one."""
    middle, stop = horizon // 2, threading.Event()
    first: list[Row] = []
    second: list[Row] = []

    def read_second() -> None:
        for page in store.read_events(module, middle, horizon):
            second.append(page)
            if stop.is_set():
                return

    def tell() -> None:
        done = first[-1]["last_id"] if first else 0
        done += second[-1]["last_id"] - middle if second else 0
        progress("reading events", done / horizon)

    with ThreadPoolExecutor(1) as pool:
        reading: Future[None] = pool.submit(read_second)
        try:
            for page in store.read_events(module, 0, middle):
                first.append(page)
                tell()
            while not reading.done():
                tell()
                try:
                    reading.result(POLL_SECONDS)
                except NotYet:
                    continue
        finally:
            stop.set()
    reading.result()
    return first + second
