"""Every error that PM Strength raises on purpose; no other file defines one.

PmStrengthError
├── SettingsError            a learning setting that is unknown or out of range
├── ConnectionSettingsError  no project to talk to, half of what names one, or not an address or a key
├── PatternKeyError          a module or action type that has no pattern key
├── JsonError                a text that is not the JSON that was expected
├── FieldError               a value from outside that its field cannot take
│   ├── ScopeError           a scope over its limits
│   ├── StrandError          a strand that cannot be learned from
│   └── OverrideError        an override with a value that is missing or out of bounds
├── EventsError              a table of events without a column that mining needs
├── FileError                a file that cannot be read or written as asked
├── LineError                a line of a file that is not a strand
├── LessonLimitError         a mining run that would keep more lessons than `max_lessons`
├── EngineError              Dask or Spark: not there, not reached, or a piece that failed on it
├── GateError                a mining run whose lessons do not pay on trades that they have not seen
├── StoreError               the database or its API said no
│   ├── TransientStoreError  worth another try: a cut connection, a 503
│   │   └── TooMuchError     more than one call can do: a time-out
│   └── PermanentStoreError  no try will help: wrong key, missing migration, bad request
│       └── AnswerTooLargeError  an answer beyond what is taken from any server
├── AnswerError              an answer of the API that is not a result; the API makes a StoreError of it
│   ├── RefusedError         an answer with an error status
│   ├── RedirectError        an answer that sends on to another address
│   └── NotJsonError         an answer that is not the JSON that its status promises
├── SupersededRunError       a newer run was published while this one was working
├── ReplacedSetError         the overrides were replaced while they were read
├── StoppedError             the worker was asked to stop while a job was running
└── StackError               the embedded stack cannot start, or is not there
"""

from __future__ import annotations


class PmStrengthError(Exception):
    """Base of all errors raised here; `str(error)` says what to do next."""


class SettingsError(PmStrengthError, ValueError):
    """A learning setting is unknown or out of range.

    `key` names the setting, `expected` says which values are valid.
    """

    def __init__(self, key: str, expected: str, got: object) -> None:
        self.key = key
        self.expected = expected
        super().__init__(f"{key}: expected {expected}, got {got!r}")


class ConnectionSettingsError(PmStrengthError):
    """The environment names no project, or only half of one, or an address or key that cannot be one.

    The message shows neither the address nor the key.
    """


class PatternKeyError(PmStrengthError, ValueError):
    """An action that has no pattern key: a foreign module or an unknown action type."""


class JsonError(PmStrengthError, ValueError):
    """A text that is not the JSON that was expected."""


class FieldError(PmStrengthError, ValueError):
    """A value from outside that its field cannot take.

    `field` is the path of the value, `expected` what would do, and `got` the value as
    `json_values.shown` gives it.
    """

    def __init__(self, field: str, expected: str, got: str) -> None:
        self.field = field
        self.expected = expected
        self.got = got
        super().__init__(f"{field}: expected {expected}, got {got}")


class ScopeError(FieldError):
    """A scope over its limits; `field` is what is over."""


class StrandError(FieldError):
    """A strand that cannot be learned from; `field` is the field at fault."""


class OverrideError(FieldError):
    """An override with a value that is missing or out of bounds; `field` names the value."""

    def __init__(self, field: str, expected: str, got: str, override_id: object) -> None:
        super().__init__(field, expected, got)
        self.args = (f"{self} (override {override_id!s:.60})",)


class EventsError(PmStrengthError, ValueError):
    """A table of events without a column that mining needs; the message names the column."""


class FileError(PmStrengthError):
    """A file that cannot be read or written as asked; the message names it, the row and the column."""


class LineError(PmStrengthError, ValueError):
    """A line of a file that is not a strand; `field` is the field at fault, `problem` what is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field}: {problem}")


class LessonLimitError(PmStrengthError):
    """A mining run found more lessons than `max_lessons` or the memory holds; names the levers."""


class EngineError(PmStrengthError):
    """Dask or Spark is not there or not reached, cannot do what was asked, or failed at a piece it names."""


class GateError(PmStrengthError):
    """The lessons of a mining run fail on trades they have not seen, so they are not published."""


class StoreError(PmStrengthError):
    """The database or its API refused a call.

    `status` is the HTTP status (None where no answer came), `code` the Postgres or PostgREST code.
    """

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        self.status = status
        self.code = code
        super().__init__(message)


class TransientStoreError(StoreError):
    """Another try may succeed; `retry_after` is the server's wish in seconds, if it named one."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, status=status, code=code)


class TooMuchError(TransientStoreError):
    """The call took too long, or its answer was too long: another try, or one that asks for less."""


class PermanentStoreError(StoreError):
    """No retry will help; the message says what to fix."""


class AnswerTooLargeError(PermanentStoreError):
    """The answer is longer, unpacked, than anything that is asked for."""


class AnswerError(PmStrengthError):
    """An answer of the API that is not a result. Callers never see it: they get a `StoreError`."""


class RefusedError(AnswerError):
    """An answer with an error status, before supabase-py drops the status and the headers.

    `retry_after` is the server's wish in seconds, if it named one.
    """

    def __init__(self, status: int, code: str | None, message: str, retry_after: float | None) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        super().__init__(message)


class RedirectError(AnswerError):
    """An answer that sends on to another address; `target` is the one to set instead, if it says."""

    def __init__(self, status: int, target: str | None) -> None:
        self.status = status
        self.target = target
        super().__init__(f"sent on to {target}")


class NotJsonError(AnswerError):
    """A good status with a page of HTML, as a proxy in between gives it, or with JSON that was cut."""


class SupersededRunError(PmStrengthError):
    """A newer run is live already, so this one was not published."""


class ReplacedSetError(PmStrengthError):
    """The overrides were replaced twice while they were read; whoever reads them begins again."""


class StoppedError(PmStrengthError):
    """The worker was asked to stop while a job was running; the job goes back to the queue."""


class StackError(PmStrengthError):
    """The embedded stack cannot start, or is not running."""
