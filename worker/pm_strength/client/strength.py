"""StrengthClient: a book of overrides that loads itself, keeps itself fresh, and fails open."""

from __future__ import annotations

import logging
import math
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ..errors import SettingsError
from ..json_values import finite, is_storable
from ..project.api import Api, import_client
from ..project.connection import Connection
from ..project.store import Store
from ..runtime.canary import in_canary
from ..runtime.resolution import Resolution
from ..settings import DEFAULT_MODULE, MAX_MODULE_CHARACTERS
from .book_loader import BookLoader, LoadedBook
from .refresher import Refresher

log = logging.getLogger(__name__)

# A request in the background is given up after so long, and the next begins.
TRY_SECONDS = 20.0
# Reading JSON holds up all threads of the bot: of this length, a tenth of a second at worst. A page
# (`book_loader.PAGE`) has less than half of it.
MAX_ANSWER_BYTES = 2**20


class StrengthClient:
    """Resolves multipliers from a book in memory, refreshed in the background.

    `key` is a project's secret key (`sb_secret_...`, or the legacy service_role key), `module` whose
    overrides are asked for. The constructor raises `ConnectionSettingsError` for an address or a key
    that cannot be one, and `SettingsError` for a module or a number of seconds that is not one; nothing
    else here raises into a trading loop.

    No call waits longer than `deadline_seconds`, whatever the network does. While there is no book, the
    answer is 1.0 with reason `unavailable`, and loading goes on in the background: only the calls
    before the first book wait, all of them together no longer than the deadline. A book that could not
    be refreshed for `max_age_seconds`, or whose materialization is too old, answers 1.0 with reason
    `stale`. After a fork, the child goes on with its book and refreshes it over connections of its own.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        refresh_seconds: float = 60.0,
        max_age_seconds: float = 6 * 3600.0,
        deadline_seconds: float = 2.0,
        module: str = DEFAULT_MODULE,
        connect: Callable[[], Store] | None = None,
    ) -> None:
        redact: Callable[[str], str] = str
        if connect is None:
            connection = Connection(url, key)
            connect, redact = partial(_connect, connection), connection.redact
            import_client()
        self._max_age_seconds = _seconds("max_age_seconds", max_age_seconds)
        self._refresher: Refresher[LoadedBook] = Refresher(
            partial(BookLoader, connect, _checked_module(module)),
            _seconds("refresh_seconds", refresh_seconds),
            _seconds("deadline_seconds", deadline_seconds),
            redact,
        )
        # a client that is garbage needs no thread any more
        weakref.finalize(self, self._refresher.stop).atexit = False

    def __enter__(self) -> StrengthClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop refreshing and close the connections: in the background where that takes too long."""
        self._refresher.close()

    def resolve(
        self,
        pattern_key: str,
        action_category: str,
        scope: Mapping[str, Any] | None,
        *,
        strategy: str | None = None,
        trade_id: object = None,
    ) -> Resolution:
        """The multiplier for an action in a scope, as `OverrideBook.resolve` gives it.

        The first call waits for the book, no longer than `deadline_seconds`. Where a profile is in the
        shadow (`shadow_profile`), the answer has what it would have said `beside` it, and both are logged;
        a trade of the canary, by its `trade_id`, is sized by the shadow.
        """
        loaded = self._refresher.value()
        if loaded is None:
            return Resolution.neutral("unavailable")
        resolution = loaded.book.resolve(pattern_key, action_category, scope, strategy=strategy)
        if loaded.shadow is not None:
            other = loaded.shadow.resolve(pattern_key, action_category, scope, strategy=strategy)
            resolution = _with_shadow(resolution, other, loaded.book.settings.canary_share, trade_id)
            log.info(
                "shadow",
                extra={
                    "trade_id": None if trade_id is None else str(trade_id)[:100],
                    "role": resolution.role,
                    "multiplier": resolution.multiplier,
                    "beside": resolution.beside.multiplier if resolution.beside is not None else None,
                },
            )
        too_old = time.monotonic() > loaded.refreshed + self._max_age_seconds
        if too_old and resolution.reason != "bad_input":
            # the project may have published something else long ago
            return replace(resolution, multiplier=1.0, reason="stale")
        return resolution

    def refresh(self) -> bool:
        """Load the overrides if newer ones are published.

        False if that did not succeed within `deadline_seconds`: the project is out of reach, or so much
        has to be loaded that loading goes on in the background.
        """
        return self._refresher.refresh()


def _with_shadow(live: Resolution, shadow: Resolution, share: float, trade_id: object) -> Resolution:
    shadow = replace(shadow, role="shadow")
    try:
        canary = in_canary(trade_id, share)
    except Exception:
        # an id that cannot be read must not break a trading loop: the trade is not one of the canary
        canary = False
    return replace(shadow, beside=live) if canary else replace(live, beside=shadow)


def _connect(connection: Connection) -> Store:
    return Store(Api(connection, tries=2, try_seconds=TRY_SECONDS, max_answer_bytes=MAX_ANSWER_BYTES))


def _checked_module(given: object) -> str:
    if not isinstance(given, str) or not 0 < len(given) <= MAX_MODULE_CHARACTERS or not is_storable(given):
        raise SettingsError("module", f"a string of 1 to {MAX_MODULE_CHARACTERS} characters", given)
    return given


def _seconds(name: str, given: float) -> float:
    seconds = finite(given)
    # the longest wait that Python's locks know is some 292 years; an inf may stand for "always"
    if given == math.inf:
        seconds = 1e9
    if seconds is None or seconds <= 0:
        raise SettingsError(name, "a number of seconds above 0", given)
    return min(seconds, 1e9)
