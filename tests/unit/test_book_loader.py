"""How old a book is: by the database's clock, and by times that Python cannot read."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from pm_strength import StrengthClient
from pm_strength.client import book_loader
from pm_strength.client.book_loader import PAGE, BookLoader, DatabaseClock, materialized_at
from pm_strength.errors import TransientStoreError
from pm_strength.project.store import Store


class ClockStore:
    """A database whose clock is `skew` ahead of this machine's, with overrides of `age` by that clock."""

    def __init__(self, skew: timedelta, age: timedelta, says_now: bool = True) -> None:
        self.skew = skew
        self.as_of: Any = (datetime.now(UTC) + skew - age).isoformat()
        self.says_now = says_now
        self.run_id: int | None = 1

    def modules(self) -> list[str]:
        return ["dm", "pm"]

    def override_page(
        self, set_id: int | None = None, after_id: int = 0, page_size: int = 5, module: str = "pm"
    ) -> Any:
        row = {
            "id": 1,
            "pattern_key": "p",
            "action_category": "entry",
            "scope_subset": {},
            "multiplier": 1.5,
            "confidence_score": 0.5,
        }
        answer = {
            "set_id": 1,
            "gone": False,
            "run_id": self.run_id,
            "as_of": self.as_of,
            "settings": {},
            "overrides": [row] if set_id is not None and not after_id else [],
        }
        return answer | ({"now": (datetime.now(UTC) + self.skew).isoformat()} if self.says_now else {})

    def close(self) -> None:
        pass


def client(store: ClockStore) -> StrengthClient:
    return StrengthClient("u", "k", connect=lambda: cast(Store, store), deadline_seconds=30)


SKEWS = [timedelta(), timedelta(days=1), timedelta(days=-1), timedelta(days=4000), timedelta(days=-4000)]


@pytest.mark.parametrize("skew", SKEWS, ids=str)
@pytest.mark.parametrize(("hours", "reason"), [(1, "matched"), (23.9, "matched"), (24.1, "stale")])
def test_age_is_reckoned_by_the_databases_clock(skew: timedelta, hours: float, reason: str) -> None:
    with client(ClockStore(skew, timedelta(hours=hours))) as strength:
        resolution = strength.resolve("p", "entry", {})
        assert resolution.reason == reason
        assert resolution.age_hours == pytest.approx(hours, abs=0.05)


@pytest.mark.parametrize("skew", SKEWS, ids=str)
def test_it_grows_old_by_the_steady_clock(skew: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ClockStore(skew, timedelta(hours=20))
    with client(store) as strength:
        assert strength.resolve("p", "entry", {}).reason == "matched"
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 5 * 3600)
        resolution = strength.resolve("p", "entry", {})
        assert resolution.reason == "stale"
        assert resolution.age_hours == pytest.approx(25, abs=0.05)


def test_a_refresh_takes_the_databases_word_anew() -> None:
    """Though nothing new is published: the database's clock may have been set right."""
    store = ClockStore(timedelta(), timedelta(hours=1))
    with client(store) as strength:
        assert strength.resolve("p", "entry", {}).reason == "matched"
        store.skew = timedelta(hours=30)
        assert strength.refresh()
        assert strength.resolve("p", "entry", {}).reason == "stale"
        store.skew = timedelta()
        assert strength.refresh()
        assert strength.resolve("p", "entry", {}).reason == "matched"


def test_without_the_databases_word_it_is_this_machines_clock() -> None:
    for hours, reason in ((1, "matched"), (25, "stale")):
        with client(ClockStore(timedelta(), timedelta(hours=hours), says_now=False)) as strength:
            assert strength.resolve("p", "entry", {}).reason == reason


@pytest.mark.parametrize("text", [None, "", "soon", "infinity", "-infinity", "10000-01-01T00:00:00+00:00", 5])
def test_a_word_that_is_no_time_counts_as_none(text: Any) -> None:
    clock = DatabaseClock()
    clock.set(text, time.monotonic())
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
TIMES = [
    (None, None),
    ("2026-01-05T10:10:00+00:00", datetime(2026, 1, 5, 10, 10, tzinfo=UTC)),
    ("2026-01-05T10:10:00.123456+02:00", datetime(2026, 1, 5, 8, 10, 0, 123456, tzinfo=UTC)),
    ("infinity", LAST),
    ("10000-01-01T00:00:00+00:00", LAST),
    ("294276-12-31T23:59:59.999999+00:00", LAST),
    ("9999-12-31T23:59:59-05:00", LAST),
    ("-infinity", FIRST),
    ("0044-03-15T12:00:00+00:00 BC", FIRST),
    ("4713-01-01T00:00:00+00:00 BC", FIRST),
    ("0001-01-01T00:00:00+05:00", FIRST),
    ("yesterday", FIRST),
    (5, FIRST),
]


@pytest.mark.parametrize(("text", "moment"), TIMES)
def test_times_that_python_does_not_know_are_its_first_or_last(text: Any, moment: datetime | None) -> None:
    assert materialized_at(text) == moment


