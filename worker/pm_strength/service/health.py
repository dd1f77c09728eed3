"""`/healthz`, `/readyz` and `/metrics` of a worker, on a port of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType
from typing import Self

from .metrics import CONTENT_TYPE, Metrics

LOOPBACK = "127.0.0.1"
# When more come, the oldest is cut: a probe is answered at once, so it is never the oldest for long.
MAX_CONNECTIONS = 64
# The longest that a request and its answer may take together.
REQUEST_SECONDS = 5.0
MAX_HEAD_BYTES = 8192
JSON = "application/json"

# None if all is well, else what is wrong.
Check = Callable[[], str | None]


class HealthServer:
    """Answers while a `with` block runs, in one thread however many connect.

    `/healthz` is 200 while the loops go round, `/readyz` while the database answers too; otherwise both
    are 503 and say in JSON what is wrong. Raises `OSError` if the address cannot be listened on.
    """

    def __init__(self, port: int, alive: Check, ready: Check, metrics: Metrics, host: str = LOOPBACK) -> None:
        self._alive = alive
        self._ready = ready
        self._metrics = metrics
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._socket = socket.create_server(address[:2], family=family)
        self._open: dict[asyncio.Task[None], None] = {}
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._started = threading.Event()
        self._stop: Callable[[], object] = lambda: None

    @property
    def port(self) -> int:
        """The port that it answers on, also where 0 was asked for."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._started.set()

    async def _serve(self) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        server = await asyncio.start_server(self._connected, sock=self._socket, limit=MAX_HEAD_BYTES)
        self._started.set()
        await stopped.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("asyncio runs this as a task")
        self._open[task] = None
        if len(self._open) > MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                writer.write(self._answer(await _request_line(reader)))
                writer.close()
                await writer.wait_closed()
        except (OSError, asyncio.CancelledError):
            # too slow, gone, or let go; asyncio would log a task that ends as cancelled
            pass
        finally:
            self._open.pop(task, None)
            writer.transport.abort()

    def _answer(self, request_line: list[str] | None) -> bytes:
        if request_line is None:
            return _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, {"error": "request too long"})
        if len(request_line) != 3:
            return _response(HTTPStatus.BAD_REQUEST, {"error": "not an HTTP request"})
        method, target, _ = request_line
        if method != "GET":
            return _response(HTTPStatus.NOT_IMPLEMENTED, {"error": "expected GET"})
        path = target.partition("?")[0]
        if path == "/metrics":
            return _response(HTTPStatus.OK, self._metrics.text(), CONTENT_TYPE)
        if path not in ("/healthz", "/readyz"):
            return _response(HTTPStatus.NOT_FOUND, {"error": "not found"})
        problem = self._alive() if path == "/healthz" else self._alive() or self._ready()
        if problem is None:
            return _response(HTTPStatus.OK, {"status": "ok"})
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "failing", "reason": problem})


async def _request_line(reader: asyncio.StreamReader) -> list[str] | None:
    """The words of the first line, once the headers are read too; None if they are too long."""
    try:
        first = line = await reader.readline()
        size = len(first)
        while line not in (b"\r\n", b"\n", b""):
            line = await reader.readline()
            size += len(line)
            if size > MAX_HEAD_BYTES:
                return None
    except ValueError:
        return None
    return first.decode("latin-1").split()


def _response(status: HTTPStatus, body: dict[str, str] | bytes, kind: str = JSON) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content
