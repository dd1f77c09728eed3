"""Which error is worth another try, and after how long."""

import pytest

from pm_strength.errors import PermanentStoreError, TooMuchError, TransientStoreError
from pm_strength.project.retry import MAX_DELAY_SECONDS, classify, delay_seconds

TRANSIENT = [
    (None, None),  # no answer at all
    (408, None),
    (425, None),
    (429, None),
    (500, None),
    (502, None),
    (503, "PGRST000"),
    (503, "PGRST001"),
    (503, "PGRST002"),
    (504, "PGRST003"),
    (500, "57014"),  # statement time-out
    (400, None),  # not PostgREST's: a connection cut on the way to it
    (503, "57P01"),  # the server is shutting down
    (503, "53300"),  # too many connections
    (400, "40001"),  # serialization
    (400, "40P01"),  # deadlock
    (503, "08006"),
    (500, "XX000"),
    (400, "55P03"),  # lock not available
    (405, "25006"),  # read-only while it recovers
    (404, "PGRST202"),  # a stale schema cache, at first
    (404, "PGRST205"),
    (400, "PGRST204"),
    # the code says it alone, whatever status PostgREST or a gateway makes of it
    *[(400, code) for code in ("08006", "53300", "57P01", "58030", "XX000")],
    *[(400, code) for code in ("PGRST000", "PGRST001", "PGRST002", "PGRST003")],
]
PERMANENT = [
    (400, "22P02"),
    (400, "P0001"),
    (401, "PGRST301"),
    (401, None),
    (403, "42501"),
    (404, None),
    (404, "42883"),
    (409, "23505"),
    (400, "23514"),
    (400, "PGRST100"),
    (500, "55000"),  # a run that is not running any more
    (500, "42P17"),
    *[(500, code) for code in ("0A000", "21000", "22P02", "23514", "28000", "P0001")],
    (422, None),
]


@pytest.mark.parametrize(("status", "code"), TRANSIENT)
def test_worth_another_try(status: int | None, code: str | None) -> None:
    error = classify(status, code, "It said no.")
    assert isinstance(error, TransientStoreError)
    assert (error.status, error.code) == (status, code)


@pytest.mark.parametrize(("status", "code"), PERMANENT)
def test_no_try_will_help(status: int, code: str | None) -> None:
    error = classify(status, code, "It said no.")
    assert isinstance(error, PermanentStoreError)
    assert (error.status, error.code) == (status, code)


@pytest.mark.parametrize("code", ["57014", "53200", "54000"])
def test_what_is_too_much_for_one_call_is_told_apart(code: str) -> None:
    assert isinstance(classify(500, code, "It said no."), TooMuchError)


@pytest.mark.parametrize("code", ["PGRST202", "PGRST204", "PGRST205"])
def test_an_unknown_function_is_a_missing_migration_after_a_few_tries(code: str) -> None:
    assert isinstance(classify(404, code, "Not found.", attempt=2), TransientStoreError)
    error = classify(404, code, "Not found.", attempt=3)
    assert isinstance(error, PermanentStoreError)
    assert ("supabase db push" in str(error)) == (code != "PGRST204")


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (401, None, "SUPABASE_SECRET_KEY"),
        (403, None, "secret (service_role) key"),
        (400, "42501", "secret (service_role) key"),
        (404, None, "SUPABASE_URL"),
        (404, "42P01", "pm-strength repair"),
    ],
)
def test_a_permanent_error_says_what_to_do(status: int, code: str | None, remedy: str) -> None:
    assert remedy in str(classify(status, code, "It said no."))


def test_the_delay_doubles_up_to_a_cap() -> None:
    delays = [delay_seconds(attempt, jitter=0.0) for attempt in range(12)]
    assert delays[:4] == [0.25, 0.5, 1.0, 2.0]
    assert delays[-1] == MAX_DELAY_SECONDS
    assert delays == sorted(delays)
    assert delay_seconds(10_000, 0.0) == MAX_DELAY_SECONDS


def test_jitter_takes_off_up_to_half() -> None:
    assert delay_seconds(2, jitter=0.0) == 1.0
    assert delay_seconds(2, jitter=0.5) == 0.75
    assert 0.5 < delay_seconds(2, jitter=0.999) < 0.51


def test_retry_after_is_kept_to_within_reason() -> None:
    assert delay_seconds(0, 0.0, retry_after=7.0) == 7.0
    assert delay_seconds(6, 0.0, retry_after=1.0) == 16.0
    assert delay_seconds(0, 0.0, retry_after=86_400.0) == 120.0
