"""A claim: the messages that a worker has leased, read in parts that one call can read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from .errors import AnswerTooLargeError, TooMuchError
from .jobs import subject
from .store import TRADES_QUEUE, Row, Store

log = logging.getLogger(__name__)

# A trade that takes more on disk may be too much for one call.
HEAVY_BYTES = 8 * 2**20
# With less, the database may only be slow: then the message comes back, so many times.
READ_TRIES = 5
# Postgres cannot build the answer, however long it takes.
_IMPOSSIBLE = "54000"


def read_in_parts(
    store: Store, messages: Sequence[Row], beat: Callable[[], None] = lambda: None
) -> Iterator[tuple[list[Row], Row]]:
    """Yield the messages with what `Store.read_trades` reads of their trades, as much as fits at a time.

    After a time-out half as many are asked for, down to one; `beat` is called each time. One that cannot
    be read alone becomes a dead letter with its size as the reason, and the others go on. Raises
    `TooMuchError` where the trade is small and was not tried often: then it may be the database that is
    slow, and the message comes back to the queue.
    """
    # one that names no strand needs nothing to be read
    pending = [entry for entry in messages if subject(entry) is not None]
    lost = [entry for entry in messages if subject(entry) is None]
    if lost:
        yield lost, {"strands": [], "events": []}
    size = len(pending)
    while pending:
        wanted = pending[:size]
        try:
            read = store.read_trades([str(subject(entry)) for entry in wanted])
        except (TooMuchError, AnswerTooLargeError) as error:
            beat()
            if len(wanted) == 1:
                _set_aside(store, wanted[0], error)
                del pending[0]
            size = max(1, len(wanted) // 2)
            continue
        count = int(read["read"])
        yield wanted[:count], read
        del pending[:count]
        size *= 2


def _set_aside(store: Store, entry: Row, error: TooMuchError | AnswerTooLargeError) -> None:
    weight = store.weigh_trade(str(subject(entry)))
    slow = isinstance(error, TooMuchError) and error.code != _IMPOSSIBLE and weight["bytes"] <= HEAVY_BYTES
    if slow and entry["read_ct"] < READ_TRIES:
        raise error
    megabytes = weight["bytes"] / 2**20
    reason = (
        "trade: expected strands that can be read in one call, "
        f"got {weight['strands']} with {megabytes:,.1f} MB on disk ({error})"
    )
    store.dead_letter(TRADES_QUEUE, entry["msg_id"], reason)
    log.warning("dead letter", extra={"strand_id": subject(entry), "reason": reason})
