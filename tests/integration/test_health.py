"""The worker's health and metrics over HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pm_strength.capture.batch import BatchPlan
from pm_strength.service import health
from pm_strength.service.health import HealthServer
from pm_strength.service.liveness import SILENT_SECONDS
from pm_strength.service.metrics import OBSERVE_SECONDS, Metrics, NoMetrics
from pm_strength.service.runs import RunReport
from pm_strength.service.worker import Worker, WorkerOptions

STATUS: dict[str, Any] = {
    "now": "2026-01-02T00:00:00+00:00",
    "queues": [{"queue": "pm_strength_trades", "depth": 7, "due": 7, "oldest_age_seconds": 12.5}],
    "dead_letters": 3,
}
RUNS: list[dict[str, Any]] = [
    {"module": "dm", "kind": "mine", "lessons": 7},
    {"module": "dm", "kind": "materialize", "overrides": 3, "finished_at": "2026-01-01T23:00:00+00:00"},
    {"module": "pm", "kind": "mine", "lessons": 100},
    {"module": "pm", "kind": "materialize", "overrides": 40, "finished_at": "2026-01-01T00:00:00+00:00"},
]


def values(metrics: Metrics) -> dict[str, float]:
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_it_answers_as_the_checks_say() -> None:
    problem: list[str | None] = [None, None]
    with HealthServer(0, lambda: problem[0], lambda: problem[1], Metrics()) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{url}/readyz").status_code == 200
        problem[1] = "no answer from the database"
        assert httpx.get(f"{url}/healthz").status_code == 200
        ready = httpx.get(f"{url}/readyz?verbose")
        assert (ready.status_code, ready.json()["reason"]) == (503, problem[1])
        problem[0] = "silent"
        assert httpx.get(f"{url}/healthz").json() == {"status": "failing", "reason": "silent"}
        problem[1] = None
        ready = httpx.get(f"{url}/readyz")
        assert (ready.status_code, ready.json()["reason"]) == (503, "silent")
        assert "pm_strength_messages_total" in httpx.get(f"{url}/metrics").text
        assert httpx.get(f"{url}/secrets").status_code == 404


@pytest.fixture
def server(caplog: pytest.LogCaptureFixture) -> Iterator[HealthServer]:
    with HealthServer(0, lambda: None, lambda: None, Metrics()) as server:
        yield server
    assert not [*caplog.get_records("call"), *caplog.records], "who connects must not fill the log"


def connect(server: HealthServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def answer_to(server: HealthServer, request: bytes) -> bytes:
    answer = b""
    # what is left unread of a request that is too long resets the connection behind the answer
    with connect(server) as connection, suppress(ConnectionResetError):
        connection.sendall(request)
        while part := connection.recv(65536):
            answer += part
    return answer


def test_connections_that_say_nothing_keep_no_probe_waiting_and_take_no_threads(server: HealthServer) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(server)) for _ in range(400)]
        assert httpx.get(f"http://127.0.0.1:{server.port}/healthz", timeout=60).json() == {"status": "ok"}
        assert threading.active_count() <= before
        # beyond its bound the server has let go of the oldest
        idle[0].settimeout(60)
        assert gone(idle[0])
        assert len(server._open) <= health.MAX_CONNECTIONS


def test_it_ends_quietly_with_connections_open(caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack, HealthServer(0, lambda: None, lambda: None, Metrics()) as server:
        for _ in range(5):
            stack.enter_context(connect(server))
        end = time.monotonic() + 60
        while len(server._open) < 5:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert not caplog.records


def gone(connection: socket.socket) -> bool:
    """Whether the other side closes it without a word."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("drip", [b"", b"x"], ids=["silent", "a byte at a time"])
def test_a_request_that_takes_too_long_is_cut(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch, drip: bytes
) -> None:
    monkeypatch.setattr(health, "REQUEST_SECONDS", 0.1)
    with connect(server) as connection:
        connection.settimeout(0.05)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                connection.sendall(drip)
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                return
    raise AssertionError("it was never cut")


def test_an_answer_that_nobody_reads_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REQUEST_SECONDS", 0.1)
    metrics = Metrics()
    monkeypatch.setattr(metrics, "text", lambda: b"x" * 50_000_000)
    with HealthServer(0, lambda: None, lambda: None, metrics) as server, connect(server) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert connection.recv(5) == b"HTTP/"
        end = time.monotonic() + 60
        while server._open:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\nHost: x\n\n", 200),
        (b"POST /healthz HTTP/1.1\r\n\r\n", 501),
        (b"\x16\x03\x01\x02\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000, 431),
        (b"GET /healthz HTTP/1.1\r\n" + b"a: b\r\n" * 5_000, 431),
    ],
)
def test_each_request_gets_one_answer_and_its_connection_is_closed(
    server: HealthServer, request_: bytes, status: int
) -> None:
    answer = answer_to(server, request_)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    def listens_on(**options: Any) -> str:
        server = HealthServer(0, lambda: None, lambda: None, Metrics(), **options)
        with server:
            return str(server._socket.getsockname()[0])

    assert listens_on() == "127.0.0.1"
    assert listens_on(host="0.0.0.0") == "0.0.0.0"  # noqa: S104
    with pytest.raises(OSError, match=r"."):
        HealthServer(0, lambda: None, lambda: None, Metrics(), "192.0.2.1")


