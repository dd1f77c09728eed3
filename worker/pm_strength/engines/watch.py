"""What every engine is held to: it is there in time, it has workers, it ends."""

from __future__ import annotations

import socket
import time

from ..errors import EngineError

# To be reached, and to go on without any worker, an engine has so long.
REACH_SECONDS = 10.0
WORKER_SECONDS = 60.0
POLL_SECONDS = 0.2


class Watch:
    """Looks at an engine from time to time; `name` is what errors call it."""

    def __init__(self, name: str, hours: float) -> None:
        self.name = name
        self._hours = hours
        self._end = time.monotonic() + hours * 3600
        self._seen = time.monotonic()

    def look(self, workers: int) -> None:
        """Raise `EngineError` past the deadline, or after a minute without workers."""
        now = time.monotonic()
        if now > self._end:
            raise EngineError(f"{self.name} was not done after {self._hours:g} hours (--hours).")
        if workers:
            self._seen = now
        elif now > self._seen + WORKER_SECONDS:
            raise EngineError(f"{self.name} has had no worker for {WORKER_SECONDS:.0f} s: start its workers.")


def check_reachable(name: str, addresses: list[tuple[str, int]]) -> None:
    """Raise `EngineError` if nobody listens at any of the addresses."""
    said = "there is no address"
    for host, port in addresses:
        try:
            with socket.create_connection((host, port), timeout=REACH_SECONDS):
                return
        except OSError as error:
            said = error.strerror or str(error)
    raise EngineError(f"{name} is not reached: {said}. Is it running, and is --master its address?")
