"""All events of a module: those that were kept of earlier runs, and the others by two calls at a time."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import TooMuchError
from ..json_values import Row
from ..project.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from ..project.event_columns import EventColumns

log = logging.getLogger(__name__)

# Called with what is being done and the share that is done, 0 to 1. If it raises, reading ends.
Progress = Callable[[str, float], None]

# The largest id that there can be.
ALL_IDS = 2**63 - 1
# With fewer events a second call gains nothing.
SPLIT_IDS = 100_000
POLL_SECONDS = 0.1
# With a smaller share of new events the cache is not written again.
SMALL_SHARE = 0.01


def silent(what: str, share: float) -> None:
    """Progress that is not shown."""


class Cache(Protocol):
    """Where arrays are kept by name; it may lose them."""

    def load(self, name: str) -> dict[str, Any] | None:
        """What was kept under a name, or None."""
        ...

    def save(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Keep arrays under a name."""
        ...


def read_all_events(
    store: Store,
    module: str,
    progress: Progress = silent,
    horizon: int | None = None,
    epoch: int | None = None,
    cache: Cache | None = None,
) -> pd.DataFrame:
    """All events of a module up to an id (all, without one), as `EventColumns.frame` gives them.

    With an `epoch`, that of the events before they are read, and a cache only those are read that it lacks.
    """
    from ..project.event_columns import event_columns, joined

    if horizon is None:
        return event_columns(_pages(store, module, progress, None)).frame()
    kept = None if cache is None or epoch is None else _kept(store, module, horizon, epoch, cache)
    last_id, columns = kept if kept is not None else (0, None)
    split = horizon - last_id >= SPLIT_IDS
    read = event_columns((_halves if split else _pages)(store, module, progress, horizon, last_id))
    columns = read if columns is None else joined(columns, read)
    if cache is not None and epoch is not None and len(read) > len(columns) * SMALL_SHARE:
        progress("keeping events", 1.0)
        tail = store.check_events(module, horizon, count=False)["tail"]
        about = {"last_id": horizon, "epoch": epoch, "tail": tail, "events": len(columns)}
        cache.save(module, columns.arrays() | {"about": np_text(json.dumps(about))})
    return columns.frame()


def _kept(
    store: Store, module: str, horizon: int, epoch: int, cache: Cache
) -> tuple[int, EventColumns] | None:
    """What the cache has of the events, and up to which id; None if it is not what the database has."""
    from ..project.event_columns import from_arrays

    arrays = cache.load(module)
    if arrays is None:
        return None
    try:
        about = json.loads(arrays["about"].tobytes())
        columns = from_arrays(arrays)
        last_id, events = int(about["last_id"]), int(about["events"])
        if about["epoch"] != epoch or last_id > horizon or len(columns) != events:
            return None
        now = store.check_events(module, last_id)
    except (KeyError, ValueError, TypeError, TooMuchError) as error:
        log.warning("the cache is not used", extra={"error": f"{type(error).__name__}: {error}"})
        return None
    if (now["epoch"], now["events"], now["tail"]) != (epoch, events, about["tail"]):
        log.info("the events changed, and are all read again", extra={"learned_for": module})
        return None
    return last_id, columns


def np_text(text: str) -> Any:
    """A text as an array of bytes."""
    import numpy as np

    return np.frombuffer(text.encode(), np.uint8)


def _pages(
    store: Store, module: str, progress: Progress, horizon: int | None, after: int = 0
) -> Iterator[Row]:
    for page in store.read_events(module, after, ALL_IDS if horizon is None else horizon):
        progress("reading events", page["last_id"] / horizon if horizon else 0.0)
        yield page


def _halves(store: Store, module: str, progress: Progress, horizon: int, after: int = 0) -> Iterator[Row]:
    """The pages of both halves of the ids: a thread reads the second while this one takes the first."""
    middle, stop = after + (horizon - after) // 2, threading.Event()
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
            for page in store.read_events(module, after, middle):
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
