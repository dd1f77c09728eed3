"""What httpx does not hold to: a deadline for a whole call, a limit on what is unpacked, one address."""

from __future__ import annotations

import gzip
import json
import logging
import math
import socket
import time
import traceback
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from pm_strength import StrengthClient
from pm_strength.errors import PermanentStoreError, StoreError, TooMuchError, TransientStoreError
from pm_strength.project.api import Api
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from tests.support import wire
from tests.support.wire import Behaviour, Server, answer

KEY = "sb_secret_MARKER"
# A call that has no deadline of its own would take httpx's 20 s, or for ever.
SOON = 8.0


@contextmanager
def api_to(url: str, try_seconds: float = 30.0, tries: int = 1) -> Iterator[Api]:
    api = Api(Connection(url, KEY), tries=tries, try_seconds=try_seconds, sleep=lambda _: None)
    try:
        yield api
    finally:
        api.close()


def failure(url: str, try_seconds: float = 30.0) -> StoreError:
    with api_to(url, try_seconds) as api, pytest.raises(StoreError) as caught:
        api.rpc("f", a=1)
    shown = "".join(traceback.format_exception(caught.value))
    assert "MARKER" not in shown
    assert "During handling" not in shown
    assert "direct cause" not in shown
    return caught.value


@pytest.mark.parametrize(
    "behaviour", [wire.hang, wire.drip_body, wire.drip_head, wire.drip_interim], ids=lambda b: b.__name__
)
def test_a_call_ends_at_its_deadline_however_slowly_the_answer_drips(behaviour: Behaviour) -> None:
    with Server(behaviour) as server:
        start = time.monotonic()
        assert isinstance(failure(server.url, try_seconds=0.1), TransientStoreError)
        assert time.monotonic() - start < SOON


def test_a_server_that_does_not_read_is_given_up_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        start = time.monotonic()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with api_to(url, 0.1) as api, pytest.raises(TransientStoreError):
            api.rpc("f", a="x" * 50_000_000)
        assert time.monotonic() - start < SOON


def test_each_try_has_its_own_deadline() -> None:
    def second_time_lucky(server: Server, connection: socket.socket) -> None:
        (wire.drip_body if len(server.requests) == 1 else answer(b"5"))(server, connection)

    with Server(second_time_lucky) as server, api_to(server.url, 0.4, tries=2) as api:
        assert api.rpc("f") == 5
        time.sleep(0.5)  # the deadline of the call before is over, and counts no more
        assert api.rpc("f") == 5


def test_gzip_is_asked_for_and_unpacked() -> None:
    value = [{"n": n} for n in range(100_000)]
    packed = gzip.compress(json.dumps(value).encode())
    with Server(answer(packed, content_encoding="gzip")) as server, api_to(server.url) as api:
        assert api.rpc("f") == value
    assert b"accept-encoding: gzip\r\n" in server.requests[0].lower()


def test_a_small_answer_that_unpacks_to_a_huge_one_is_refused() -> None:
    """128 KiB of gzip are 128 MiB; the memory that they cost is bounded too."""
    packed = gzip.compress(b'"' + b"0" * (128 * 2**20) + b'"')
    assert len(packed) < 150 * 2**10
    with Server(answer(packed, content_encoding="gzip")) as server:
        tracemalloc.start()
        error = failure(server.url)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert isinstance(error, PermanentStoreError)
    assert "expected at most 67,108,864 bytes" in str(error)
    assert peak < 100 * 2**20


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("400 Bad", "22P02", PermanentStoreError),
        ("500 Bad", "57014", TooMuchError),
        ("503 Bad", "", TransientStoreError),
    ],
)
def test_of_an_error_only_the_beginning_is_read(status: str, code: str, kind: type[StoreError]) -> None:
    """Its status and code say what it is; so much JSON would hold all threads up for seconds."""
    body = b'{"code":"%s","details":[' % code.encode() + b"[]," * (10 * 2**20) + b"1]}"
    with Server(answer(gzip.compress(body), status, content_encoding="gzip")) as server:
        tracemalloc.start()
        error = failure(server.url)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert isinstance(error, kind)
    assert peak < 5 * 2**20


