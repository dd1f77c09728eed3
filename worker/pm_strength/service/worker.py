"""The worker: loops over closed trades and one over jobs, until it is stopped or all is done."""

from __future__ import annotations

import gc
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..capture.batch import plan_batch
from ..errors import (
    PermanentStoreError,
    PmStrengthError,
    StoreError,
    SupersededRunError,
    TransientStoreError,
)
from ..project.retry import delay_seconds, is_data_error
from ..project.store import JOBS_QUEUE, TRADES_QUEUE, Row, Store
from .claim import read_in_parts
from .jobs import commit, run_job
from .lease import Lease
from .metrics import Metrics

log = logging.getLogger(__name__)

# A loop that has not come round for so long hangs; the longest wait on the server is a few seconds.
SILENT_SECONDS = 120.0
# A job that broke for a reason that may pass, such as a database that restarts.
JOB_TRIES = 5
# How often a worker with metrics looks at the queues and runs.
OBSERVE_SECONDS = 15.0

# Called after each batch with the messages and events that it had.
OnBatch = Callable[[int, int], None]


def collect_garbage_less() -> None:
    """Let Python look for garbage less often, in a process that does nothing but this.

    A batch makes a hundred thousand objects and no cycles: looking for them takes a quarter of its time.
    """
    gc.set_threshold(50_000, 10, 5)


class StoppedError(PmStrengthError):
    """The worker was asked to stop while a job was running; the job goes back to the queue."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works: messages a batch, and seconds.

    `visibility_seconds` is how long a message stays with a worker that is no longer heard of.
    `capture_threads` share the queue while there is more on it than one batch: one computes while
    the database works for another.
    """

    batch_size: int = 500
    capture_threads: int = 2
    visibility_seconds: int = 60
    wait_seconds: int = 5
    job_interval_seconds: float = 5.0