def test_the_numbers() -> None:
    metrics = Metrics()
    plan = BatchPlan(done_ids=[1, 2, 3], retries=[{}], unreadable=[9])
    plan.dead_letter("s", "bad_strand", "rr: no")
    metrics.batch(plan, 12, 0.25)
    metrics.job("mine", 4.0)
    metrics.failure()
    metrics.project(STATUS, ["dm", "pm"], RUNS)
    seen = values(metrics)
    assert seen["pm_strength_messages_total|done"] == 3
    assert seen["pm_strength_messages_total|retried"] == 1
    assert seen["pm_strength_messages_total|dead"] == 2
    assert seen["pm_strength_events_total"] == 12
    assert seen["pm_strength_batch_seconds_sum"] == 0.25
    assert seen["pm_strength_job_seconds_sum|mine"] == 4.0
    assert seen["pm_strength_failures_total"] == 1
    assert seen["pm_strength_queue_depth|pm_strength_trades"] == 7
    assert seen["pm_strength_queue_lag_seconds|pm_strength_trades"] == 12.5
    assert seen["pm_strength_dead_letters"] == 3


def test_the_numbers_of_a_module_are_its_own() -> None:
    metrics = Metrics()
    assert "pm_strength_book_age_seconds|pm" not in values(metrics)
    metrics.project(STATUS, ["dm", "pm"], RUNS)
    seen = values(metrics)
    assert (seen["pm_strength_lessons|pm"], seen["pm_strength_overrides|pm"]) == (100, 40)
    assert (seen["pm_strength_lessons|dm"], seen["pm_strength_overrides|dm"]) == (7, 3)
    # a day by the database's clock, whatever this machine's says
    assert seen["pm_strength_book_age_seconds|pm"] == pytest.approx(86400, abs=60)
    assert seen["pm_strength_book_age_seconds|dm"] == pytest.approx(3600, abs=60)
    metrics.run(RunReport(run_id=1, module="dm", kind="mine", lessons=5))
    metrics.run(RunReport(run_id=2, module="dm", kind="materialize", lessons=5, overrides=2))
    seen = values(metrics)
    assert (seen["pm_strength_lessons|dm"], seen["pm_strength_overrides|dm"]) == (5, 2)
    assert seen["pm_strength_book_age_seconds|dm"] < 60
    assert seen["pm_strength_overrides|pm"] == 40
    assert seen["pm_strength_book_age_seconds|pm"] > 86000


def test_a_module_that_is_not_learned_for_any_more_has_no_numbers() -> None:
    metrics = Metrics()
    metrics.project(STATUS, ["dm", "pm"], RUNS)
    metrics.project(STATUS, ["pm"], RUNS[2:])
    assert [name for name in values(metrics) if name.endswith("|dm")] == []
    assert values(metrics)["pm_strength_overrides|pm"] == 40


OPTIONS = WorkerOptions(job_interval_seconds=0)


class Silent:
    """A store that has nothing to do and counts how often it is looked at."""

    def __init__(self) -> None:
        self.looks = 0

    def claim_trades(self, *_: Any) -> list[dict[str, Any]]:
        time.sleep(0.01)
        return []

    def read_job(self, *_: Any) -> None:
        return None

    def modules(self) -> list[str]:
        self.looks += 1
        return ["pm"]

    def published_runs(self, _: Any) -> list[Any]:
        return []

    def queue_status(self) -> dict[str, Any]:
        return STATUS

    def close(self) -> None:
        pass


def test_a_worker_is_alive_while_its_loops_go_round_and_ready_while_it_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Silent()
    worker = Worker(lambda: store)  # type: ignore[arg-type, return-value]
    assert worker.ready() == "no answer from the database yet"
    worker._jobs.do_next(store)  # type: ignore[arg-type]
    assert worker.ready() is None, "an answer to the loop over jobs counts, the other may wait for trades"
    worker._capture_step(store)  # type: ignore[arg-type]
    worker._liveness.beat()
    assert (worker.alive(), worker.ready()) == (None, None)
    later = time.monotonic() + SILENT_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert "MainThread" in str(worker.alive())
    assert "no answer" in str(worker.ready())
    worker._liveness.progress("mining", 0.5)
    assert worker.alive() is None, "a job that goes on is no silence"
    worker.stop()
    assert worker.ready() == "stopping"


def test_the_project_is_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    store, metrics = Silent(), Metrics()
    worker = Worker(lambda: store, OPTIONS, metrics=metrics)  # type: ignore[arg-type, return-value]
    for _ in range(3):
        worker._job_step(store)  # type: ignore[arg-type]
    assert store.looks == 1
    assert values(metrics)["pm_strength_dead_letters"] == 3
    later = time.monotonic() + OBSERVE_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    worker._job_step(store)  # type: ignore[arg-type]
    assert store.looks == 2


def test_a_worker_whose_numbers_nobody_reads_looks_at_no_project() -> None:
    store = Silent()
    Worker(lambda: store, OPTIONS)._job_step(store)  # type: ignore[arg-type, return-value]
    assert store.looks == 0
    kept = [name for name in vars(Metrics) if not name.startswith("_") and name not in ("project", "text")]
    assert kept == [name for name in vars(NoMetrics) if not name.startswith("_")]