def test_an_error_that_never_ends_is_read_no_further() -> None:
    def endless(server: Server, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 503 Bad\r\ncontent-type: text/html\r\n\r\n")
        while not server.closed.is_set():
            connection.sendall(b"x" * 2**16)

    with Server(endless) as server:
        start = time.monotonic()
        assert failure(server.url).status == 503
        assert time.monotonic() - start < SOON


@pytest.mark.parametrize("status", ["200 OK", "400 Bad"])
def test_json_that_is_nested_too_deeply_is_no_bug_of_ours(status: str) -> None:
    with Server(answer(b"[" * 50_000 + b"]" * 50_000, status)) as server:
        assert isinstance(failure(server.url), TransientStoreError)


def test_the_runtimes_answers_have_a_limit_of_their_own() -> None:
    """64 KB of gzip would hold all threads of the bot up for ten seconds; 4 KB do so for half a second."""
    packed = gzip.compress(b"[" + b"[]," * 10**6 + b"1]")
    with Server(answer(packed, content_encoding="gzip")) as server:
        tracemalloc.start()
        with StrengthClient(server.url, KEY) as strength:
            assert strength.resolve("p", "entry", {}).reason == "unavailable"
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 10 * 2**20


def test_what_is_not_packed_has_the_same_limit() -> None:
    with Server(answer(b'"' + b"0" * (65 * 2**20) + b'"')) as server:
        assert isinstance(failure(server.url), PermanentStoreError)


@pytest.mark.parametrize(
    ("body", "packing"),
    [
        (zlib.compress(b"5"), "deflate"),
        (b"5", "br"),
        (b"5", "zstd"),
        (gzip.compress(gzip.compress(b"5")), "gzip, gzip"),
        (b"not gzip at all", "gzip"),
        (gzip.compress(b'"' + b"0" * 100_000 + b'"')[:-20], "gzip"),
        (b"", "gzip"),
    ],
    ids=["deflate", "br", "zstd", "twice", "damaged", "cut", "empty"],
)
def test_a_packing_that_was_not_asked_for_or_is_damaged_is_an_error(body: bytes, packing: str) -> None:
    with Server(answer(body, content_encoding=packing)) as server:
        error = failure(server.url)
    assert isinstance(error, TransientStoreError)
    assert "cannot be unpacked" in str(error)


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_the_key_follows_no_redirect(status: str) -> None:
    with Server(answer(b"5")) as other:
        with Server(answer(b"", status, location=f"{other.url}/rest/v1/rpc/f?k=1")) as server:
            error = failure(server.url)
        assert other.requests == []
    assert isinstance(error, PermanentStoreError)
    assert str(error).startswith("SUPABASE_URL: expected ")
    assert f"set SUPABASE_URL={other.url} if" in str(error)


def test_a_redirect_to_the_same_host_by_https_names_the_address_to_set() -> None:
    with Server(answer(b"", "301 Moved", location="https://abc.test/rest/v1/rpc/f")) as server:
        assert "set SUPABASE_URL=https://abc.test if" in str(failure(server.url))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "location", ["/elsewhere", f"https://user:{KEY}@abc.test/{KEY}?{KEY}", "http://[", "mailto:a@b", ""]
)
def test_a_redirect_is_an_error_wherever_it_goes(location: str) -> None:
    with Server(answer(b"", "307 Temporary", location=location)) as server:
        assert isinstance(failure(server.url), PermanentStoreError)
    assert len(server.requests) == 1


