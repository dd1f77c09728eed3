"""A server on a real socket that answers as badly as a test wants."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

# What is done on a connection after a request was read; it is closed afterwards.
Behaviour = Callable[["Server", socket.socket], None]


class Server:
    """Answers each request by a behaviour, a thread for each connection; `requests` are all it got."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[bytes] = []
        self._of_this_thread = threading.local()
        self.closed = threading.Event()
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()
        self._listener.close()
        for connection in self._connections:
            connection.close()

    @property
    def asked(self) -> bytes:
        """The request that the behaviour answers; the last of `requests` may be another connection's."""
        request: bytes = self._of_this_thread.request
        return request

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while (request := read_request(connection)) is not None:
                self._of_this_thread.request = request
                self.requests.append(request)
                self.behaviour(self, connection)


def read_request(connection: socket.socket) -> bytes | None:
    """The head and the body of the next request; None where there is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes, status: str = "200 OK", **headers: str) -> Behaviour:
    """A whole answer; JSON unless its headers (`content_type=...`) say otherwise."""
    named = {"content_type": "application/json", "content_length": str(len(body))} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    whole = f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body

    def behave(server: Server, connection: socket.socket) -> None:
        connection.sendall(whole)

    return behave


def hang(server: Server, connection: socket.socket) -> None:
    """Never answers."""
    server.closed.wait(600)


def _drip(start: bytes, drop: bytes) -> Behaviour:
    def behave(server: Server, connection: socket.socket) -> None:
        connection.sendall(start)
        while not server.closed.is_set():
            connection.sendall(drop)
            time.sleep(0.02)

    return behave


drip_body = _drip(
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n[", b" "
)
drip_head = _drip(b"HTTP/1.1 200 OK\r\nx: ", b"y")
# as some proxies keep a connection alive: each has the look of a new answer that will come
drip_interim = _drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n")
