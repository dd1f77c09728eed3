"""Faults on the real stack: `make test-faults`; FAULTS=short for the form that runs before a merge."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pm_strength.local.stack import Stack
from tests.integration.conftest import clean, connection, db, drain, stack, store, variables

__all__ = ["clean", "connection", "db", "drain", "stack", "store", "variables"]

PROGRAM = Path(sys.executable).parent / "pm-strength"
SHORT = os.environ.get("FAULTS") == "short"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.faults)


def scale(full: int, short: int) -> int:
    """A number of things: of the full run, or of the short one."""
    return short if SHORT else full


def wait_until(done: Callable[[], bool], seconds: float = 120, said: Callable[[], str] = lambda: "") -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"not done after {seconds} s: {said()[-4000:]}"
        time.sleep(0.05)


class Workers:
    """`pm-strength worker` in processes of their own."""

    def __init__(self, variables: dict[str, str], folder: Path) -> None:
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SUPABASE_")},
            "SUPABASE_URL": variables["API_URL"],
            "SUPABASE_SECRET_KEY": variables["SECRET_KEY"],
        }
        self._folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.logs: list[Path] = []

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        log = self._folder / f"worker-{len(self.logs)}.log"
        self.logs.append(log)
        with log.open("wb") as file:
            process = subprocess.Popen(
                [str(PROGRAM), "worker", "--visibility-seconds", "10", *options],
                env=self.environment,
                stdout=file,
                stderr=file,
                # Ctrl-C in the terminal is for the tests
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def kill_one(self, rng: random.Random) -> None:
        """kill -9 of one of them."""
        victim = rng.choice(self.running)
        self.running.remove(victim)
        victim.send_signal(signal.SIGKILL)
        victim.wait()

    def stop(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running = []

    def said(self) -> str:
        return "\n".join(log.read_text() for log in self.logs)


@pytest.fixture
def workers(variables: dict[str, str], tmp_path: Path, clean: None) -> Iterator[Workers]:
    workers = Workers(variables, tmp_path)
    yield workers
    workers.stop()


@pytest.fixture
def whole(stack: Stack) -> Iterator[Stack]:
    """The stack, all of it running again afterwards."""
    yield stack
    stack.up()
