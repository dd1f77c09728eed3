"""A claim: the messages that a worker has leased, read in parts that one call can read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from ..capture.batch import subject
from ..errors import AnswerTooLargeError, TooMuchError
from ..project.store import TRADES_QUEUE, Row, Store

log = logging.getLogger(__name__)

# A trade that takes more on disk may be too much for one call; with less, the database may be slow.
HEAVY_BYTES = 8 * 2**20
# After so many reads that took too long, each of them alone, a trade is set aside.
HEAVY_READS = 2
SMALL_READS = 5
# Before a small one is tried again; a heavy one is tried again at once.
PAUSE_SECONDS = 60
# Postgres cannot build the answer, however long it takes.
_IMPOSSIBLE = "54000"


def read_in_parts(
    store: Store, messages: Sequence[Row], beat: Callable[[], None] = lambda: None
) -> Iterator[tuple[list[Row], Row]]:
    """Yield the messages with what `Store.read_trades` reads of their trades, as much as fits at a time.

    After a time-out half as many are asked for, down to one; `beat` is called each time. One that takes
    too long alone goes back to the queue, and becomes a dead letter with its size as the reason when it
    has done so a few times; the others go on.
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
                _put_back(store, wanted[0], error)
                del pending[0]
            size = max(1, len(wanted) // 2)
            continue
        count = int(read["read"])
        yield wanted[:count], read
        del pending[:count]
        size *= 2


def _put_back(store: Store, entry: Row, error: TooMuchError | AnswerTooLargeError) -> None:
    weight = store.weigh_trade(str(subject(entry)))
    heavy = weight["bytes"] > HEAVY_BYTES
    given = entry["message"].get("slow_reads")
    reads = (given if isinstance(given, int) else 0) + 1
    may_pass = isinstance(error, TooMuchError) and error.code != _IMPOSSIBLE
    if may_pass and reads < (HEAVY_READS if heavy else SMALL_READS):
        message = entry["message"] | {"slow_reads": reads}
        pause = 0 if heavy else PAUSE_SECONDS
        again = {"msg_id": entry["msg_id"], "message": message, "delay_seconds": pause}
        store.commit_trades([], [], [again], [])
        log.warning("slow read", extra={"strand_id": subject(entry), "reads": reads, "error": str(error)})
        return
    reason = (
        "trade: expected strands that can be read in one call, "
        f"got {weight['strands']} with {weight['bytes'] / 2**20:,.1f} MB on disk ({error})"
    )
    store.dead_letter(TRADES_QUEUE, entry["msg_id"], reason)
    log.warning("dead letter", extra={"strand_id": subject(entry), "reason": reason})