class Worker:
    """Drains the queues of a project. `connect` makes a store; each thread has its own."""

    def __init__(
        self,
        connect: Callable[[], Store],
        options: WorkerOptions = WorkerOptions(),
        on_batch: OnBatch = lambda messages, events: None,
        metrics: Metrics | None = None,
    ) -> None:
        self._connect = connect
        self._options = options
        self._on_batch = on_batch
        self._metrics = metrics
        self._beats: dict[str, float] = {}
        self._answered = self._observed = 0.0
        self._stop = threading.Event()
        self._much_to_do = threading.Event()
        self._failure: Exception | None = None

    def stop(self) -> None:
        """Ask all loops to finish what they have in hand; callable from a signal handler."""
        self._stop.set()
        self._much_to_do.set()

    def alive(self) -> str | None:
        """What is wrong with the loops: None while each came round lately. A job beats as it goes on."""
        limit = time.monotonic() - SILENT_SECONDS
        silent = [name for name, at in self._beats.items() if at < limit]
        return f"silent for {SILENT_SECONDS:.0f} s: {', '.join(sorted(silent))}" if silent else None

    def ready(self) -> str | None:
        """Why this worker cannot work: None while the database answers and nothing stops it."""
        if self._stop.is_set():
            return "stopping"
        if not self._answered:
            return "no answer from the database yet"
        if self._answered < time.monotonic() - SILENT_SECONDS:
            return f"no answer from the database for {SILENT_SECONDS:.0f} s"
        return None

    def drain(self) -> None:
        """Sweep, then work until nothing is due on either queue; raises what a call raises."""
        store = self._connect()
        try:
            for _found in store.sweep():
                if self._stop.is_set():
                    return
            while not self._stop.is_set():
                if self._capture_all() + self._do_job(store) == 0:
                    return
        finally:
            store.close()

    def run(self) -> None:
        """Work until `stop`; raises `PermanentStoreError` if no further try can help.

        A loop that breaks in any other way ends the worker too, with its error: half a worker would
        look as if it worked.
        """
        helpers = [threading.Thread(target=self._loop, args=(self._job_step,), name="jobs")]
        for number in range(1, self._options.capture_threads):
            helpers.append(
                threading.Thread(target=self._loop, args=(self._help_step,), name=f"capture-{number}")
            )
        for helper in helpers:
            helper.start()
        try:
            self._loop(self._capture_step)
        finally:
            self.stop()
            for helper in helpers:
                helper.join()
        if self._failure is not None:
            raise self._failure

    def _capture_all(self) -> int:
        """Capture until no message is due; returns how many there were."""
        with ThreadPoolExecutor(self._options.capture_threads) as pool:
            loops = [pool.submit(self._capture_until_empty) for _ in range(self._options.capture_threads)]
            return sum(loop.result() for loop in loops)

    def _capture_until_empty(self) -> int:
        store, total = self._connect(), 0
        try:
            while not self._stop.is_set():
                count = self._capture_batch(store, wait_seconds=0)
                total += count
                if count == 0:
                    break
        finally:
            self._beats.pop(threading.current_thread().name, None)
            store.close()
        return total

    def _loop(self, step: Callable[[Store], None]) -> None:
        try:
            self._go_round(step)
        except Exception as error:
            self._failure = error
            self.stop()

    def _go_round(self, step: Callable[[Store], None]) -> None:
        store = self._connect()
        failures = 0
        try:
            while not self._stop.is_set():
                self._beat()
                try:
                    step(store)
                    failures = 0
                except TransientStoreError as error:
                    if self._metrics is not None:
                        self._metrics.failure()
                    pause = delay_seconds(failures, random.random(), error.retry_after)  # noqa: S311
                    log.warning("waiting for the database", extra={"error": str(error), "seconds": pause})
                    failures += 1
                    self._stop.wait(pause)
        finally:
            self._beats.pop(threading.current_thread().name, None)
            store.close()

    def _beat(self) -> None:
        self._beats[threading.current_thread().name] = time.monotonic()

    def _capture_step(self, store: Store) -> None:
        if self._capture_batch(store, self._options.wait_seconds) == self._options.batch_size:
            self._much_to_do.set()

    def _help_step(self, store: Store) -> None:
        # only the main loop waits on the server: each that does so holds one of its connections
        if not self._much_to_do.wait(self._options.wait_seconds):
            return
        if self._stop.is_set():
            return
        if self._capture_batch(store, wait_seconds=0) == 0:
            self._much_to_do.clear()

    def _job_step(self, store: Store) -> None:
        self._observe(store)
        if self._do_job(store) == 0:
            self._stop.wait(self._options.job_interval_seconds)

    def _observe(self, store: Store) -> None:
        if self._metrics is None or time.monotonic() < self._observed + OBSERVE_SECONDS:
            return
        newest = {row["kind"]: row for row in reversed(store.runs(50)) if row["status"] == "succeeded"}
        self._metrics.project(store.queue_status(), newest)
        self._observed = time.monotonic()

    def _capture_batch(self, store: Store, wait_seconds: int) -> int:
        options = self._options
        messages = store.claim_trades(options.batch_size, options.visibility_seconds, wait_seconds)
        self._answered = time.monotonic()
        if messages:
            ids = [int(entry["msg_id"]) for entry in messages]
            with Lease(store, TRADES_QUEUE, ids, options.visibility_seconds):
                for part, read in read_in_parts(store, messages, self._beat):
                    self._capture(store, part, read)
                    if self._stop.is_set():
                        break
            if self._stop.is_set():
                # what was not come to is another worker's; what is done is not on the queue any more
                store.extend(TRADES_QUEUE, ids, 0)
        return len(messages)

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
        self._answered = time.monotonic()
        self._beat()
        log.info("captured", extra={"messages": len(messages), "events": events})
        if self._metrics is not None:
            self._metrics.batch(plan, events, self._answered - start)
        self._on_batch(len(messages), events)

    def _capture_apart(self, store: Store, messages: list[Row], error: StoreError) -> None:
        """What the database refuses is set aside alone; the others, read without it, go on."""
        if len(messages) == 1:
            msg_id = int(messages[0]["msg_id"])
            store.dead_letter(TRADES_QUEUE, msg_id, f"trade: {error}")
            log.warning("dead letter", extra={"msg_id": msg_id, "reason": str(error)})
            return
        half = len(messages) // 2
        for some in (messages[:half], messages[half:]):
            for part, read in read_in_parts(store, some, self._beat):
                self._capture(store, part, read)

    def _do_job(self, store: Store) -> int:
        entry = store.read_job(self._options.visibility_seconds)
        self._answered = time.monotonic()
        if entry is None:
            return 0
        msg_id = int(entry["msg_id"])
        start = time.monotonic()
        try:
            with Lease(store, JOBS_QUEUE, [msg_id], self._options.visibility_seconds):
                report = run_job(store, entry["message"], self._progress)
        except StoppedError:
            store.extend(JOBS_QUEUE, [msg_id], 0)
        except SupersededRunError as error:
            log.info("superseded", extra={"reason": str(error)})
            store.archive(JOBS_QUEUE, [msg_id])
        except TransientStoreError as error:
            self._put_back(store, entry, error)
        except PermanentStoreError:
            store.extend(JOBS_QUEUE, [msg_id], 0)
            raise
        except Exception as error:
            # A bug or bad settings: trying again at once would end the same way.
            log.exception("job failed", extra={"job": entry["message"]})
            store.dead_letter(JOBS_QUEUE, msg_id, f"{type(error).__name__}: {error}")
        else:
            store.archive(JOBS_QUEUE, [msg_id])
            if self._metrics is not None:
                self._metrics.job(str(entry["message"].get("job")), time.monotonic() - start)
                if report is not None:
                    self._metrics.run(report)
        return 1

    def _put_back(self, store: Store, entry: Row, error: TransientStoreError) -> None:
        tries = int(entry["read_ct"])
        if tries >= JOB_TRIES:
            store.dead_letter(JOBS_QUEUE, int(entry["msg_id"]), f"after {tries} tries: {error}")
            return
        log.warning("job put back", extra={"job": entry["message"], "error": str(error)})
        store.extend(JOBS_QUEUE, [int(entry["msg_id"])], round(30 * 2.0**tries))

    def _progress(self, what: str, share: float) -> None:
        self._beat()
        if self._stop.is_set():
            raise StoppedError("The worker was asked to stop.")
