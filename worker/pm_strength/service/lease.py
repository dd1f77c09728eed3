"""A message's lease: the queue's visibility timeout, extended while the work on it goes on."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Self

from ..errors import StoreError
from ..project.store import Store

log = logging.getLogger(__name__)


class Lease:
    """Keeps messages of a queue invisible to other workers while a `with` block runs.

    The visibility timeout is the only lock: a worker that dies stops extending it, and the
    messages come back for another. A beat that fails is logged and not fatal: there are two more
    before the lease runs out.
    """

    def __init__(self, store: Store, queue: str, msg_ids: list[int], visibility_seconds: int) -> None:
        self._store = store
        self._queue = queue
        self._msg_ids = msg_ids
        self._visibility_seconds = visibility_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._done.wait(self._visibility_seconds / 3):
            try:
                self._store.extend(self._queue, self._msg_ids, self._visibility_seconds)
            except StoreError as error:
                log.warning("could not extend a lease", extra={"queue": self._queue, "error": str(error)})
