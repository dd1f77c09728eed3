"""The worker's health and metrics over HTTP."""

from __future__ import annotations

import math
import time
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pm_strength.health import HealthServer
from pm_strength.jobs import BatchPlan
from pm_strength.learning import RunReport
from pm_strength.metrics import Metrics
from pm_strength.worker import OBSERVE_SECONDS, SILENT_SECONDS, Worker

STATUS: dict[str, Any] = {
    "now": "2026-01-02T00:00:00+00:00",
    "queues": [{"queue": "pm_strength_trades", "depth": 7, "due": 7, "oldest_age_seconds": 12.5}],
    "dead_letters": 3,
}
NEWEST = {
    "mine": {"lessons": 100},
    "materialize": {"overrides": 40, "finished_at": "2026-01-01T00:00:00+00:00"},
}


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


def test_the_numbers() -> None:
    metrics = Metrics()
    assert math.isnan(values(metrics)["pm_strength_book_age_seconds"])
    plan = BatchPlan(done_ids=[1, 2, 3], retries=[{}], unreadable=[9])
    plan.bury("s", "bad_strand", "rr: no")
    metrics.batch(plan, 12, 0.25)
    metrics.job("mine", 4.0)
    metrics.failure()
    metrics.project(STATUS, NEWEST)
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
    assert seen["pm_strength_lessons"] == 100
    assert seen["pm_strength_overrides"] == 40
    # a day by the database's clock, whatever this machine's says
    assert seen["pm_strength_book_age_seconds"] == pytest.approx(86400, abs=60)
    metrics.run(RunReport(run_id=1, kind="mine", lessons=5))
    metrics.run(RunReport(run_id=2, kind="materialize", lessons=5, overrides=2))
    seen = values(metrics)
    assert (seen["pm_strength_lessons"], seen["pm_strength_overrides"]) == (5, 2)
    assert seen["pm_strength_book_age_seconds"] < 60


class Silent:
    """A store that has nothing to do and counts how often it is looked at."""

    def __init__(self) -> None:
        self.looks = 0

    def claim_trades(self, *_: Any) -> list[dict[str, Any]]:
        time.sleep(0.01)
        return []

    def read_job(self, *_: Any) -> None:
        return None

    def runs(self, *_: Any) -> list[Any]:
        self.looks += 1
        return []

    def queue_status(self) -> dict[str, Any]:
        return STATUS

    def close(self) -> None:
        pass


def test_a_worker_is_alive_while_its_loops_go_round_and_ready_while_it_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, metrics = Silent(), Metrics()
    worker = Worker(lambda: store, metrics=metrics)  # type: ignore[arg-type, return-value]
    assert worker.ready() is not None, "it has not been answered yet"
    worker._capture_step(store)  # type: ignore[arg-type]
    worker._beat()
    assert (worker.alive(), worker.ready()) == (None, None)
    later = time.monotonic() + SILENT_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert "MainThread" in str(worker.alive())
    assert "no answer" in str(worker.ready())
    worker._progress("mining", 0.5)
    assert worker.alive() is None, "a job that goes on is no silence"
    worker.stop()
    assert worker.ready() == "stopping"


def test_the_project_is_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    store, metrics = Silent(), Metrics()
    worker = Worker(lambda: store, metrics=metrics)  # type: ignore[arg-type, return-value]
    for _ in range(3):
        worker._observe(store)  # type: ignore[arg-type]
    assert store.looks == 1
    assert values(metrics)["pm_strength_dead_letters"] == 3
    later = time.monotonic() + OBSERVE_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    worker._observe(store)  # type: ignore[arg-type]
    assert store.looks == 2
