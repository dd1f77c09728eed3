"""Closed trades become events: claim messages, have the plain ones captured, read the rest, plan, commit.

A message says which strand closed a trade, or came late to one. The database captures trades that are plainly
right by itself. `capture` decides what becomes of every other one; here its lease is held while the trade is
read and the decision is written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..capture.batch import BatchPlan, plan_batch, subject
from ..errors import AnswerTooLargeError, StoreError, TooMuchError
from ..json_values import Row
from ..project.retry import is_data_error
from ..project.store import TRADES_QUEUE, Store
from .lease import Lease
from .liveness import Liveness
from .metrics import Metrics, NoMetrics

log = logging.getLogger(__name__)

# A trade that takes more on disk may be too much for one call; with less, the database may be slow.
HEAVY_BYTES = 8 * 2**20
# After so many reads of it alone that took too long, a trade is set aside.
HEAVY_READS = 2
SMALL_READS = 5
# A small trade is tried again after this time, a heavy one at once.
PAUSE_SECONDS = 60

# Called after each part of a batch with the messages and events that it had.
OnBatch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Trades:
    """The queue of closed trades, captured batch by batch; any number of threads may share it.

    `batch_size` counts messages; when a worker dies, they go to another one after `visibility_seconds`.
    `on_batch` is called after each part of a batch.
    """

    batch_size: int
    visibility_seconds: int
    liveness: Liveness
    metrics: Metrics | NoMetrics
    on_batch: OnBatch

    def capture_batch(self, store: Store, wait_seconds: int) -> int:
        """Capture the messages that are due, waiting for some; returns how many there were."""
        messages = store.claim_trades(self.batch_size, self.visibility_seconds, wait_seconds)
        self.liveness.answered()
        if messages:
            ids = [int(entry["msg_id"]) for entry in messages]
            with Lease(store, TRADES_QUEUE, ids, self.visibility_seconds):
                left = self._capture_plain(store, messages)
                for part, read in read_in_parts(store, left, self.liveness.beat):
                    self._capture(store, part, read)
                    if self.liveness.stopping():
                        break
            if self.liveness.stopping():
                # give back what was not reached; what is done is not on the queue any more
                store.extend(TRADES_QUEUE, ids, 0)
        return len(messages)

    def _capture_plain(self, store: Store, messages: list[Row]) -> list[Row]:
        """Have the database capture what it can; returns the messages of all other trades."""
        start = time.monotonic()
        named = [entry for entry in messages if subject(entry) is not None]
        if not named:
            return messages
        try:
            captured = store.capture_plain(named)
        except StoreError as error:
            # one of them holds the call up or breaks it; those that are read in parts tell which
            if not is_data_error(error.code) and not isinstance(error, TooMuchError):
                raise
            log.warning("not captured in one call", extra={"messages": len(named), "error": str(error)})
            return messages
        done = set(captured["done"])
        if done:
            self.liveness.answered()
            self.liveness.beat()
            log.info("captured", extra={"messages": len(done), "events": captured["events"]})
            for trade_id in captured["trades"] if log.isEnabledFor(logging.DEBUG) else ():
                log.debug("trade captured", extra={"trade_id": trade_id})
            plan = BatchPlan(done_ids=captured["done"])
            self.metrics.batch(plan, captured["events"], time.monotonic() - start)
            self.on_batch(len(done), captured["events"])
        return [entry for entry in messages if entry["msg_id"] not in done]

    def _capture(self, store: Store, messages: list[Row], read: Row) -> None:
        start = time.monotonic()
        plan = plan_batch(messages, read)
        try:
            events = commit(store, plan)
        except StoreError as error:
            if not is_data_error(error.code):
                raise
            self._capture_apart(store, messages, error)
            return
        self.liveness.answered()
        self.liveness.beat()
        log.info("captured", extra={"messages": len(messages), "events": events})
        self.metrics.batch(plan, events, time.monotonic() - start)
        self.on_batch(len(messages), events)

    def _capture_apart(self, store: Store, messages: list[Row], error: StoreError) -> None:
        """What the database refuses is set aside alone; the others, read without it, go on."""
        if len(messages) == 1:
            msg_id = int(messages[0]["msg_id"])
            store.dead_letter(TRADES_QUEUE, msg_id, f"trade: {error}")
            log.warning("dead letter", extra={"msg_id": msg_id, "reason": str(error)})
            return
        half = len(messages) // 2
        for some in (messages[:half], messages[half:]):
            for part, read in read_in_parts(store, some, self.liveness.beat):
                self._capture(store, part, read)


def read_in_parts(
    store: Store, messages: Sequence[Row], beat: Callable[[], None] = lambda: None
) -> Iterator[tuple[list[Row], Row]]:
    """Yield messages with what `Store.read_trades` reads of their trades, as many as fit at a time.

    After a time-out half as many are asked for, down to one; `beat` is called each time. A message whose
    trade alone takes too long goes back to the queue; after a few times it becomes a dead letter, with
    the size of the trade as its reason. The others go on.
    """
    # a message that names no strand has nothing to be read
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


def commit(store: Store, plan: BatchPlan) -> int:
    """Write a planned batch; returns the number of new events."""
    added = store.commit_trades(plan.events, plan.done_ids, plan.retries, list(plan.dead.values()))
    for msg_id in plan.unreadable:
        store.dead_letter(TRADES_QUEUE, msg_id, "message.strand_id: expected the id of a strand")
    for letter in plan.dead.values():
        trade_id = plan.trade_of.get(letter["strand_id"])
        log.warning(
            "dead letter",
            extra={"strand_id": letter["strand_id"], "trade_id": trade_id, "reason": letter["reason"]},
        )
    if log.isEnabledFor(logging.DEBUG):
        for trade_id in dict.fromkeys(event["trade_id"] for event in plan.events):
            log.debug("trade captured", extra={"trade_id": trade_id})
    return added


def _put_back(store: Store, entry: Row, error: TooMuchError | AnswerTooLargeError) -> None:
    weight = store.weigh_trade(str(subject(entry)))
    heavy = weight["bytes"] > HEAVY_BYTES
    given = entry["message"].get("slow_reads")
    reads = (given if isinstance(given, int) else 0) + 1
    may_pass = isinstance(error, TooMuchError)
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
