"""BookLoader: the published overrides as a book, whose age is reckoned by the database's clock."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import ReplacedSetError, TransientStoreError
from ..json_values import Row
from ..project.store import Store
from ..runtime.book import OverrideBook
from ..settings import DEFAULT_MODULE, LearningSettings

log = logging.getLogger(__name__)

# A set is replaced once an hour: one that is replaced each time it is read is a fault.
SET_TRIES = 5
# Overrides of one page: some 400 KB. Reading it holds up the bot's threads for a hundredth of a second.
PAGE = 1000
# No project has so many: a book of them takes some 2 GB.
MAX_ROWS = 2_000_000
LOAD_SECONDS = 600.0

_LIKE_A_TIME = re.compile(r"-?infinity|[-+:.T 0-9]{1,60}(BC)?")
# The ends of Python's time stand for what is beyond them.
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class DatabaseClock:
    """The database's time: what it last said, and what this machine's steady clock counted since.

    So a bot whose own clock is wrong is not always stale, and not never. Where the database does not
    say its time, this machine's counts.
    """

    def __init__(self) -> None:
        self._said: tuple[datetime, float] | None = None

    def set(self, text: object, at: float) -> None:
        """Take the time of an answer to a request that was sent `at`, by `time.monotonic`."""
        moment = _moment(text)
        # far enough from the last year that adding to it cannot overflow
        self._said = (moment, at) if moment is not None and 1970 <= moment.year < 9000 else None

    def now(self) -> datetime:
        """The time by the database's clock."""
        said = self._said
        if said is None:
            return datetime.now(UTC)
        moment, at = said
        return moment + timedelta(seconds=time.monotonic() - at)


@dataclass(frozen=True, slots=True)
class LoadedBook:
    """A book, the version of the overrides that it holds, and when that was last seen to be the newest.

    `refreshed` is a time by `time.monotonic`. `shadow` is the book that is resolved beside the first.
    """

    book: OverrideBook
    shadow: OverrideBook | None
    version: tuple[Any, ...]
    clock: DatabaseClock
    refreshed: float


class BookLoader:
    """Loads the books of a module from the project that `connect` opens."""

    def __init__(self, connect: Callable[[], Store], module: str = DEFAULT_MODULE) -> None:
        self._store = connect()
        self._module = module
        self._is_checked = False

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def load(self, before: LoadedBook | None, closed: Callable[[], bool] = lambda: False) -> LoadedBook:
        """The book of now: the one before if nothing newer is published.

        Ends with a `TransientStoreError` after `LOAD_SECONDS`, and after a page once it is `closed`.
        """
        clock = before.clock if before is not None else DatabaseClock()
        sent = time.monotonic()
        newest = self._store.override_page(page_size=0, module=self._module)
        clock.set(newest.get("now"), sent)
        if newest["run_id"] is None and not self._is_checked:
            self._check_module()
        if before is not None and before.version == _version(newest):
            return replace(before, refreshed=time.monotonic())
        until = sent + LOAD_SECONDS
        for _ in range(SET_TRIES):
            try:
                book = self._book(newest, until, closed, clock)
                shadow = self._shadow(newest, until, closed, clock)
            except ReplacedSetError:
                newest = self._store.override_page(page_size=0, module=self._module)
            else:
                return LoadedBook(book, shadow, _version(newest), clock, time.monotonic())
        raise TransientStoreError(f"The overrides were replaced {SET_TRIES} times while they were read.")

    def _book(
        self, page: Row, until: float, closed: Callable[[], bool], clock: DatabaseClock
    ) -> OverrideBook:
        return OverrideBook(
            self._rows(page["set_id"], until, closed),
            LearningSettings.from_mapping(page["settings"]),
            profile=page.get("profile"),
            exposure_scale=page.get("exposure_scale", 1.0),
            run_id=page["run_id"],
            as_of=materialized_at(page["as_of"]),
            clock=clock.now,
        )

    def _shadow(
        self, newest: Row, until: float, closed: Callable[[], bool], clock: DatabaseClock
    ) -> OverrideBook | None:
        set_id = newest.get("shadow_set_id")
        if set_id is None:
            return None
        page = self._store.override_page(set_id, 0, 0, self._module)
        if page["gone"]:
            raise ReplacedSetError("The shadow's overrides were replaced while they were read.")
        return self._book(page | {"settings": newest["settings"]}, until, closed, clock)

    def _check_module(self) -> None:
        """Warn once if the project does not learn for the module: a typo would silently cost every edge."""
        known = self._store.modules()
        self._is_checked = True
        if self._module not in known:
            log.warning(
                "The project learns for %s, not for %s: all multipliers are 1.0.",
                ", ".join(known),
                self._module,
            )

    def _rows(self, set_id: int, until: float, closed: Callable[[], bool]) -> Iterator[Row]:
        """The rows of a set, page by page. They come to an end whatever a server answers."""
        after, count, size = 0, 0, PAGE
        while True:
            if closed():
                raise TransientStoreError("The overrides: closed while they were read.")
            if time.monotonic() > until:
                raise TransientStoreError(f"The overrides were not read within {LOAD_SECONDS:.0f} s.")
            page = self._store.override_page(set_id, after, size, self._module)
            if page["gone"]:
                raise ReplacedSetError("The overrides were replaced while they were read.")
            rows = page["overrides"]
            if not rows:
                return
            for row in rows:
                number = row["id"]
                if type(number) is not int or number <= after:
                    raise TransientStoreError(
                        "The overrides: expected ids that rise from page to page, got others."
                    )
                after = number
            count += len(rows)
            if count > MAX_ROWS:
                raise TransientStoreError(f"The overrides: expected at most {MAX_ROWS:,}, got more.")
            yield from rows
            # fewer came because rows are long: ask for more step by step
            size = min(PAGE, 2 * len(rows))


def materialized_at(text: object) -> datetime | None:
    """When overrides were materialized, from the database's text; None where there is none.

    Postgres has times that Python lacks. One before the year 1 and `-infinity` become the first moment
    of Python (stale); one after the year 9999 and `infinity` become the last (never stale, as in SQL).
    Anything else is not a time, and becomes the first moment too.
    """
    if text is None:
        return None
    moment = _moment(text)
    if moment is not None:
        return moment
    # only what looks like a time is logged: a server could repeat the key
    shown = text if isinstance(text, str) and _LIKE_A_TIME.fullmatch(text) else "not a time"
    log.warning("as_of: expected a time that Python knows", extra={"as_of": shown})
    late = isinstance(text, str) and re.match(r"infinity$|9999-12-31|[0-9]{5,}-(?!.*BC$)", text)
    return _LAST if late else _FIRST


def _version(page: Row) -> tuple[Any, ...]:
    return page["set_id"], page["run_id"], page["as_of"], page["settings"], page.get("shadow_set_id")


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)  # type: ignore[arg-type]
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (OverflowError, TypeError, ValueError):
        return None
