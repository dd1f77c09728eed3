"""Refresher: a value that one thread loads again and again, for threads that must not wait for it."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from ..errors import PmStrengthError

log = logging.getLogger(__name__)

# How often a refresher without a value, or without a thread, tries again.
FIRST_SECONDS = 5.0

T = TypeVar("T")


class Source(Protocol[T]):
    """Where a value comes from; made, used and closed by the refresher's thread alone."""

    def load(self, before: T | None, closed: Callable[[], bool]) -> T:
        """The value of now; `before` is the one that was loaded last. May raise anything.

        A long load looks now and then whether it is `closed`, and raises then.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Refresher(Generic[T]):
    """Keeps a value of a source fresh in a thread, which starts when the value is first asked for.

    No method waits longer than `deadline_seconds`: a load that takes longer goes on in the background.
    After a fork the child keeps the value, and starts a thread and opens a source of its own when it
    first asks. `redact` is applied to the messages of a source's errors before they are logged.
    """

    def __init__(
        self,
        open_source: Callable[[], Source[T]],
        refresh_seconds: float,
        deadline_seconds: float,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._open_source = open_source
        self._redact = redact
        self._refresh_seconds = refresh_seconds
        self._deadline_seconds = deadline_seconds
        self._value: T | None = None
        self._closed = False
        self._start_anew()
        _refreshers.add(self)

    def _start_anew(self) -> None:
        # Held for moments only, and never during a load; it guards what is below.
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._start_after = 0.0
        self._first_until: float | None = None
        # Numbers of loads, from 1: the last that was asked for, begun, ended, and that succeeded.
        self._asked = self._begun = self._ended = self._succeeded = 0

    def value(self) -> T | None:
        """The value that was loaded last; None if there is none.

        While there is none, callers wait for the first load, all of them together no longer than the
        deadline.
        """
        if self._thread is None:
            self._start()
        value = self._value
        if value is None and self._first_until is not None:
            self._wait_for_the_first(self._first_until)
            value = self._value
        return value

    def refresh(self) -> bool:
        """Load now; False if that did not succeed within the deadline."""
        with self._changed:
            if self._thread is None and not self._start():
                return False
            # a load that has begun may have read the old value
            wanted = self._begun + 1
            self._asked = max(self._asked, wanted)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended >= wanted or self._closed, self._deadline_seconds)
            return self._succeeded >= wanted

    def stop(self) -> None:
        """End the thread, after the load that it is at."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and wait for the end of the thread, no longer than the deadline."""
        self.stop()
        thread = self._thread
        if thread is not None:
            thread.join(self._deadline_seconds)

    def _start(self) -> bool:
        with self._changed:
            if self._thread is not None:
                return True
            now = time.monotonic()
            if self._closed or now < self._start_after:
                return False
            thread = threading.Thread(target=self._run, name="pm-strength", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads: the value ages until it is stale
                log.error("cannot refresh in the background", extra={"error": str(error)})
                self._start_after = now + FIRST_SECONDS
                return False
            self._first_until = now + self._deadline_seconds
            self._thread = thread
            return True

    def _wait_for_the_first(self, until: float) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._first_until is None or self._ended > 0 or self._closed,
                max(0.0, until - time.monotonic()),
            )
            # nobody waits from now on
            self._first_until = None
            self._changed.notify_all()

    def _run(self) -> None:
        source: Source[T] | None = None
        while self._begin():
            succeeded = False
            try:
                if source is None:
                    source = self._open_source()
                self._value = source.load(self._value, lambda: self._closed)
                succeeded = True
            except Exception as error:
                # Whatever went wrong, the old value goes on answering until it is stale.
                level = logging.WARNING if isinstance(error, PmStrengthError) else logging.ERROR
                if not self._closed:
                    said = self._redact(str(error))
                    log.log(level, "could not refresh the overrides", extra={"error": said})
            with self._changed:
                self._ended = self._begun
                if succeeded:
                    self._succeeded = self._begun
                self._changed.notify_all()
        if source is not None:
            source.close()

    def _begin(self) -> bool:
        """Wait until a load is due; False if there will be none."""
        with self._changed:
            if self._begun:
                self._changed.wait_for(lambda: self._closed or self._asked > self._begun, self._pause())
            self._begun += 1
            return not self._closed

    def _pause(self) -> float:
        first = self._value is None
        return min(self._refresh_seconds, FIRST_SECONDS) if first else self._refresh_seconds


_refreshers: weakref.WeakSet[Refresher[Any]] = weakref.WeakSet()


def _after_fork() -> None:
    # The child has no refreshing thread, and a lock that another thread held would never be released.
    for refresher in _refreshers:
        refresher._start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
