"""No call of the client waits longer than its deadline, the first one included: on real sockets."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from pm_strength import StrengthClient
from pm_strength.project.store import Store
from tests.support import wire
from tests.support.wire import Server, answer

DEADLINE = 0.1
# Far above the deadline on a busy machine, far below any time-out of the network.
SOON = 5.0


def page(multiplier: float = 1.5, set_id: int = 1, overrides: int = 0) -> dict[str, Any]:
    return {
        "set_id": set_id,
        "gone": False,
        "run_id": 1,
        "as_of": datetime.now(UTC).isoformat(),
        "settings": {},
        "overrides": [
            {
                "id": number + 1,
                "pattern_key": "p",
                "action_category": "entry",
                "scope_subset": {},
                "multiplier": multiplier,
                "confidence_score": 0.5,
            }
            for number in range(overrides)
        ],
    }


def serve(server: Server, connection: socket.socket) -> None:
    """One override, as `pm_strength_read_overrides` gives it."""
    asked = json.loads(server.asked.partition(b"\r\n\r\n")[2])
    whole = asked["page_size"] and not asked["after_id"]
    answer(json.dumps(page(overrides=1 if whole else 0)).encode())(server, connection)


def timed(call: Callable[[], Any]) -> Any:
    start = time.monotonic()
    result = call()
    assert time.monotonic() - start < SOON
    return result


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


BAD = [wire.hang, wire.drip_body, wire.drip_head]


@pytest.mark.parametrize("behaviour", BAD, ids=lambda behaviour: behaviour.__name__)
def test_the_first_answer_comes_within_the_deadline(behaviour: wire.Behaviour) -> None:
    with Server(behaviour) as server:
        strength = StrengthClient(server.url, "k", deadline_seconds=DEADLINE)
        resolution = timed(lambda: strength.resolve("p", "entry", {}))
        assert (resolution.multiplier, resolution.reason) == (1.0, "unavailable")
        # once the deadline is over nobody waits again, though nothing has come yet
        start = time.monotonic()
        for _ in range(100):
            strength.resolve("p", "entry", {})
        assert time.monotonic() - start < SOON
        assert timed(strength.refresh) is False
        timed(strength.close)
        assert strength.resolve("p", "entry", {}).reason == "unavailable"


def test_a_server_that_refuses_is_answered_for_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with StrengthClient(f"http://127.0.0.1:{port}", "k", deadline_seconds=60) as strength:
        assert timed(lambda: strength.resolve("p", "entry", {})).reason == "unavailable"


@pytest.mark.parametrize("behaviour", BAD, ids=lambda behaviour: behaviour.__name__)
def test_eight_threads_wait_no_longer_than_one(behaviour: wire.Behaviour) -> None:
    waits: list[float] = []
    reasons: list[str] = []

    def ask() -> None:
        start = time.monotonic()
        reasons.append(strength.resolve("p", "entry", {}).reason)
        waits.append(time.monotonic() - start)

    with Server(behaviour) as server, StrengthClient(server.url, "k", deadline_seconds=DEADLINE) as strength:
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert reasons == ["unavailable"] * 8
    assert max(waits) < SOON


def test_what_takes_longer_than_the_deadline_is_loaded_behind() -> None:
    def slow(server: Server, connection: socket.socket) -> None:
        time.sleep(3 * DEADLINE)
        serve(server, connection)

    with Server(slow) as server, StrengthClient(server.url, "k", deadline_seconds=DEADLINE) as strength:
        assert strength.resolve("p", "entry", {}).reason == "unavailable"
        until(lambda: strength.resolve("p", "entry", {}).reason == "matched")
        assert not strength.refresh()


def test_a_load_that_hangs_holds_up_no_answer_from_the_book() -> None:
    with Server(serve) as server, StrengthClient(server.url, "k", deadline_seconds=DEADLINE) as strength:
        until(lambda: strength.resolve("p", "entry", {}).reason == "matched")
        server.behaviour = wire.hang
        asked = len(server.requests)
        assert timed(strength.refresh) is False
        until(lambda: len(server.requests) > asked)
        for _ in range(100):
            assert timed(lambda: strength.resolve("p", "entry", {})).multiplier == 1.5


def test_after_a_request_that_hung_the_next_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pm_strength.client.strength.TRY_SECONDS", 0.3)
    with (
        Server(wire.drip_body) as server,
        StrengthClient(server.url, "k", refresh_seconds=0.1, deadline_seconds=DEADLINE) as strength,
    ):
        assert strength.resolve("p", "entry", {}).reason == "unavailable"
        server.behaviour = serve
        until(lambda: strength.resolve("p", "entry", {}).reason == "matched")


def test_a_large_book_is_loaded_behind_the_first_answer() -> None:
    """As 100,000 overrides are; the size is not what counts, but that loading goes on."""
    rows = page(overrides=20_000)["overrides"]

    class Large:
        def override_page(
            self, set_id: int | None = None, after_id: int = 0, page_size: int = 500, module: str = "pm"
        ) -> Any:
            time.sleep(0.02)
            return page() | {"overrides": rows[after_id : after_id + page_size] if set_id else []}

        def close(self) -> None:
            pass

    with StrengthClient(
        "u", "k", connect=lambda: cast(Store, Large()), deadline_seconds=DEADLINE
    ) as strength:
        assert strength.resolve("p", "entry", {}).reason == "unavailable"
        until(lambda: strength.resolve("p", "entry", {}).matched == 20_000)


def test_two_refreshes_at_once_both_see_what_is_new() -> None:
    """One that was asked for while another was under way begins after it."""
    with Server(serve) as server, StrengthClient(server.url, "k", deadline_seconds=30) as strength:
        strength.resolve("p", "entry", {})
        results: list[bool] = []
        threads = [threading.Thread(target=lambda: results.append(strength.refresh())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert results == [True] * 4
