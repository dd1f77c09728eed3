"""`worker`: captures closed trades, and mines and materializes by the schedule."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from ..project.store import Store
from ..service.health import LOOPBACK, HealthServer
from ..service.metrics import Metrics
from ..service.worker import Worker, WorkerOptions, collect_garbage_less
from .output import counted, err
from .target import ProjectDirectory, cache_for, find_project

log = logging.getLogger("pm_strength.worker")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(worker)


def worker(
    drain: Annotated[
        bool, typer.Option("--drain", help="End as soon as nothing on the queues is due.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option(min=1, max=5000, help="How many messages of the queue to handle at once.")
    ] = 500,
    visibility_seconds: Annotated[
        int,
        typer.Option(
            min=10, max=3600, help="Seconds after which the work of a worker that died goes to another one."
        ),
    ] = 60,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            envvar="PM_STRENGTH_PORT",
            help="Answer /healthz, /readyz and /metrics on this port.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            envvar="PM_STRENGTH_HOST",
            help="With --port: the address to listen on. 0.0.0.0 lets other machines reach it.",
        ),
    ] = LOOPBACK,
    directory: ProjectDirectory = None,
) -> None:
    """Turn closed trades into events, and mine and materialize by the schedule, until stopped.

    At Ctrl-C or SIGTERM it finishes the batch in hand and ends; at a second one it ends at once.
    Any number of workers can run side by side.
    """
    package_log = logging.getLogger("pm_strength")
    package_log.setLevel(min(package_log.level, logging.INFO))
    collect_garbage_less()
    connection = find_project(directory)
    messages = events = 0

    def count(batch_messages: int, batch_events: int) -> None:
        nonlocal messages, events
        messages += batch_messages
        events += batch_events

    options = WorkerOptions(batch_size=batch_size, visibility_seconds=visibility_seconds)
    metrics = Metrics()
    running = Worker(
        lambda: Store.connect(connection),
        options,
        on_batch=count,
        metrics=metrics,
        cache=cache_for(connection),
    )
    with stop_on_signal(running.stop), _served(host, port, running, metrics):
        log.info("started", extra={"url": connection.url, "drain": drain})
        if drain:
            running.drain()
        else:
            running.run()
    log.info("stopped", extra={"messages": messages, "events": events})
    if drain:
        _report(Store.connect(connection), messages, events)


@contextmanager
def _served(host: str, port: int | None, running: Worker, metrics: Metrics) -> Iterator[None]:
    if port is None:
        yield
        return
    try:
        server = HealthServer(port, running.alive, running.ready, metrics, host)
    except OSError as error:
        raise typer.BadParameter(
            f"cannot listen on {host}, port {port}: {error.strerror}", param_hint="--host and --port"
        ) from None
    with server:
        log.info("listening", extra={"host": host, "port": server.port})
        yield


def _report(store: Store, messages: int, events: int) -> None:
    try:
        open_letters = store.queue_status()["dead_letters"]
    finally:
        store.close()
    print(
        f"{counted(messages, 'message')} handled, {counted(events, 'new event')}, "
        f"{counted(open_letters, 'open dead letter')}"
    )
    if open_letters:
        err.print("`pm-strength queue` shows why; `pm-strength requeue` tries them again.")


@contextmanager
def stop_on_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first SIGINT or SIGTERM; end the process at the second."""
    received = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal received
        if received:
            # another worker gets what is in hand when its lease runs out
            os._exit(128 + number)
        received = True
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
