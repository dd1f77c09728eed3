"""Daemons that go on after the command that starts them; found again by pid and start time."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

LOG_TAIL_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process of the stack. The start time tells it from a later process with the same pid."""

    pid: int
    started: float

    @classmethod
    def spawn(cls, command: Sequence[str | Path], log: Path, env: Mapping[str, str]) -> Daemon:
        """Start a command in a session of its own. Its output is appended to `log`."""
        # for its owner alone: a program may log what it was sent
        with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
            process = subprocess.Popen(  # never waited for: the daemon goes on
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), **env},
                start_new_session=True,
            )
        return cls(process.pid, psutil.Process(process.pid).create_time())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Daemon | None:
        """The daemon that `to_dict` wrote to the state file; None for None."""
        return None if values is None else cls(int(values["pid"]), float(values["started"]))

    def to_dict(self) -> dict[str, Any]:
        """The daemon for the state file."""
        return asdict(self)

    def is_running(self) -> bool:
        """Whether this very process runs, and is not a zombie."""
        return self._process() is not None

    def stop(self, timeout: float = 5.0) -> None:
        """Ask it to end, and kill it if it still runs after `timeout` seconds."""
        process = self._process()
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(timeout)

    def kill(self) -> None:
        """Kill it, as a crash does."""
        process = self._process()
        if process is not None:
            process.kill()
            process.wait(5)

    def _process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > 1 or process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            return None
        return process


def wait_until(ready: Any, daemon: Daemon, timeout: float) -> bool:
    """Wait at most `timeout` seconds, while the daemon runs, for `ready()`. Returns whether it was true."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if ready():
            return True
        if not daemon.is_running():
            return False
        time.sleep(0.02)
    return False


def tail(log: Path) -> str:
    """The end of a log file, for an error message."""
    if not log.exists():
        return "(no log)"
    return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
