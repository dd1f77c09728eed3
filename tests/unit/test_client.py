"""StrengthClient: loads, refreshes, and answers 1.0 with a reason whatever breaks."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from pm_strength import StrengthClient
from pm_strength.errors import TransientStoreError
from pm_strength.store import Store


class FakeStore:
    """Serves sets of overrides in pages; `broken` cuts the network."""

    def __init__(self) -> None:
        self.set_id = 1
        self.multiplier = 1.5
        self.as_of: datetime | None = datetime.now(UTC)
        self.settings: dict[str, Any] = {}
        self.broken = False
        self.gone_after: int | None = None
        self.calls: list[tuple[Any, ...]] = []
        self.pause = 0.0

    def override_page(self, set_id: int | None = None, after_id: int = 0, page_size: int = 5) -> Any:
        self.calls.append((set_id, after_id, page_size))
        time.sleep(self.pause)
        if self.broken:
            raise TransientStoreError("out of reach")
        page: dict[str, Any] = {
            "set_id": self.set_id,
            "gone": False,
            "run_id": self.set_id,
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "settings": self.settings,
            "overrides": [],
        }
        if set_id is not None and page_size:
            if self.gone_after == after_id:
                self.gone_after = None
                self.set_id += 1
                return page | {"gone": True}
            if after_id < 3:
                page["overrides"] = [
                    {
                        "id": after_id + 1,
                        "pattern_key": "p",
                        "action_category": "entry",
                        "scope_subset": {},
                        "multiplier": self.multiplier,
                        "confidence_score": 0.5,
                    }
                ]
        return page

    def close(self) -> None:
        self.calls.append(("closed",))


def client(store: FakeStore, refresh_seconds: float = 60) -> StrengthClient:
    return StrengthClient(
        "http://x.test", "k", connect=lambda: cast(Store, store), refresh_seconds=refresh_seconds
    )


def test_the_first_call_loads_all_pages() -> None:
    store = FakeStore()
    with client(store) as strength:
        resolution = strength.resolve("p", "entry", {})
        assert (resolution.multiplier, resolution.matched, resolution.run_id) == (1.5, 3, 1)
    assert store.calls[-1] == ("closed",)


def test_nothing_changed_costs_one_small_request() -> None:
    store = FakeStore()
    with client(store) as strength:
        strength.resolve("p", "entry", {})
        store.calls.clear()
        assert strength.refresh()
        assert store.calls == [(None, 0, 0)]


def test_a_new_set_or_new_settings_are_loaded() -> None:
    store = FakeStore()
    with client(store) as strength:
        strength.resolve("p", "entry", {})
        store.set_id, store.multiplier = 2, 2.0
        assert strength.refresh()
        assert strength.resolve("p", "entry", {}).multiplier == 2.0
        store.settings = {"multiplier_max": 1.25}
        assert strength.refresh()
        assert strength.resolve("p", "entry", {}).multiplier == 1.25


@pytest.mark.parametrize("after_id", [0, 2])
def test_a_set_that_goes_while_it_is_read_is_read_anew(after_id: int) -> None:
    """From its start: a book of rows of two sets would size from half a run."""
    store = FakeStore()
    store.gone_after = after_id
    with client(store) as strength:
        resolution = strength.resolve("p", "entry", {})
        assert (resolution.matched, resolution.run_id) == (3, 2)


def test_it_starts_in_a_dead_network_and_heals() -> None:
    store = FakeStore()
    store.broken = True
    with client(store, refresh_seconds=0.02) as strength:
        resolution = strength.resolve("p", "entry", {})
        assert (resolution.multiplier, resolution.reason) == (1.0, "unavailable")
        store.broken = False
        deadline = time.monotonic() + 10
        while strength.resolve("p", "entry", {}).reason == "unavailable" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert strength.resolve("p", "entry", {}).multiplier == 1.5


def test_the_book_of_before_answers_while_the_network_is_down_and_then_is_stale() -> None:
    store = FakeStore()
    with client(store) as strength:
        strength.resolve("p", "entry", {})
        store.broken = True
        assert not strength.refresh()
        assert strength.resolve("p", "entry", {}).multiplier == 1.5
    store = FakeStore()
    store.as_of = datetime.now(UTC) - timedelta(hours=25)
    with client(store) as strength:
        resolution = strength.resolve("p", "entry", {})
        assert (resolution.multiplier, resolution.reason) == (1.0, "stale")


def test_a_book_that_could_not_be_refreshed_for_long_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeStore()
    with StrengthClient("u", "k", connect=lambda: cast(Store, store), max_age_seconds=100) as strength:
        assert strength.resolve("p", "entry", {}).multiplier == 1.5
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 99)
        assert strength.resolve("p", "entry", {}).multiplier == 1.5
        monkeypatch.setattr(time, "monotonic", lambda: now + 101)
        resolution = strength.resolve("p", "entry", {})
        assert (resolution.multiplier, resolution.reason, resolution.matched) == (1.0, "stale", 3)
        assert strength.resolve("", "entry", {}).reason == "bad_input"
        assert strength.refresh()
        assert strength.resolve("p", "entry", {}).multiplier == 1.5


def test_a_client_without_a_book_asks_soon_again() -> None:
    store = FakeStore()
    strength = client(store, refresh_seconds=60)
    assert strength._pause() == 5
    strength.resolve("p", "entry", {})
    assert strength._pause() == 60
    strength.close()


def test_a_connection_that_cannot_be_made_is_unavailable() -> None:
    def explode() -> Store:
        raise RuntimeError("no supabase here")

    with StrengthClient("http://x.test", "k", connect=explode) as strength:
        assert strength.resolve("p", "entry", {}).reason == "unavailable"


def test_early_callers_all_wait_for_the_book() -> None:
    store = FakeStore()
    store.pause = 0.05
    answers: list[float] = []
    with client(store) as strength:
        threads = [
            threading.Thread(target=lambda: answers.append(strength.resolve("p", "entry", {}).multiplier))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [1.5] * 8


def test_after_close_it_still_answers() -> None:
    strength = client(FakeStore())
    strength.close()
    assert strength.resolve("p", "entry", {}).reason == "unavailable"


@pytest.mark.parametrize("url", ["", "not a url", "http://127.0.0.1:1"])
def test_any_address_fails_open(url: str) -> None:
    with StrengthClient(url, "k") as strength:
        assert strength.resolve("p", "entry", {"a": 1}).reason == "unavailable"
