"""Whether a worker's loops go round, and whether the database answers them."""

from __future__ import annotations

import threading
import time

from ..errors import StoppedError

# A loop without a beat for so long hangs: no wait on the server takes more than a few seconds.
SILENT_SECONDS = 120.0


class Liveness:
    """The beats of a worker's loops, each in its own thread, and whether the loops should stop."""

    def __init__(self) -> None:
        self._beats: dict[str, float] = {}
        self._answered = 0.0
        self._stop = threading.Event()

    def beat(self) -> None:
        """This thread's loop goes on."""
        self._beats[threading.current_thread().name] = time.monotonic()

    def ended(self) -> None:
        """This thread's loop has ended: no beat is expected of it any more."""
        self._beats.pop(threading.current_thread().name, None)

    def answered(self) -> None:
        """The database answered a call."""
        self._answered = time.monotonic()

    def progress(self, what: str, share: float) -> None:
        """A job goes on: a beat. Raises `StoppedError` once the worker should stop."""
        self.beat()
        if self.stopping():
            raise StoppedError("The worker was asked to stop.")

    def stop(self) -> None:
        """Ask all loops to stop; callable from a signal handler."""
        self._stop.set()

    def stopping(self) -> bool:
        """Whether the loops should stop."""
        return self._stop.is_set()

    def pause(self, seconds: float) -> None:
        """Wait so long, or until the worker should stop."""
        self._stop.wait(seconds)

    def alive(self) -> str | None:
        """What is wrong with the loops: None while each came round lately."""
        limit = time.monotonic() - SILENT_SECONDS
        silent = [name for name, at in self._beats.items() if at < limit]
        return f"silent for {SILENT_SECONDS:.0f} s: {', '.join(sorted(silent))}" if silent else None

    def ready(self) -> str | None:
        """Why this worker cannot work: None while the database answers and nothing stops it."""
        if self.stopping():
            return "stopping"
        if not self._answered:
            return "no answer from the database yet"
        if self._answered < time.monotonic() - SILENT_SECONDS:
            return f"no answer from the database for {SILENT_SECONDS:.0f} s"
        return None
