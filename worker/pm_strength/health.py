"""`/healthz`, `/readyz` and `/metrics` of a worker, on a port of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from .metrics import CONTENT_TYPE, Metrics

# A container's port is reached from outside.
ANY_ADDRESS = "0.0.0.0"  # noqa: S104

# None if all is well, else what is not.
Check = Callable[[], str | None]


class HealthServer:
    """Answers while a `with` block runs.

    `/healthz`: 200 while the loops go round, so that a hung worker is started anew. `/readyz`: 200
    while the database answers too. Both say what is wrong in JSON with a 503.
    """

    def __init__(self, port: int, alive: Check, ready: Check, metrics: Metrics) -> None:
        handler = _handler(alive, ready, metrics)
        self._server = ThreadingHTTPServer((ANY_ADDRESS, port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port that it answers on; of use where 0 was asked for."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(alive: Check, ready: Check, metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "pm-strength"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, CONTENT_TYPE, metrics.text())
            elif path in ("/healthz", "/readyz"):
                problem = alive() if path == "/healthz" else alive() or ready()
                body = {"status": "ok"} if problem is None else {"status": "failing", "reason": problem}
                self._answer(
                    200 if problem is None else 503, "application/json", json.dumps(body).encode() + b"\n"
                )
            else:
                self._answer(404, "application/json", b'{"error": "not found"}\n')

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Probes come every few seconds; they are no news."""

    return Handler
