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


def answered(variables: dict[str, str], head: str, *headers: str, body: bytes = b"") -> tuple[int, str]:
    """The status and the text of the answer to bytes as they are, after which nothing more is sent."""
    address = urlsplit(variables["API_URL"])
    assert address.hostname is not None
    lines = [f"{head} HTTP/1.1", *headers, f"apikey: {variables['SECRET_KEY']}", "connection: close", "", ""]
    with socket.create_connection((address.hostname, address.port or 80), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1") + body)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return int(answer.split()[1]), answer


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


@pytest.mark.parametrize("method", ["get", "Post", "patch", "delete", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/rest/v1/ad_strands", "/functions/v1/sizing"])
def test_a_method_is_one_that_is_known_in_upper_case(
    variables: dict[str, str], method: str, path: str
) -> None:
    code, answer = answered(variables, f"{method} {path}", "host: gateway", "content-length: 0")
    assert (code, "\r\nallow: GET, HEAD," in answer) == (405, True)


@pytest.mark.parametrize("host", ["[", "a b", "host:99999", "%"])
@pytest.mark.parametrize("path", ["/rest/v1/ad_strands", "/functions/v1/sizing", "/health"])
def test_a_host_that_makes_no_url_is_the_callers_mistake(
    variables: dict[str, str], host: str, path: str
) -> None:
    code, answer = answered(variables, f"GET {path}", f"host: {host}")
    assert code == 400
    assert "host" in answer


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize("name", ["content-type", "prefer", "origin", "x-mood", "range", "accept"])
@pytest.mark.parametrize("value", ["\xff", "caf\xc3\xa9"])
def test_a_header_with_other_bytes_than_ascii_is_named(
    variables: dict[str, str], method: str, name: str, value: str
) -> None:
    headers = ["host: gateway", f"{name}: {value}", "content-length: 2"]
    code, answer = answered(variables, f"{method} /rest/v1/ad_strands", *headers, body=b"[]")
    assert code == 400
    assert f'"{name}: expected ASCII characters."' in answer


@pytest.mark.parametrize("path", ["/rest/v1/ad_strands", "/functions/v1/strands"])
@pytest.mark.parametrize("sent", [1, 1000, MB])
@pytest.mark.parametrize("length", [f"content-length: {2 * MB}", "transfer-encoding: chunked"])
def test_a_body_that_is_cut_is_the_callers_mistake(
    variables: dict[str, str], path: str, sent: int, length: str
) -> None:
    body = b" " * sent if length.startswith("content") else b"%x\r\n" % sent + b" " * sent + b"\r\n"
    code, answer = answered(variables, f"POST {path}", "host: gateway", JSON, length, body=body)
    assert code == 400
    assert "The body: expected all of it" in answer


def test_a_body_of_some_megabytes_goes_through_whole(variables: dict[str, str], clean: None) -> None:
    headers = {"apikey": variables["SECRET_KEY"]}
    for path, megabytes in (("/functions/v1/strands", 7), ("/rest/v1/ad_strands", 20)):
        strand = {"id": path, "module": "m", "kind": "k", "content": {"text": "x" * (megabytes * MB)}}
        url = variables["API_URL"] + path
        assert httpx.post(url, json=strand, headers=headers, timeout=30).status_code == 201
    query = f"{variables['API_URL']}/rest/v1/ad_strands?select=content->>text&id=eq./rest/v1/ad_strands"
    [row] = httpx.get(query, headers=headers, timeout=30).json()
    assert row["text"] == "x" * (20 * MB)
