"""The worker's loops on a store that answers as told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from pm_strength.errors import (
    PermanentStoreError,
    SettingsError,
    StoreError,
    SupersededRunError,
    TooMuchError,
    TransientStoreError,
)
from pm_strength.project.store import JOBS_QUEUE, Store
from pm_strength.service import runs as learning
from pm_strength.service.liveness import SILENT_SECONDS
from pm_strength.service.worker import Worker, WorkerOptions

OPTIONS = WorkerOptions(wait_seconds=0, job_interval_seconds=0.01)


class FakeStore:
    """Hands out jobs and trade batches, and remembers what was done with them."""

    def __init__(self, jobs: list[Any] = [], failures: list[Exception] = []) -> None:  # noqa: B006
        self.jobs = list(jobs)
        self.failures = list(failures)
        self.done: list[tuple[Any, ...]] = []
        self.reads = 0

    def close(self) -> None:
        self.done.append(("closed",))

    def sweep(self) -> Iterator[int]:
        self.done.append(("swept",))
        yield 0

    def claim_trades(self, *_: Any) -> list[dict[str, Any]]:
        self.reads += 1
        if self.failures:
            raise self.failures.pop(0)
        return []

    def capture_plain(self, *_: Any) -> dict[str, Any]:
        return {"events": 0, "done": [], "trades": []}

    def read_job(self, *_: Any) -> Any:
        return self.jobs.pop(0) if self.jobs else None

    def extend(self, queue: str, msg_ids: list[int], seconds: int) -> int:
        self.done.append(("extend", msg_ids, seconds))
        return 1

    def archive(self, queue: str, msg_ids: list[int]) -> int:
        assert queue == JOBS_QUEUE
        self.done.append(("archive", msg_ids))
        return 1

    def dead_letter(self, queue: str, msg_id: int, reason: str) -> None:
        self.done.append(("dead", msg_id, reason))


def job(msg_id: int, name: str, read_ct: int = 1) -> dict[str, Any]:
    return {"msg_id": msg_id, "read_ct": read_ct, "message": {"job": name}}


def drain(store: FakeStore) -> list[tuple[Any, ...]]:
    Worker(lambda: cast(Store, store), OPTIONS).drain()
    return [entry for entry in store.done if entry[0] not in ("swept", "closed")]


def test_a_job_that_is_done_is_archived() -> None:
    assert drain(FakeStore([job(1, "sweep")])) == [("archive", [1])]


def test_an_unknown_job_is_dead_lettered_with_its_reason() -> None:
    ((kind, msg_id, reason),) = drain(FakeStore([job(1, "dance")]))
    assert (kind, msg_id) == ("dead", 1)
    assert "message.job: expected sweep, mine or materialize, got 'dance'" in reason


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (SettingsError("n_min", "an integer >= 1", 0), ("dead", 1, "SettingsError: n_min")),
        (SupersededRunError("newer"), ("archive", [1])),
        (TransientStoreError("restarting"), ("extend", [1], 60)),
        (RuntimeError("a bug"), ("dead", 1, "RuntimeError: a bug")),
        # the job is at fault and not the project: a worker that stopped would never come past it
        (PermanentStoreError("module: none", code="22023"), ("dead", 1, "PermanentStoreError: module: none")),
        (PermanentStoreError("run 1 is not", code="55000"), ("dead", 1, "PermanentStoreError: run 1 is not")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_how_a_failed_job_ends(
    monkeypatch: pytest.MonkeyPatch, error: Exception, ends: tuple[Any, ...]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(learning, "mine", fail)
    (end,) = drain(FakeStore([job(1, "mine")]))
    assert end[:2] == ends[:2]
    assert str(end[2:]).replace("('", "").startswith(str(ends[2:]).strip("()',")[:20]) or end == ends


def test_a_job_that_keeps_failing_is_dead_lettered(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise TransientStoreError("still restarting")

    monkeypatch.setattr(learning, "mine", fail)
    assert drain(FakeStore([job(1, "mine", read_ct=5)])) == [("dead", 1, "after 5 tries: still restarting")]


def test_a_permanent_error_puts_the_job_back_and_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise PermanentStoreError("wrong key")

    monkeypatch.setattr(learning, "mine", fail)
    store = FakeStore([job(1, "mine")])
    with pytest.raises(PermanentStoreError, match="wrong key"):
        Worker(lambda: cast(Store, store), OPTIONS).drain()
    assert ("extend", [1], 0) in store.done


def test_a_job_is_put_back_when_the_worker_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeStore([job(1, "mine")])
    worker = Worker(lambda: cast(Store, store), OPTIONS)

    def work(store: Any, module: str, progress: Any, cache: Any) -> None:
        worker.stop()
        progress("mining", 0.5)
        raise AssertionError("progress should have stopped the job")

    monkeypatch.setattr(learning, "mine", work)
    worker.drain()
    assert ("extend", [1], 0) in store.done


def test_a_long_sweep_beats_and_can_be_stopped() -> None:
    store = FakeStore([job(1, "sweep")])
    worker = Worker(lambda: cast(Store, store), OPTIONS)

    def sweep() -> Iterator[int]:
        worker.stop()
        yield 5000
        raise AssertionError("the sweep should have been stopped")

    store.sweep = sweep  # type: ignore[method-assign]
    worker._jobs.do_next(cast(Store, store))
    assert ("extend", [1], 0) in store.done


def test_a_drain_does_not_wait_for_a_beat_of_a_job_that_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """It captures in other threads meanwhile, for as long as that takes."""
    store = FakeStore([job(1, "mine")])
    worker = Worker(lambda: cast(Store, store), OPTIONS)

    def work(store: Any, module: str, progress: Any, cache: Any) -> learning.RunReport:
        progress("mining", 0.5)
        return learning.RunReport(run_id=1, module=module, kind="mine", lessons=0)

    monkeypatch.setattr(learning, "mine", work)
    worker.drain()
    later = time.monotonic() + SILENT_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert worker.alive() is None


def test_it_runs_until_it_is_stopped_and_survives_failures() -> None:
    class Failing(FakeStore):
        def claim_trades(self, *arguments: Any) -> list[dict[str, Any]]:
            if self.reads == 2:
                worker.stop()
            return super().claim_trades(*arguments)

    stores: list[FakeStore] = []

    def connect() -> Store:
        stores.append(Failing(failures=[TransientStoreError("gone")]))
        return cast(Store, stores[-1])

    worker = Worker(connect, OPTIONS)
    worker.run()
    assert sum(store.reads for store in stores) > 2
    assert all(store.done[-1] == ("closed",) for store in stores)


def test_a_loop_waits_longer_after_each_failure_and_as_long_as_the_server_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker(lambda: cast(Store, FakeStore()), OPTIONS)
    pauses: list[float] = []
    # on the event, so that a signal ends the wait
    monkeypatch.setattr(worker._liveness._stop, "wait", pauses.append)
    monkeypatch.setattr("pm_strength.service.worker.random.random", lambda: 0.5)
    gone = TransientStoreError("gone")
    ends = iter([gone, gone, gone, TransientStoreError("busy", retry_after=50), None, gone])

    def step(store: Store) -> None:
        for end in ends:
            if end is None:
                return
            raise end
        worker.stop()

    worker._go_round(step)
    assert pauses == [0.1875, 0.375, 0.75, 50, 0.1875]
    assert worker._liveness._beats == {}, "a loop that has ended is not silent"


def test_a_drain_that_is_stopped_ends_though_there_is_more() -> None:
    class Endless(FakeStore):
        def claim_trades(self, *_: Any) -> list[dict[str, Any]]:
            self.reads += 1
            if self.reads == 3:
                worker.stop()
            return [{"msg_id": self.reads, "message": None}]

        def commit_trades(self, *_: Any) -> int:
            return 0

    stores: list[Endless] = []

    def connect() -> Store:
        stores.append(Endless())
        return cast(Store, stores[-1])

    worker = Worker(connect, OPTIONS)
    draining = threading.Thread(target=worker.drain, daemon=True)
    draining.start()
    draining.join(60)
    assert not draining.is_alive()
    # the batch in hand was finished
    assert all(len([end for end in store.done if end[0] == "dead"]) == store.reads for store in stores)


def test_what_the_database_refuses_is_set_aside_alone() -> None:
    class Refusing(FakeStore):
        def claim_trades(self, *_: Any) -> list[dict[str, Any]]:
            messages = [{"strand_id": f"s{number}"} for number in range(5)]
            return [{"msg_id": n, "read_ct": 1, "message": message} for n, message in enumerate(messages)]

        def read_trades(self, strand_ids: list[str]) -> dict[str, Any]:
            return {"read": len(strand_ids), "strands": [], "events": []}

        def commit_trades(self, events: Any, done_ids: list[int], *_: Any) -> int:
            if 3 in done_ids:
                raise PermanentStoreError("value too long.", status=400, code=code)
            self.done.append(("committed", done_ids))
            return 0

    code = "22001"
    store = Refusing()
    Worker(lambda: cast(Store, store), OPTIONS)._trades.capture_batch(cast(Store, store), 0)
    assert sorted(id for kind, ids, *_ in store.done if kind == "committed" for id in ids) == [0, 1, 2, 4]
    assert [entry for entry in store.done if entry[0] == "dead"] == [("dead", 3, "trade: value too long.")]

    code, store = "42501", Refusing()
    with pytest.raises(PermanentStoreError):
        Worker(lambda: cast(Store, store), OPTIONS)._trades.capture_batch(cast(Store, store), 0)
    assert store.done == [], "a key without rights is no fault of the trades"


@pytest.mark.parametrize(
    "error", [TooMuchError("57014", code="57014"), PermanentStoreError("overflow", status=400, code="22003")]
)
def test_what_the_database_cannot_capture_at_once_is_read(error: StoreError) -> None:
    class Slow(FakeStore):
        def claim_trades(self, *_: Any) -> list[dict[str, Any]]:
            named = [{"msg_id": number, "message": {"strand_id": f"s{number}"}} for number in (1, 2)]
            return [*named, {"msg_id": 3, "message": None}]

        def capture_plain(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
            assert [entry["msg_id"] for entry in messages] == [1, 2]
            if self.failures:
                raise self.failures.pop()
            return {"events": 4, "done": [2], "trades": ["t"]}

        def read_trades(self, strand_ids: list[str]) -> dict[str, Any]:
            self.done.append(("read", strand_ids))
            return {"read": len(strand_ids), "strands": [], "events": []}

        def commit_trades(self, *_: Any) -> int:
            return 0

    for failures, left in (([error], ["s1", "s2"]), ([], ["s1"])):
        store, told = Slow(failures=failures), list[tuple[int, int]]()
        worker = Worker(lambda: cast(Store, store), OPTIONS, lambda *counts: told.append(counts))  # noqa: B023
        assert worker._trades.capture_batch(cast(Store, store), 0) == 3
        assert [entry for entry in store.done if entry[0] == "read"] == [("read", left)]
        assert sum(messages for messages, _ in told) == 3


def test_a_key_that_may_not_capture_ends_the_batch() -> None:
    class Denied(FakeStore):
        def claim_trades(self, *_: Any) -> list[dict[str, Any]]:
            return [{"msg_id": 1, "message": {"strand_id": "s"}}]

        def capture_plain(self, *_: Any) -> dict[str, Any]:
            raise PermanentStoreError("permission denied", status=403, code="42501")

    with pytest.raises(PermanentStoreError):
        Worker(lambda: cast(Store, Denied()), OPTIONS)._trades.capture_batch(cast(Store, Denied()), 0)


def test_a_worker_that_is_stopped_gives_back_what_it_has_not_come_to() -> None:
    """A batch of large trades takes a read for each; a container is killed 15 s after it is asked to stop."""

    class Large(FakeStore):
        def claim_trades(self, *_: Any) -> list[dict[str, Any]]:
            return [{"msg_id": number, "read_ct": 1, "message": {"strand_id": "s"}} for number in (1, 2, 3)]

        def read_trades(self, strand_ids: list[str]) -> dict[str, Any]:
            self.reads += 1
            worker.stop()
            return {"read": 1, "strands": [], "events": []}

        def commit_trades(self, events: Any, done_ids: list[int], *_: Any) -> int:
            self.done.append(("committed", done_ids))
            return 0

    store = Large()
    worker = Worker(lambda: cast(Store, store), OPTIONS)
    worker._trades.capture_batch(cast(Store, store), 0)
    assert store.done == [("committed", [1]), ("extend", [1, 2, 3], 0)]


def test_stopping_waits_for_no_helper() -> None:
    """However long it would have waited for more to do."""
    worker = Worker(
        lambda: cast(Store, FakeStore()), WorkerOptions(wait_seconds=600, job_interval_seconds=600)
    )
    running = threading.Thread(target=worker.run, daemon=True)
    running.start()
    worker.stop()
    running.join(60)
    assert not running.is_alive()


def test_a_loop_that_breaks_ends_the_worker_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is not the main thread's."""

    def broken(self: Worker, store: Store) -> None:
        raise ZeroDivisionError("a bug")

    for step in ("_job_step", "_capture_step", "_help_step"):
        with monkeypatch.context() as patch:
            patch.setattr(Worker, step, broken)
            with pytest.raises(ZeroDivisionError, match="a bug"):
                Worker(lambda: cast(Store, FakeStore()), OPTIONS).run()


def test_a_permanent_failure_ends_the_run_with_its_message() -> None:
    store = FakeStore(failures=[PermanentStoreError("the key is wrong")])
    with pytest.raises(PermanentStoreError, match="the key is wrong"):
        Worker(lambda: cast(Store, store), OPTIONS).run()
