"""StrengthClient: loads, refreshes, and answers 1.0 with a reason whatever breaks."""

from __future__ import annotations

import gc
import math
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from pm_strength import StrengthClient
from pm_strength.errors import SettingsError, TransientStoreError
from pm_strength.project.store import Store


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
        self.modules: set[str] = set()

    def override_page(
        self, set_id: int | None = None, after_id: int = 0, page_size: int = 5, module: str = "pm"
    ) -> Any:
        self.calls.append((set_id, after_id, page_size))
        self.modules.add(module)
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


def test_a_bot_of_another_module_asks_for_its_overrides() -> None:
    for options, module in (({}, "pm"), ({"module": "dm"}, "dm")):
        store = FakeStore()
        with StrengthClient("u", "k", connect=lambda store=store: cast(Store, store), **options) as strength:
            assert strength.resolve("p", "entry", {}).reason == "matched"
        assert store.modules == {module}, "of the version and of each page"


@pytest.mark.parametrize("module", ["", "m" * 101, None, 5, ["pm"], b"pm", "p\0", "\ud800"], ids=ascii)
def test_a_module_that_cannot_be_one_is_refused_where_the_client_is_made(module: Any) -> None:
    with pytest.raises(SettingsError, match=r"^module: expected a string of 1 to 100 characters, got "):
        StrengthClient("u", "k", connect=lambda: cast(Store, FakeStore()), module=module)


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
    assert strength._refresher._pause() == 5
    strength.resolve("p", "entry", {})
    assert strength._refresher._pause() == 60
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


def test_a_project_out_of_reach_fails_open() -> None:
    with StrengthClient("http://127.0.0.1:1", "k") as strength:
        assert strength.resolve("p", "entry", {"a": 1}).reason == "unavailable"


@pytest.mark.parametrize("name", ["refresh_seconds", "max_age_seconds", "deadline_seconds"])
@pytest.mark.parametrize("value", [0, -1, math.nan, "2", None, True])
def test_seconds_that_are_none_are_refused_at_once(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: expected a number of seconds above 0"):
        StrengthClient("http://x.test", "k", **{name: value})


def test_seconds_may_be_without_end() -> None:
    store = FakeStore()
    ever = math.inf
    with StrengthClient(
        "u",
        "k",
        connect=lambda: cast(Store, store),
        refresh_seconds=ever,
        max_age_seconds=ever,
        deadline_seconds=ever,
    ) as strength:
        assert strength.resolve("p", "entry", {}).multiplier == 1.5
        assert strength.refresh()


def test_a_client_that_nobody_holds_any_more_ends_its_thread() -> None:
    store = FakeStore()
    strength = client(store)
    strength.resolve("p", "entry", {})
    thread = strength._refresher._thread
    assert thread is not None
    del strength
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
    assert store.calls[-1] == ("closed",)


def test_a_machine_without_threads_fails_open(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeStore()

    def no_more(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with client(store) as strength:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", no_more)
            assert strength.resolve("p", "entry", {}).reason == "unavailable"
            assert not strength.refresh()
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 6)
        assert strength.resolve("p", "entry", {}).multiplier == 1.5


def test_a_set_that_goes_each_time_it_is_read_is_given_up() -> None:
    class Restless(FakeStore):
        def override_page(
            self, set_id: int | None = None, after_id: int = 0, page_size: int = 5, module: str = "pm"
        ) -> Any:
            self.gone_after = 0
            return super().override_page(set_id, after_id, page_size)

    store = Restless()
    with client(store) as strength:
        assert strength.resolve("p", "entry", {}).reason == "unavailable"
    assert len(store.calls) < 50


def test_an_override_out_of_bounds_is_refused_with_its_field(caplog: pytest.LogCaptureFixture) -> None:
    store = FakeStore()
    with client(store) as strength:
        assert strength.resolve("p", "entry", {}).multiplier == 1.5
        store.set_id, store.multiplier = 2, 1e308
        assert not strength.refresh()
        assert strength.resolve("p", "entry", {}).multiplier == 1.5
    assert any("multiplier: expected" in str(record.__dict__["error"]) for record in caplog.records)
