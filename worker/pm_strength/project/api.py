"""Calls to the API of a project, through supabase-py. A failed call is repeated if that can help."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from ..errors import (
    NotJsonError,
    PermanentStoreError,
    RedirectError,
    RefusedError,
    StoreError,
    TooMuchError,
    TransientStoreError,
)
from .connection import Connection
from .retry import classify, delay_seconds

log = logging.getLogger(__name__)

# The server ends a call after 8 s; a client that gives up earlier does not know how the call ended.
TIMEOUT = httpx.Timeout(20.0, connect=5.0)
# The longest that one try may take, however slowly its answer arrives.
TRY_SECONDS = 30.0

T = TypeVar("T")


def import_client() -> None:
    """Import supabase-py now: it takes most of a second, which the first call then need not wait for.

    It also keeps a fork from happening while another thread is in the middle of the import.
    """
    import supabase  # noqa: F401

    from . import transport  # noqa: F401


class Api:
    """The REST API of a project through supabase-py, with our errors and retries.

    A transient error is raised after `tries` tries of at most `try_seconds` each. An answer of more than
    `max_answer_bytes`, unpacked, is an error: reading it would hold up all threads. Writes are repeated
    too, so a call must do no harm if it is made twice. The key is sent to the connection's own address
    only (redirects are not followed), and no error shows it.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        tries: int = 6,
        try_seconds: float = TRY_SECONDS,
        max_answer_bytes: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        # supabase-py takes most of a second to import, and a program that only uses a book does not need it
        from supabase import ClientOptions, create_client

        from .transport import MAX_ANSWER_BYTES, Deadline, Transport

        self._deadline = Deadline()
        max_bytes = max_answer_bytes if max_answer_bytes is not None else MAX_ANSWER_BYTES
        self._http = httpx.Client(
            timeout=TIMEOUT,
            transport=Transport(connection.url, self._deadline, max_bytes),
            event_hooks={"response": [_refuse]},
            follow_redirects=False,
        )
        options = ClientOptions(
            httpx_client=self._http, postgrest_client_timeout=TIMEOUT, postgrest_client_retry=False
        )
        self._client = create_client(connection.url, connection.key, options)
        self._redact = connection.redact
        self._tries = tries
        self._try_seconds = try_seconds
        self._sleep = sleep
        self._jitter = jitter

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def rpc(self, function: str, **params: Any) -> Any:
        """The result of a database function; None where it returns null."""
        return self._call(lambda: self._built(function, params).execute().data)

    def rpc_page(self, function: str, **params: Any) -> Any:
        """As `rpc`, but `TooMuchError` is raised at the first try: the caller asks for a smaller page."""
        return self._call(lambda: self._built(function, params).execute().data, TooMuchError)

    def _built(self, function: str, params: dict[str, Any]) -> Any:
        call = self._client.rpc(function, params)
        if params:
            # given the names, PostgREST does not parse the body, which saves a third of a large call
            call.request.params = call.request.params.set("columns", ",".join(params))
        return call

    def table(self, query: Callable[[Any], Any]) -> Any:
        """The rows of a query that `query` builds on the supabase-py client."""
        return self._call(lambda: query(self._client).execute().data)

    def _call(self, send: Callable[[], T], at_once: type[StoreError] | tuple[()] = ()) -> T:
        attempt = 0
        while True:
            try:
                with self._deadline.within(self._try_seconds):
                    return send()
            except Exception as cause:
                error = _translate(cause, attempt)
                if error is None:
                    raise
            # outside of the handler, so that no other error, which may quote a header, is attached
            error.args = tuple(self._redact(str(part)) for part in error.args)
            if not isinstance(error, TransientStoreError) or isinstance(error, at_once):
                raise error
            if attempt + 1 >= self._tries:
                raise error
            pause = delay_seconds(attempt, self._jitter(), error.retry_after)
            log.info("trying again", extra={"error": str(error), "attempt": attempt, "seconds": pause})
            self._sleep(pause)
            attempt += 1


def _refused(response: httpx.Response) -> RefusedError:
    try:
        body = response.json()
    except (ValueError, RecursionError):
        # the body was cut, but its start still has the code that says whether to try again
        code = re.match(rb'\{"code":"(\w{5,8})",', response.content)
        body = {"code": code[1].decode()} if code else None
    fields = body if isinstance(body, dict) else {}
    # PostgREST leaves both empty when its connection to Postgres broke
    code = fields.get("code") if isinstance(fields.get("code"), str) and fields["code"] else None
    parts = [fields.get(name) for name in ("message", "details", "hint")]
    message = " ".join(part.rstrip(".") + "." for part in parts if isinstance(part, str) and part)
    if not message:
        message = f"The API answered {response.status_code} without an explanation."
    return RefusedError(response.status_code, code, message, _seconds(response.headers.get("Retry-After")))


def _target(response: httpx.Response) -> str | None:
    """The address that an answer redirects to; None if it does not say."""
    try:
        target = response.url.join(response.headers["Location"])
    except (KeyError, ValueError, httpx.InvalidURL):
        return None
    if target.scheme not in ("http", "https") or not target.host:
        return None
    # the address only: the rest of a Location may quote the request
    port = f":{target.port}" if target.port is not None else ""
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{target.scheme}://{host}{port}"


def _refuse(response: httpx.Response) -> None:
    if 300 <= response.status_code < 400:
        raise RedirectError(response.status_code, _target(response))
    if response.status_code >= 400:
        response.read()
        raise _refused(response)
    is_json = "json" in response.headers.get("Content-Type", "")
    if response.status_code == 200 and not is_json:
        raise NotJsonError("not JSON")
    if is_json:
        # supabase-py would return a cut body as text, and an empty one as no rows, so that part of a page
        # would look like all of it. It calls response.json, so the body is parsed only once, here.
        response.read()
        try:
            body = response.json()
        except (ValueError, RecursionError):
            raise NotJsonError("JSON that was cut") from None
        response.json = lambda **_: body  # type: ignore[method-assign]


def _translate(cause: Exception, attempt: int) -> StoreError | None:
    from postgrest import APIError

    if isinstance(cause, RefusedError):
        return classify(
            cause.status, cause.code, cause.message, attempt=attempt, retry_after=cause.retry_after
        )
    if isinstance(cause, StoreError):
        return cause
    if isinstance(cause, RedirectError):
        way = f"set SUPABASE_URL={cause.target}" if cause.target else "set the address that it redirects to"
        return PermanentStoreError(
            f"SUPABASE_URL: expected the address of the API itself, got one that redirects: {way} if that is "
            "your project's (the key was not sent there).",
            status=cause.status,
        )
    if isinstance(cause, httpx.DecodingError):
        return TransientStoreError(f"The API's answer cannot be unpacked: {cause}.")
    if isinstance(cause, httpx.NetworkError | httpx.TimeoutException):
        return TransientStoreError(f"The API is out of reach ({type(cause).__name__}: {cause}).")
    if isinstance(cause, httpx.HTTPError):
        # the messages of the others may quote what was sent or received
        return TransientStoreError(f"The API is out of reach ({type(cause).__name__}).")
    if isinstance(cause, NotJsonError | APIError | ValidationError):
        return TransientStoreError("The API's answer is not the JSON that was expected.")
    if isinstance(cause, ValueError):
        # `_refuse` has parsed the answer, so it is the request that cannot be written as JSON
        return PermanentStoreError(
            f"The request: expected text and numbers that JSON in UTF-8 can hold ({cause})."
        )
    return None


def _seconds(value: str | None) -> float | None:
    """A Retry-After header in seconds: it has a number of seconds, or a date."""
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
