"""After a fork: the child answers from its book, refreshes it by itself, and can be closed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap

import pytest

from tests.support import wire
from tests.support.wire import Server, answer

from .test_client_waits import page

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

# Runs in a process of its own, as a test runner with threads should not fork. `ask` prints what a
# resolution says, and is given up where it waits; the child ends before the parent goes on.
PRELUDE = """
import os, sys, time, threading
from pm_strength import StrengthClient

def ask(strength, until):
    end = time.monotonic() + 20
    while True:
        start = time.monotonic()
        resolution = strength.resolve("p", "entry", {})
        assert time.monotonic() - start < 5, "it waited"
        if until(resolution) or time.monotonic() > end:
            return resolution.reason, resolution.multiplier

def fork(child):
    pid = os.fork()
    if not pid:
        try:
            child()
        except BaseException as error:
            print("child broke:", repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0

def matched(multiplier):
    return lambda resolution: resolution.multiplier == multiplier

strength = StrengthClient(sys.argv[1], "k", refresh_seconds=0.1, deadline_seconds=2.0)
"""


def run(server: Server, script: str) -> list[str]:
    """The lines that a script prints, in a minute at most."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + textwrap.dedent(script), server.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


class Published:
    """A project whose multiplier grows with each connection: 1.1 for the first, 1.2 for the second."""

    def __init__(self) -> None:
        self.peers: list[int] = []

    def __call__(self, server: Server, connection: socket.socket) -> None:
        peer = connection.getpeername()[1]
        if peer not in self.peers:
            self.peers.append(peer)
        number = self.peers.index(peer) + 1
        asked = json.loads(server.asked.partition(b"\r\n\r\n")[2])
        whole = asked["page_size"] and not asked["after_id"]
        body = page(1 + number / 10, number, overrides=1 if whole else 0)
        answer(json.dumps(body).encode())(server, connection)


def test_the_child_has_the_book_and_refreshes_it_over_its_own_connection() -> None:
    with Server(Published()) as server:
        said = run(
            server,
            """
            print(*ask(strength, matched(1.1)), flush=True)
            before = strength._refresher._thread
            def child():
                assert not [t for t in threading.enumerate() if t.name == "pm-strength"]
                first = strength.resolve("p", "entry", {})
                print(first.reason, first.multiplier, flush=True)
                print(*ask(strength, matched(1.2)), strength._refresher._thread is not before, flush=True)
                start = time.monotonic()
                strength.close()
                assert time.monotonic() - start < 5
            fork(child)
            assert strength.refresh()
            print(*ask(strength, matched(1.1)), strength._refresher._thread is before)
            strength.close()
            """,
        )
    assert said == ["matched 1.1", "matched 1.1", "matched 1.2 True", "matched 1.1 True"]


@pytest.mark.parametrize("first", ["resolve", "refresh", "close"])
def test_a_fork_that_falls_into_a_refresh_hangs_nothing(first: str) -> None:
    """What the lost thread held is held by nobody."""

    def first_hangs(server: Server, connection: socket.socket) -> None:
        (wire.hang if len(server.requests) == 1 else published)(server, connection)

    published = Published()
    with Server(first_hangs) as server:
        said = run(
            server,
            f"""
            # the parent need not wait long for what hangs; the child has time for what does not
            strength._refresher._deadline_seconds = 0.3
            strength.resolve("p", "entry", {{}})
            def child():
                strength._refresher._deadline_seconds = 2.0
                start = time.monotonic()
                if "{first}" == "refresh":
                    assert strength.refresh()
                if "{first}" != "close":
                    print(*ask(strength, matched(1.1)), flush=True)
                strength.close()
                print(time.monotonic() - start < 25, flush=True)
            fork(child)
            start = time.monotonic()
            strength.close()
            print(time.monotonic() - start < 5)
            """,
        )
    assert said == [*(["matched 1.1"] if first != "close" else []), "True", "True"]


def test_a_fork_among_threads_that_ask() -> None:
    with Server(Published()) as server:
        said = run(
            server,
            """
            def pound():
                while True:
                    strength.resolve("p", "entry", {})
                    strength.refresh()
            for _ in range(4):
                threading.Thread(target=pound, daemon=True).start()
            ask(strength, matched(1.1))
            def child():
                assert strength.resolve("p", "entry", {}).reason == "matched"
                assert strength.refresh()
                strength.close()
            for _ in range(10):
                fork(child)
            print("done")
            strength.close()
            """,
        )
    assert said == ["done"]
