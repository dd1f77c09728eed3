"""HTTP with two limits that httpx lacks: a deadline for a whole call, and a size for an unpacked answer.

The time-outs of httpx are for each read, so a server that sends a byte a second keeps a call open
forever. It also unpacks answers of any size: 254 KiB of gzip can hold 254 MiB of zeros. And it logs what
a server says, which may be our key, so nothing below a warning is logged for a call made here.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from ..errors import AnswerTooLargeError

# Far more than any answer has: a page of 5,000 overrides has 2 MB.
MAX_ANSWER_BYTES = 64 * 2**20
# How much of an answer with an error status is read: its code and message come first.
MAX_ERROR_BYTES = 64 * 2**10

_STEP = 2**18
# How much is written to a socket at once; the deadline is checked before each piece.
_PIECE = 2**14


class Deadline(threading.local):
    """When this thread's call must have ended, by `time.monotonic`."""

    at = math.inf

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let no wait of this thread's sockets last beyond `seconds` from now."""
        self.at = time.monotonic() + seconds
        _calls.under_way = True
        try:
            yield
        finally:
            _calls.under_way = False
            self.at = math.inf

    def left(self, timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
        """The time-out of one wait in seconds, at most what is left of the call; raises `late` at its end."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise late("the deadline of the whole call is over")
        if left == math.inf:
            return timeout
        return left if timeout is None else min(left, timeout)


# Whether this thread is making a call: a log filter has no other way to know.
_calls = threading.local()


class _Unlogged(logging.Filter):
    """Drops the records below a warning that httpx and httpcore log during a call made here."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or not getattr(_calls, "under_way", False)


for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_Unlogged())


class Transport(httpx.BaseTransport):
    """HTTP/1.1 to the project at `url`, through the proxy that the environment names for it."""

    def __init__(self, url: str, deadline: Deadline, max_answer_bytes: int = MAX_ANSWER_BYTES) -> None:
        self._max_answer_bytes = max_answer_bytes
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            proxy=_proxy(httpx.URL(url)),
            keepalive_expiry=5.0,
            network_backend=_Backend(deadline),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. The body of the answer is unpacked; reading it raises if it is too large."""
        request.headers["Accept-Encoding"] = "gzip"
        with _as_httpx():
            answer = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        headers = httpx.Headers(answer.headers)
        packing = headers.pop("Content-Encoding", "identity").strip().lower()
        # the header gives the packed length
        if packing != "identity":
            headers.pop("Content-Length", None)
        is_error = answer.status >= 400
        max_bytes = min(MAX_ERROR_BYTES, self._max_answer_bytes) if is_error else self._max_answer_bytes
        return httpx.Response(
            answer.status, headers=headers, stream=_Body(answer, packing, max_bytes, cut=is_error)
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    """A body of at most `max_bytes`; a longer one is cut there if `cut` is set, and else is an error."""

    def __init__(self, answer: httpcore.Response, packing: str, max_bytes: int, cut: bool) -> None:
        self._answer = answer
        self._packing = packing
        self._max_bytes = max_bytes
        self._cut = cut

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._unpacked():
            size += len(part)
            if size > self._max_bytes and self._cut:
                yield part[: len(part) - (size - self._max_bytes)]
                return
            if size > self._max_bytes:
                raise AnswerTooLargeError(
                    f"The API's answer: expected at most {self._max_bytes:,} bytes unpacked, got more."
                )
            yield part

    def close(self) -> None:
        self._answer.close()

    def _unpacked(self) -> Iterator[bytes]:
        with _as_httpx():
            if self._packing == "identity":
                yield from self._answer.iter_stream()
            elif self._packing in ("gzip", "x-gzip"):
                yield from _gunzipped(self._answer.iter_stream())
            else:
                raise httpx.DecodingError("it is packed in a way that was not asked for")


def _gunzipped(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The unpacked bytes in pieces of bounded size, however much a packed part holds."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for part in parts:
        while part and not unpacker.eof:
            try:
                step = unpacker.decompress(part, _STEP)
            except zlib.error:
                raise httpx.DecodingError("the gzip is damaged") from None
            if step:
                yield step
            part = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise httpx.DecodingError("the gzip ends too early")


class _Backend(httpcore.NetworkBackend):
    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *others: Any, **options: Any
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._sockets.connect_tcp(host, port, left, *others, **options), self._deadline)

    def sleep(self, seconds: float) -> None:
        self._sockets.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            left = self._deadline.left(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + _PIECE], left)

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Turn the errors of httpcore into those of httpx, which have the same names."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as error:
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise kind(str(error)) from None


def _proxy(url: httpx.URL) -> httpcore.Proxy | None:
    address = getproxies().get(url.scheme) or getproxies().get("all")
    if not address or proxy_bypass(url.host):
        return None
    proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
    return httpcore.Proxy(str(proxy.url), auth=proxy.raw_auth)
