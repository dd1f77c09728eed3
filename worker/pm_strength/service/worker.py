"""The worker: loops over closed trades and one over jobs, until it is stopped or all is done."""

from __future__ import annotations

import gc
import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..errors import TransientStoreError
from ..project.retry import delay_seconds
from ..project.store import Store
from .events import Cache
from .jobs import Jobs
from .liveness import Liveness
from .metrics import NO_METRICS, Metrics, NoMetrics
from .trades import OnBatch, Trades

log = logging.getLogger(__name__)


def collect_garbage_less() -> None:
    """Let Python look for garbage less often, in a process that is only a worker.

    A batch makes a hundred thousand objects and no cycles: looking for cycles took a quarter of its time.
    """
    gc.set_threshold(50_000, 10, 5)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works: messages a batch, and seconds.

    `visibility_seconds`: when a worker dies, its messages go to another one after so long.
    `capture_threads` share the queue while there is more on it than one batch: one computes while
    the database works for another.
    """

    batch_size: int = 500
    capture_threads: int = 2
    visibility_seconds: int = 60
    wait_seconds: int = 5
    job_interval_seconds: float = 5.0


class Worker:
    """Drains the queues of a project. `connect` makes a store; each thread has its own.

    With a `cache` mining reads only the events that it lacks.
    """

    def __init__(
        self,
        connect: Callable[[], Store],
        options: WorkerOptions = WorkerOptions(),
        on_batch: OnBatch = lambda messages, events: None,
        metrics: Metrics | NoMetrics = NO_METRICS,
        cache: Cache | None = None,
    ) -> None:
        self._connect = connect
        self._options = options
        self._metrics = metrics
        self._liveness = Liveness()
        self._trades = Trades(
            options.batch_size, options.visibility_seconds, self._liveness, metrics, on_batch
        )
        self._jobs = Jobs(options.visibility_seconds, self._liveness, metrics, cache)
        self._much_to_do = threading.Event()
        self._failure: Exception | None = None

    def stop(self) -> None:
        """Ask all loops to finish what they have in hand; callable from a signal handler."""
        self._liveness.stop()
        self._much_to_do.set()

    def alive(self) -> str | None:
        """What is wrong with the loops: None while each came round lately. A job beats as it goes on."""
        return self._liveness.alive()

    def ready(self) -> str | None:
        """Why this worker cannot work: None while the database answers and nothing stops it."""
        return self._liveness.ready()

    def drain(self) -> None:
        """Sweep, then work until nothing is due on either queue; raises what a call raises."""
        store = self._connect()
        try:
            for _found in store.sweep():
                if self._liveness.stopping():
                    return
            while not self._liveness.stopping():
                done = self._capture_all() + self._jobs.do_next(store)
                # capturing beats in threads of its own
                self._liveness.ended()
                if done == 0:
                    return
        finally:
            store.close()

    def run(self) -> None:
        """Work until `stop`; raises `PermanentStoreError` if no further try can help.

        If one loop fails in any other way, the others end too, and its error is raised: a worker that
        captures but no longer mines would look healthy.
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
            while not self._liveness.stopping():
                count = self._trades.capture_batch(store, wait_seconds=0)
                total += count
                if count == 0:
                    break
        finally:
            self._liveness.ended()
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
            while not self._liveness.stopping():
                self._liveness.beat()
                try:
                    step(store)
                    failures = 0
                except TransientStoreError as error:
                    self._metrics.failure()
                    pause = delay_seconds(failures, random.random(), error.retry_after)  # noqa: S311
                    log.warning("waiting for the database", extra={"error": str(error), "seconds": pause})
                    failures += 1
                    self._liveness.pause(pause)
        finally:
            self._liveness.ended()
            store.close()

    def _capture_step(self, store: Store) -> None:
        if self._trades.capture_batch(store, self._options.wait_seconds) == self._options.batch_size:
            self._much_to_do.set()

    def _help_step(self, store: Store) -> None:
        # only the main loop waits on the server: each loop that does holds one of its connections
        if not self._much_to_do.wait(self._options.wait_seconds):
            return
        if self._liveness.stopping():
            return
        if self._trades.capture_batch(store, wait_seconds=0) == 0:
            self._much_to_do.clear()

    def _job_step(self, store: Store) -> None:
        self._metrics.observe(store)
        if self._jobs.do_next(store) == 0:
            self._liveness.pause(self._options.job_interval_seconds)
