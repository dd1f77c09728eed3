"""The embedded gateway asks for the key first, and holds no more of a body than a little."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from pm_strength.local.stack import Stack

MB = 1024 * 1024
JSON = "content-type: application/json"


@contextmanager
def sending(url: str, path: str, *headers: str) -> Iterator[socket.socket]:
    """A connection on which the head of a request was sent; an answer is waited for 20 s at most."""
    address = urlsplit(url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80), timeout=20) as connection:
        lines = [f"POST {path} HTTP/1.1", "host: gateway", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        yield connection


def status(connection: socket.socket) -> int:
    return int(connection.recv(4096).split()[1])


def send(connection: socket.socket, size: int) -> None:
    """Chunks of so many bytes together, as far as they are taken."""
    chunk = b"%x\r\n" % MB + b" " * MB + b"\r\n"
    try:
        for _ in range(size // MB):
            connection.sendall(chunk)
    except OSError:
        pass  # it has hung up, or takes no more


def memory(stack: Stack) -> int:
    state = json.loads((stack.directory / "state.json").read_text())
    return int(psutil.Process(state["daemons"]["gateway"]["pid"]).memory_info().rss)


@pytest.mark.parametrize("key", ["", "apikey: sb_secret_wrong"])
def test_without_a_key_nothing_of_a_body_is_waited_for(variables: dict[str, str], key: str) -> None:
    headers = [JSON, f"content-length: {50 * MB}", *([key] if key else [])]
    with sending(variables["API_URL"], "/rest/v1/ad_strands", *headers) as connection:
        assert status(connection) == 401


@pytest.mark.parametrize(
    ("path", "limit"), [("/rest/v1/ad_strands", 64 * MB), ("/functions/v1/strands", 16 * MB)]
)
def test_a_body_that_says_it_is_too_long_is_not_waited_for(
    variables: dict[str, str], path: str, limit: int
) -> None:
    headers = [JSON, f"content-length: {limit + 1}", f"apikey: {variables['SECRET_KEY']}"]
    with sending(variables["API_URL"], path, *headers) as connection:
        assert status(connection) == 413


def test_a_function_refuses_a_caller_before_the_body_is_there(variables: dict[str, str]) -> None:
    headers = [JSON, f"content-length: {5 * MB}"]
    with sending(variables["API_URL"], "/functions/v1/strands", *headers) as connection:
        connection.sendall(b" " * MB)
        assert status(connection) == 401


def test_a_body_is_cut_off_at_the_limit_whatever_it_says(variables: dict[str, str], stack: Stack) -> None:
    def body() -> Iterator[bytes]:
        yield b"["
        for _ in range(70):
            yield b" " * MB

    headers = {"apikey": variables["SECRET_KEY"], "content-type": "application/json"}
    url = f"{variables['API_URL']}/rest/v1/ad_strands"
    answer = httpx.post(url, content=body(), headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_long_bodies_of_nobody_take_no_memory(variables: dict[str, str], stack: Stack) -> None:
    before = memory(stack)
    head = ("/functions/v1/strands", JSON, "transfer-encoding: chunked")
    with sending(variables["API_URL"], *head) as one, sending(variables["API_URL"], *head) as other:
        for connection in (one, other):
            connection.settimeout(2)
            send(connection, 200 * MB)
        # both are still going on, as far as the gateway knows
        assert memory(stack) - before < 100 * MB


def test_a_body_of_some_megabytes_goes_through_whole(variables: dict[str, str], clean: None) -> None:
    headers = {"apikey": variables["SECRET_KEY"]}
    for path, megabytes in (("/functions/v1/strands", 7), ("/rest/v1/ad_strands", 20)):
        strand = {"id": path, "module": "m", "kind": "k", "content": {"text": "x" * (megabytes * MB)}}
        url = variables["API_URL"] + path
        assert httpx.post(url, json=strand, headers=headers, timeout=30).status_code == 201
    query = f"{variables['API_URL']}/rest/v1/ad_strands?select=content->>text&id=eq./rest/v1/ad_strands"
    [row] = httpx.get(query, headers=headers, timeout=30).json()
    assert row["text"] == "x" * (20 * MB)
