"""Every error that PM Strength raises on purpose.

PmStrengthError
├── SettingsError            a learning setting that is unknown or out of range
├── ConnectionSettingsError  no project to talk to, half of what names one, or not an address or a key
├── PatternKeyError          a module or action type that has no pattern key
├── OverrideError            an override with a value that is missing or out of bounds
├── FileError                a file that cannot be read or written as asked
├── LessonLimitError         a mining run that would keep more lessons than `max_lessons`
├── StoreError               the database or its API said no
│   ├── TransientStoreError  worth another try: a cut connection, a 503
│   │   └── TooMuchError     more than one call can do: a time-out
│   └── PermanentStoreError  no try will help: wrong key, missing migration, bad request
│       └── AnswerTooLargeError  an answer beyond what is taken from any server
├── SupersededRunError       a newer run was published while this one was working
└── StackError               the embedded stack cannot start, or is not there
"""

from __future__ import annotations

from decimal import Decimal


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


class OverrideError(PmStrengthError, ValueError):
    """An override with a value that is missing or out of bounds; `field` names the value."""

    def __init__(self, field: str, expected: str, got: object, override_id: object) -> None:
        self.field = field
        super().__init__(f"{field}: expected {expected}, got {_shown(got)} (override {override_id!s:.60})")


class FileError(PmStrengthError):
    """A file that cannot be read or written as asked; the message names it, the row and the column."""


class LessonLimitError(PmStrengthError):
    """A mining run found more lessons than `max_lessons` or the memory holds; names the levers."""


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


class SupersededRunError(PmStrengthError):
    """A newer run is live already, so this one was not published."""


class StackError(PmStrengthError):
    """The embedded stack cannot start, or is not running."""


def _shown(value: object) -> str:
    # a number of thousands of digits, which Python refuses to write out, is of no use to anyone
    if isinstance(value, int) and value.bit_length() > 200:
        return "a longer integer"
    return str(value) if type(value) in (int, float, Decimal) else f"{value!r:.60}"