@pytest.mark.parametrize(("text", "moment"), TIMES)
def test_no_time_of_materialization_makes_the_book_unavailable(
    text: Any, moment: datetime | None, caplog: pytest.LogCaptureFixture
) -> None:
    store = ClockStore(timedelta(), timedelta())
    store.as_of = text
    with caplog.at_level(logging.WARNING), client(store) as strength:
        resolution = strength.resolve("p", "entry", {})
        assert resolution.matched == 1
        if moment in (FIRST, LAST):
            assert resolution.reason == ("stale" if moment == FIRST else "matched")
            assert "as_of: expected a time" in caplog.text
        str(resolution)
        resolution.to_dict()
        store.as_of = datetime.now(UTC).isoformat()
        assert strength.refresh()
        assert strength.resolve("p", "entry", {}).reason == "matched"


def page_of(*numbers: Any) -> dict[str, Any]:
    """A page of overrides with these ids."""
    row = {"pattern_key": "p", "action_category": "entry", "scope_subset": {}}
    row |= {"multiplier": 1.5, "confidence_score": 0.5}
    version = {"set_id": 1, "gone": False, "run_id": 1, "as_of": None, "settings": {}}
    return version | {"overrides": [row | {"id": number} for number in numbers]}


class Pages:
    """A database whose pages are what a test gives for the id and the size asked for."""

    def __init__(self, give: Callable[[int, int], dict[str, Any]]) -> None:
        self.give = give
        self.asked: list[int] = []

    def override_page(
        self, set_id: int | None = None, after_id: int = 0, page_size: int = 9, module: str = "pm"
    ) -> Any:
        assert len(self.asked) < 5000, "it asks without end"
        if not page_size:
            return page_of()
        self.asked.append(page_size)
        return self.give(after_id, page_size)

    def close(self) -> None:
        pass


def load(pages: Pages, closed: Callable[[], bool] = lambda: False) -> int:
    return len(BookLoader(lambda: cast(Store, pages)).load(None, closed).book)


@pytest.mark.parametrize(
    "give",
    [
        lambda after, size: page_of(1, 2, 3),
        lambda after, size: page_of(after + 1, after + 1),
        lambda after, size: page_of(after + 2, after + 1),
        lambda after, size: page_of("1"),
        lambda after, size: page_of(True),
    ],
    ids=["the same again", "one twice", "backwards", "text", "boolean"],
)
def test_ids_must_rise(give: Callable[[int, int], dict[str, Any]]) -> None:
    pages = Pages(give)
    with pytest.raises(TransientStoreError, match="expected ids that rise"):
        load(pages)
    assert len(pages.asked) <= 2


def test_a_load_has_a_bound_on_rows_and_on_time(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Pages(lambda after, size: page_of(*range(after + 1, after + size + 1)))
    monkeypatch.setattr(book_loader, "MAX_ROWS", 10_000)
    with pytest.raises(TransientStoreError, match="expected at most 10,000, got more"):
        load(endless)
    assert sum(endless.asked) <= 10_000 + PAGE
    slow = Pages(lambda after, size: page_of(after + 1))
    start, ticks = time.monotonic(), itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: start + 20.0 * next(ticks))
    with pytest.raises(TransientStoreError, match="not read within 600 s"):
        load(slow)
    assert len(slow.asked) <= 31


def test_closing_ends_a_load_after_its_page(caplog: pytest.LogCaptureFixture) -> None:
    asked = threading.Event()

    def give(after: int, size: int) -> dict[str, Any]:
        asked.set()
        time.sleep(0.05)
        return page_of(after + 1)

    pages = Pages(give)
    strength = StrengthClient("u", "k", connect=lambda: cast(Store, pages), deadline_seconds=0.01)
    strength.resolve("p", "entry", {})
    assert asked.wait(60)
    thread = strength._refresher._thread
    assert thread is not None
    strength.close()
    thread.join(60)
    assert not thread.is_alive()
    assert not caplog.records, "that it was closed is no failure"


def test_pages_shrink_with_what_comes_and_grow_back() -> None:
    def give(after: int, size: int) -> dict[str, Any]:
        most = 125 if after < 125 else size
        return page_of(*range(after + 1, min(5000, after + min(size, most)) + 1))

    pages = Pages(give)
    assert load(pages) == 5000
    assert pages.asked[:5] == [PAGE, 250, 500, PAGE, PAGE]


@pytest.mark.parametrize(("module", "warnings"), [("pn", 1), ("dm", 0)])
def test_a_module_that_nobody_learns_for_is_warned_of_once(
    module: str, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Its answers are `no_match`, as for a module that has learned nothing yet."""
    store = ClockStore(timedelta(), timedelta())
    store.as_of = store.run_id = None
    with caplog.at_level(logging.WARNING):
        loader = BookLoader(lambda: cast(Store, store), module)
        loader.load(loader.load(None))
    warned = ["The project learns for dm, pm, not for pn: all multipliers are 1.0."]
    assert [record.getMessage() for record in caplog.records] == warned * warnings
