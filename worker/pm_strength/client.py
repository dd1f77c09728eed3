"""StrengthClient: a book of overrides that loads itself, keeps itself fresh, and fails open."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from .api import Api
from .book import OverrideBook
from .connection import Connection
from .errors import PmStrengthError
from .settings import LearningSettings
from .sizing import Resolution
from .store import Row, Store

log = logging.getLogger(__name__)

# How often a client that has no book yet asks for one.
FIRST_BOOK_SECONDS = 5.0


class StrengthClient:
    """Resolves multipliers from a book in memory, refreshed in the background.

    `key` is a project's secret key (`sb_secret_...`, or the legacy service_role key).
    Nothing here raises into a trading loop: while there is no book, the answer is 1.0 with reason
    `unavailable`, and the project is asked again every few seconds. A book that could not be
    refreshed for `max_age_seconds`, or whose materialization is too old, answers 1.0 with reason
    `stale`.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        refresh_seconds: float = 60.0,
        max_age_seconds: float = 6 * 3600.0,
        connect: Callable[[], Store] | None = None,
    ) -> None:
        self._connect = connect or (lambda: Store(Api(Connection(url, key), tries=2)))
        self._refresh_seconds = refresh_seconds
        self._max_age_seconds = max_age_seconds
        self._refreshed = 0.0
        self._store: Store | None = None
        self._book: OverrideBook | None = None
        self._set_id: int | None = None
        self._settings: Mapping[str, Any] | None = None
        self._lock = threading.Lock()
        self._start_lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> StrengthClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop refreshing and close the connections."""
        self._closed.set()
        with self._start_lock:
            if self._thread is not None:
                self._thread.join()
        with self._lock:
            if self._store is not None:
                self._store.close()

    def resolve(
        self,
        pattern_key: str,
        action_category: str,
        scope: Mapping[str, Any] | None,
        *,
        strategy: str | None = None,
    ) -> Resolution:
        """The multiplier for an action in a scope, as `OverrideBook.resolve` gives it.

        The first call waits for the book.
        """
        self._start()
        book = self._book
        if book is None:
            return Resolution.neutral("unavailable")
        resolution = book.resolve(pattern_key, action_category, scope, strategy=strategy)
        if time.monotonic() > self._refreshed + self._max_age_seconds and resolution.reason != "bad_input":
            # what it says may be long out of date, and nobody can tell
            return replace(resolution, multiplier=1.0, reason="stale")
        return resolution

    def refresh(self) -> bool:
        """Load the overrides if newer ones are published; False if the project is out of reach."""
        try:
            with self._lock:
                self._load()
                self._refreshed = time.monotonic()
        except Exception as error:
            # Whatever it is, the book of before goes on answering until it is stale.
            level = logging.WARNING if isinstance(error, PmStrengthError) else logging.ERROR
            log.log(level, "could not refresh the overrides", extra={"error": str(error)})
            return False
        return True

    def _start(self) -> None:
        if self._thread is not None:
            return
        # held while the first book loads, so that every early caller waits for it
        with self._start_lock:
            if self._thread is None and not self._closed.is_set():
                self.refresh()
                thread = threading.Thread(target=self._keep_fresh, name="pm-strength", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # no more threads: the book ages until it is stale
                    log.error("cannot refresh in the background", extra={"error": str(error)})
                    return
                self._thread = thread

    def _keep_fresh(self) -> None:
        while not self._closed.wait(self._pause()):
            self.refresh()

    def _pause(self) -> float:
        return (
            self._refresh_seconds
            if self._book is not None
            else min(self._refresh_seconds, FIRST_BOOK_SECONDS)
        )

    def _load(self) -> None:
        if self._store is None:
            self._store = self._connect()
        version = self._store.override_page(page_size=0)
        if version["set_id"] == self._set_id and version["settings"] == self._settings:
            return
        rows, version = _read_set(self._store, version)
        as_of = version["as_of"]
        self._book = OverrideBook(
            rows,
            LearningSettings.from_mapping(version["settings"]),
            run_id=version["run_id"],
            as_of=None if as_of is None else datetime.fromisoformat(as_of).astimezone(UTC),
        )
        self._set_id, self._settings = version["set_id"], version["settings"]


def _read_set(store: Store, version: Row) -> tuple[list[Row], Row]:
    """All rows of one set: if it is replaced twice while it is read, the newest from the start."""
    while True:
        rows: list[Row] = []
        page = store.override_page(version["set_id"])
        while not page["gone"] and page["overrides"]:
            rows.extend(page["overrides"])
            page = store.override_page(version["set_id"], rows[-1]["id"])
        if not page["gone"]:
            return rows, version
        version = store.override_page(page_size=0)
