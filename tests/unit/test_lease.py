"""A lease is extended while the work goes on, whatever the database says to one beat."""

from __future__ import annotations

import threading
from typing import Any, cast

from pm_strength.errors import TransientStoreError
from pm_strength.project.store import Store
from pm_strength.service.lease import Lease


class FakeStore:
    """Out of reach for the first beat."""

    def __init__(self) -> None:
        self.beats: list[tuple[Any, ...]] = []
        self.third = threading.Event()

    def extend(self, *arguments: Any) -> int:
        self.beats.append(arguments)
        if len(self.beats) == 1:
            raise TransientStoreError("restarting")
        if len(self.beats) == 3:
            self.third.set()
        return 1


def test_it_goes_on_after_a_beat_that_failed() -> None:
    store = FakeStore()
    lease = Lease(cast(Store, store), "queue", [7], 60)
    # a third of which passes soon
    lease._visibility_seconds = cast(int, 0.03)
    with lease:
        assert store.third.wait(60)
    assert store.beats[:3] == [("queue", [7], 0.03)] * 3
    assert not lease._thread.is_alive(), "it ends with the work"


def test_it_beats_often_enough_for_two_beats_to_fail() -> None:
    pauses: list[float] = []
    lease = Lease(cast(Store, FakeStore()), "queue", [7], 60)
    lease._done.wait = lambda seconds: bool(pauses.append(seconds)) or len(pauses) > 3  # type: ignore
    lease._beat()
    assert set(pauses) == {20}
