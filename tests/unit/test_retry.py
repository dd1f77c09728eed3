"""Which error is worth another try, and after how long."""

import json
from pathlib import Path
from typing import Any

import pytest

from pm_strength.errors import (
    AnswerTooLargeError,
    PermanentStoreError,
    TooMuchError,
    TransientStoreError,
)
from pm_strength.project.retry import MAX_DELAY_SECONDS, classify, delay_seconds

CASES = json.loads(
    (Path(__file__).parents[2] / "supabase" / "functions" / "_shared" / "retry.cases.json").read_text()
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_a_failed_call_means(case: dict[str, Any]) -> None:
    """The edge functions are tested with the same table."""
    error = classify(case["status"], case["code"], case.get("message", "It said no."))
    transient = case["means"] == "unavailable"
    assert isinstance(error, TransientStoreError if transient else PermanentStoreError)
    # what asks for less then, page by page, goes by the class
    too_much = isinstance(error, TooMuchError | AnswerTooLargeError)
    assert too_much == case.get("too_much", False)
    assert (error.status, error.code) == (case["status"], case["code"])


@pytest.mark.parametrize("code", ["PGRST200", "PGRST202", "PGRST205"])
def test_what_stays_unknown_is_a_missing_migration_after_a_few_tries(code: str) -> None:
    assert isinstance(classify(404, code, "Not found.", attempt=2), TransientStoreError)
    error = classify(404, code, "Not found.", attempt=3)
    assert isinstance(error, PermanentStoreError)
    assert "supabase db push" in str(error)


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
