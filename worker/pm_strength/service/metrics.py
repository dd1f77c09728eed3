"""A worker's numbers, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ..capture.batch import BatchPlan
from ..json_values import Row
from ..project.store import Store
from .runs import RunReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# How often a worker whose numbers are read looks at the queues and runs.
OBSERVE_SECONDS = 15.0


class NoMetrics:
    """The metrics of a worker that nobody watches: numbers are dropped, and the project is not looked at."""

    def batch(self, plan: BatchPlan, events: int, seconds: float) -> None:
        """As `Metrics.batch`."""

    def job(self, job: str, seconds: float) -> None:
        """As `Metrics.job`."""

    def run(self, report: RunReport) -> None:
        """As `Metrics.run`."""

    def failure(self) -> None:
        """As `Metrics.failure`."""

    def observe(self, store: Store) -> None:
        """As `Metrics.observe`."""


NO_METRICS = NoMetrics()


class Metrics:
    """Counters since the start, and gauges of the project as last looked at."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._messages = Counter(
            "pm_strength_messages",
            "Closed trades taken off the queue, by result.",
            ["result"],
            **self._here(),
        )
        self._events = Counter("pm_strength_events", "Events that were new.", **self._here())
        self._batch = Histogram(
            "pm_strength_batch_seconds",
            "Seconds from a batch's read to its commit.",
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            **self._here(),
        )
        self._job = Histogram(
            "pm_strength_job_seconds",
            "Seconds of a job: sweep, mine or materialize.",
            ["job"],
            buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
            **self._here(),
        )
        self._failures = Counter("pm_strength_failures", "Calls given up after all tries.", **self._here())
        self._depth = Gauge("pm_strength_queue_depth", "Messages on a queue.", ["queue"], **self._here())
        self._lag = Gauge(
            "pm_strength_queue_lag_seconds",
            "Age of the oldest message on a queue.",
            ["queue"],
            **self._here(),
        )
        self._dead = Gauge("pm_strength_dead_letters", "Dead letters that are open.", **self._here())
        self._lessons = Gauge(
            "pm_strength_lessons", "Lessons of a module's last mining run.", ["module"], **self._here()
        )
        self._overrides = Gauge(
            "pm_strength_overrides", "Overrides of a module that are in force.", ["module"], **self._here()
        )
        self._book_age = Gauge(
            "pm_strength_book_age_seconds",
            "Seconds since the overrides of a module that are in force were published.",
            ["module"],
            **self._here(),
        )
        # By module, and by this machine's steady clock.
        self._published: dict[str, float] = {}
        self._observed = 0.0

    def _here(self) -> dict[str, Any]:
        return {"registry": self._registry}

    def _age(self, module: str) -> float:
        return time.monotonic() - self._published[module]

    def _publish(self, module: str, overrides: int, at: float) -> None:
        self._overrides.labels(module).set(overrides)
        self._published[module] = at
        self._book_age.labels(module).set_function(partial(self._age, module))

    def batch(self, plan: BatchPlan, events: int, seconds: float) -> None:
        """A batch that was committed."""
        dead = len(plan.dead) + len(plan.unreadable)
        self._messages.labels("done").inc(len(plan.done_ids))
        self._messages.labels("retried").inc(len(plan.retries))
        self._messages.labels("dead").inc(dead)
        self._events.inc(events)
        self._batch.observe(seconds)

    def job(self, job: str, seconds: float) -> None:
        """A job that was done."""
        self._job.labels(job if job in ("sweep", "mine", "materialize") else "other").observe(seconds)

    def run(self, report: RunReport) -> None:
        """A run that was published."""
        if report.lessons is not None and report.kind == "mine":
            self._lessons.labels(report.module).set(report.lessons)
        if report.overrides is not None:
            self._publish(report.module, report.overrides, time.monotonic())

    def failure(self) -> None:
        """A call that was given up."""
        self._failures.inc()

    def observe(self, store: Store) -> None:
        """Look at the project, if that was more than `OBSERVE_SECONDS` ago."""
        if time.monotonic() < self._observed + OBSERVE_SECONDS:
            return
        modules = store.modules()
        self.project(store.queue_status(), modules, store.published_runs(modules))
        self._observed = time.monotonic()

    def project(self, queues: Row, modules: Iterable[str], runs: Iterable[Row]) -> None:
        """The project as it is: what `Store.queue_status`, `modules` and `published_runs` return."""
        for queue in queues["queues"]:
            self._depth.labels(queue["queue"]).set(queue["depth"])
            self._lag.labels(queue["queue"]).set(queue["oldest_age_seconds"] or 0.0)
        self._dead.set(queues["dead_letters"])
        for run in runs:
            if run["kind"] == "mine":
                self._lessons.labels(run["module"]).set(run["lessons"])
            else:
                # both by the database's clock: this machine's may differ
                age = datetime.fromisoformat(queues["now"]) - datetime.fromisoformat(run["finished_at"])
                self._publish(run["module"], run["overrides"], time.monotonic() - age.total_seconds())
        self._forget_all_but(set(modules))

    def _forget_all_but(self, modules: set[str]) -> None:
        # the project no longer learns for the others: their overrides would only grow old, and alert
        for gauge in (self._lessons, self._overrides, self._book_age):
            for labels in {tuple(sample.labels.values()) for sample in next(iter(gauge.collect())).samples}:
                if labels[0] not in modules:
                    gauge.remove(*labels)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)
