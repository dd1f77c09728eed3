"""Which failed call is worth another try, and after how long: pure functions, tested by table."""

from __future__ import annotations

from ..errors import (
    AnswerTooLargeError,
    PermanentStoreError,
    StoreError,
    TooMuchError,
    TransientStoreError,
)

BASE_DELAY_SECONDS = 0.25
MAX_DELAY_SECONDS = 30.0
MAX_RETRY_AFTER_SECONDS = 120.0

# Postgres classes: connection, rollback (serialization, deadlock), resources, intervention
# (shutdown, cancel), system and internal errors.
_TRANSIENT_CLASSES = ("08", "40", "53", "57", "58", "XX")
# A lock that somebody holds, and a database that only reads for now.
_TRANSIENT_CODES = ("55P03", "25006")
_TRANSIENT_STATUSES = (408, 425, 429)
# Data, constraints, syntax and rights, limits, a state that forbids the call, `raise`: PostgREST gives
# some of them a 500, but the same call will meet the same answer.
_PERMANENT_CLASSES = ("0A", "21", "22", "23", "28", "42", "54", "55", "P0")
# PostgREST's own codes: a request or a token that it refuses.
_PERMANENT_PREFIXES = ("PGRST1", "PGRST2", "PGRST3")
# A connection that was open while a table changed; PostgREST closes it then.
_STALE_PLAN = "cached plan must not change result type"
# A time-out, no memory: a smaller page may do.
_TOO_MUCH_CODES = ("57014", "53200")
# What Postgres cannot build or index, at any try: only a smaller page may do.
_TOO_LARGE_CODE = "54000"
# A column is the caller's own: who names one that the table lacks is told at once.
UNKNOWN_COLUMN_CODE = "PGRST204"
# PostgREST does not know the function, table or relationship: its copy of the schema is old, or the
# migrations are missing. A few tries tell which.
_UNKNOWN_OBJECT_CODES = ("PGRST200", "PGRST202", "PGRST205")
_UNKNOWN_OBJECT_TRIES = 4


def delay_seconds(attempt: int, jitter: float, retry_after: float | None = None) -> float:
    """Seconds to wait after failed try number `attempt` (from 0).

    Doubles from 0.25 s up to 30 s; `jitter` in [0, 1) takes off up to half, so that workers that
    failed together do not come back together. A server's Retry-After is kept to, up to 2 minutes.
    """
    backoff = min(MAX_DELAY_SECONDS, BASE_DELAY_SECONDS * 2.0 ** min(attempt, 30)) * (1 - jitter / 2)
    if retry_after is None:
        return backoff
    return max(backoff, min(retry_after, MAX_RETRY_AFTER_SECONDS))


def classify(
    status: int | None,
    code: str | None,
    message: str,
    *,
    attempt: int = 0,
    retry_after: float | None = None,
) -> StoreError:
    """The error for a refused call: transient or permanent, with what to do about it.

    `status` is the HTTP status, None if there was no answer; `code` the Postgres or PostgREST
    code, None if the answer has none; `attempt` the number of tries before this one. The edge functions
    decide the same (`failure.ts`); both are tested with retry.cases.json.
    """
    if code in _UNKNOWN_OBJECT_CODES and attempt + 1 >= _UNKNOWN_OBJECT_TRIES:
        remedy = " Apply the migrations with `supabase db push` (or `pm-strength up`)."
        return PermanentStoreError(message + remedy, status=status, code=code)
    if code in _TOO_MUCH_CODES:
        return TooMuchError(message, status=status, code=code, retry_after=retry_after)
    if status is None or _is_transient(status, code, message):
        return TransientStoreError(message, status=status, code=code, retry_after=retry_after)
    kind = AnswerTooLargeError if code == _TOO_LARGE_CODE else PermanentStoreError
    return kind(message + _remedy(status, code), status=status, code=code)


def _is_transient(status: int, code: str | None, message: str) -> bool:
    if status in _TRANSIENT_STATUSES:
        return True
    if code is None:
        # PostgREST gives a 400 without a code where its own connection to Postgres broke off
        return status == 400 or status >= 500
    sql_class = code[:2] if len(code) == 5 else None
    if (
        sql_class in _TRANSIENT_CLASSES
        or code in _TRANSIENT_CODES
        or code in _UNKNOWN_OBJECT_CODES
        or code.startswith("PGRST0")
        or (code == "0A000" and message.startswith(_STALE_PLAN))
    ):
        return True
    return status >= 500 and sql_class not in _PERMANENT_CLASSES and not code.startswith(_PERMANENT_PREFIXES)


def is_data_error(code: str | None) -> bool:
    """Whether Postgres refused what was sent, and not the call: a value, a constraint, a limit of its own."""
    return code is not None and len(code) == 5 and code[:2] in ("22", "23", "54")


def _remedy(status: int, code: str | None) -> str:
    # PostgREST answers a missing right with 403, to a caller without a session with 401
    if status == 403 or code == "42501":
        return " The key lacks the right: use the project's secret (service_role) key."
    if status == 401:
        return " The key is wrong or expired: check SUPABASE_SECRET_KEY."
    if code == "42P01":
        return " If this is a restored database, `pm-strength repair` makes the queues again."
    if status == 404:
        return " Nothing is at that address: check SUPABASE_URL."
    return ""
