"""One call to the project's API: through supabase-py, tried again where that can help."""

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

# The server ends a call after 8 s; a client that gave up earlier would not know how it ended.
TIMEOUT = httpx.Timeout(20.0, connect=5.0)
# After so long one try has ended, however slowly its answer drips.
TRY_SECONDS = 30.0

T = TypeVar("T")


def import_client() -> None:
    """Import supabase-py now: it takes most of a second, which the first call is then spared.

    A fork then also meets no import that is under way in another thread.
    """
    import supabase  # noqa: F401

    from . import transport  # noqa: F401


class Api:
    """A project's REST API as supabase-py gives it, with our errors and retries.

    `tries` calls are made before a transient error is raised, and each has ended after `try_seconds`.
    An answer of more than `max_answer_bytes`, unpacked, is refused: to read it holds all threads up.
    Writes are tried again too, so every call made through here must be idempotent. The key goes to the
    connection's own address alone, and into no error: redirects are not followed.
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
        # supabase-py takes most of a second to import, and a plain book of overrides needs none of it
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
        """As `rpc`, but `TooMuchError` is raised at once: the caller asks for a smaller page."""
        return self._call(lambda: self._built(function, params).execute().data, TooMuchError)

    def _built(self, function: str, params: dict[str, Any]) -> Any:
        call = self._client.rpc(function, params)
        if params:
            # told the names, PostgREST hands the body on without reading it: a third off a large one
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
            # outside of the handler: the error then carries no other, which might quote a header
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
        # of a body that is cut, PostgREST's code still tells whether a retry helps
        code = re.match(rb'\{"code":"(\w{5,8})",', response.content)
        body = {"code": code[1].decode()} if code else None
    fields = body if isinstance(body, dict) else {}
    # where its own connection broke off, PostgREST answers with an empty code and message
    code = fields.get("code") if isinstance(fields.get("code"), str) and fields["code"] else None
    parts = [fields.get(name) for name in ("message", "details", "hint")]
    message = " ".join(part.rstrip(".") + "." for part in parts if isinstance(part, str) and part)
    if not message:
        message = f"The API answered {response.status_code} without an explanation."
    return RefusedError(response.status_code, code, message, _seconds(response.headers.get("Retry-After")))


def _target(response: httpx.Response) -> str | None:
    """The address that an answer sends on to; None if it does not say."""
    try:
        target = response.url.join(response.headers["Location"])
    except (KeyError, ValueError, httpx.InvalidURL):
        return None
    if target.scheme not in ("http", "https") or not target.host:
        return None
    # of what a server says, the address alone: the rest may quote the request
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
        # supabase-py takes a body that was cut for a text, and an empty one for no rows: half a page
        # would pass for all there is. Read here, once: it asks the response for its JSON.
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
        way = f"set SUPABASE_URL={cause.target}" if cause.target else "set the address that it stands for"
        return PermanentStoreError(
            f"SUPABASE_URL: expected the address of the API itself, got one that sends on: {way} if that is "
            "your project's (the key was not sent there).",
            status=cause.status,
        )
    if isinstance(cause, httpx.DecodingError):
        return TransientStoreError(f"The API's answer cannot be unpacked: {cause}.")
    if isinstance(cause, httpx.NetworkError | httpx.TimeoutException):
        return TransientStoreError(f"The API is out of reach ({type(cause).__name__}: {cause}).")
    if isinstance(cause, httpx.HTTPError):
        # the others quote what was sent or received
        return TransientStoreError(f"The API is out of reach ({type(cause).__name__}).")
    if isinstance(cause, NotJsonError | APIError | ValidationError):
        return TransientStoreError("The API's answer is not the JSON that was expected.")
    if isinstance(cause, ValueError):
        # `_refuse` has read the answer, if one came: what is left is what the caller wants to send
        return PermanentStoreError(
            f"The request: expected text and numbers that JSON in UTF-8 can hold ({cause})."
        )
    return None


def _seconds(value: str | None) -> float | None:
    """Retry-After in seconds: a number, or the time of day that it names."""
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