def test_a_server_that_repeats_the_key_does_not_get_it_into_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def echo_head(server: Server, connection: socket.socket) -> None:
        connection.sendall(server.asked)
        connection.close()

    def echo_header(server: Server, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nbad header " + KEY.encode() + b"\r\n\r\n")
        connection.close()

    said = json.dumps({"code": "P0001", "message": f"no right for {KEY}", "hint": KEY.upper()}).encode()
    moved = answer(b"", "307 Temporary", location=f"https://{KEY}.test/")
    phrase, header = answer(b"5", f"400 {KEY}"), answer(b"no", "503 Bad", x=KEY)
    with caplog.at_level(logging.DEBUG):
        for behaviour in (
            *(echo_head, echo_header, answer(said, "400 Bad"), answer(said, "503 Bad")),
            *(moved, phrase, header),
        ):
            with Server(behaviour) as server:
                failure(server.url)
                with api_to(server.url, tries=2) as api, pytest.raises(StoreError):
                    api.rpc("f")
    assert caplog.records
    assert all("marker" not in str(record.__dict__).lower() for record in caplog.records)


def test_what_others_send_through_httpx_is_logged_as_before(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), Server(answer(b"5")) as server:
        with api_to(server.url) as api:
            api.rpc("f")
            assert not [record for record in caplog.records if record.name.startswith("http")]
        httpx.get(server.url, trust_env=False)
    assert {"httpx", "httpcore.http11"} <= {record.name for record in caplog.records}


@pytest.mark.parametrize(
    "page",
    [
        {"as_of": KEY, "settings": {}},
        {"as_of": None, "settings": {KEY: 1}},
        {"as_of": None, "settings": {"n_min": "x" * 30 + KEY}},
        {"as_of": None, "settings": {}, "overrides": [{"id": 1, "multiplier": KEY.lower()}]},
        {"as_of": None, "settings": {}, "overrides": [{"id": 1, KEY.upper(): 1}]},
    ],
    ids=["as_of", "settings", "a setting", "an override", "a name"],
)
def test_the_runtime_logs_no_key_that_a_server_repeats(
    page: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def behave(server: Server, connection: socket.socket) -> None:
        whole = {"set_id": 1, "run_id": 1, "gone": False, "overrides": []} | page
        if b'"page_size":0' in server.asked:
            whole["overrides"] = []
        for row in whole["overrides"]:
            group = {"pattern_key": "p", "action_category": "entry", "scope_subset": {}}
            row |= group | {"confidence_score": 0.5}
        answer(json.dumps(whole).encode())(server, connection)

    with (
        caplog.at_level(logging.DEBUG),
        Server(behave) as server,
        StrengthClient(server.url, KEY, deadline_seconds=30) as strength,
    ):
        strength.refresh()
    assert [record for record in caplog.records if record.name.startswith("pm_strength")]
    assert all("marker" not in str(record.__dict__).lower() for record in caplog.records)


@pytest.mark.parametrize("value", ["\ud800", math.inf, {"a": ["\udcff"]}], ids=ascii)
def test_what_cannot_be_sent_is_the_callers_fault(value: Any) -> None:
    with Server(answer(b"5")) as server, api_to(server.url, tries=6) as api:
        for send in (
            lambda: Store(api).resolve("p", "entry", {"a": value}),
            lambda: api.table(lambda client: client.table("t").insert({"a": value})),
        ):
            with pytest.raises(PermanentStoreError, match=r"^The request: expected text and numbers"):
                send()
        with pytest.raises(PermanentStoreError, match=r"^The request: expected text"):
            Store(api).strongest_overrides(1, pattern_key="\ud800")
    assert server.requests == []


def test_a_header_that_cannot_be_sent_is_not_shown() -> None:
    """Connection takes no such key; if one came by another way, httpx's own words would quote it."""
    with Server(answer(b"5")) as server:
        connection = Connection(server.url, KEY)
        object.__setattr__(connection, "key", KEY + "\n")
        api = Api(connection, tries=1)
        with pytest.raises(StoreError) as caught:
            api.rpc("f")
        api.close()
    assert "MARKER" not in "".join(traceback.format_exception(caught.value))


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server(answer(b"5")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//user:word@"))
        with api_to("http://project.test") as api:
            assert api.rpc("f") == 5
        monkeypatch.setenv("no_proxy", "project.test")
        assert isinstance(failure("http://project.test"), TransientStoreError)
    assert len(proxy.requests) == 1
    assert proxy.requests[0].startswith(b"POST http://project.test/rest/v1/rpc/f")
    assert b"proxy-authorization: basic" in proxy.requests[0].lower()
