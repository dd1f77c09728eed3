"""All events of a module are read whole and in order, by one call at a time or by two."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import psycopg
import pytest

from pm_strength.files.event_cache import EventCache
from pm_strength.local.postgres import SUPERUSER
from pm_strength.local.stack import Stack
from pm_strength.project.store import Store
from pm_strength.scopes import typed_scope
from pm_strength.service import events as reading
from pm_strength.service import runs as learning

from .conftest import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
SCOPES: list[dict[str, Any]] = [
    *(
        {},
        {"a": 1, "b": 'line\nbreak, "quoted" {}'},
        {"ü": "ß", "a": -0.5},
        {"a": True, "list": [1, {"x": 2}]},
    ),
    *({"a": "\\", "b": None}, {"n": 9007199254740992, "m": 1e-7}),
]
COLUMNS = (
    "trade_id, pattern_key, action_category, rr, pnl_usd, rpnl_pct, timestamp, action_at, trimmed, reached_s3"
)


def fill(db: Database, count: int) -> None:
    rows = [
        {
            "strand_id": f"s{number}",
            "trade_id": str(UUID(int=(number * 7919) % 1009 << 64 | number % 3)),
            "module": "other" if number % 7 == 0 else "pm",
            "pattern_key": f"p{number % 3}|é",
            "action_category": ("entry", "add", "trim", "exit")[number % 4],
            "scope": SCOPES[number % len(SCOPES)],
            "rr": number / 3 - 50,
            "pnl_usd": None if number % 5 == 0 else -number * 1e-300,
            "rpnl_pct": None if number % 3 == 0 else number * 1e300,
            "timestamp": (START + timedelta(microseconds=number * 1_000_003)).isoformat(),
            "action_at": None if number % 4 == 0 else (START - timedelta(days=number * 1000)).isoformat(),
            "trimmed": (True, False, None)[number % 3],
            "reached_s3": (None, True, False)[number % 3],
        }
        for number in range(1, count + 1)
    ]
    db.execute(
        "insert into pattern_trade_events (strand_id, module, scope, " + COLUMNS + ") "
        "select strand_id, module, scope, " + COLUMNS + " "
        "from jsonb_populate_recordset(null::pattern_trade_events, %s)",
        (json.dumps(rows),),
    )


@pytest.mark.parametrize("split", [True, False])
def test_what_is_read_is_what_the_table_has(
    store: Store, db: Database, monkeypatch: pytest.MonkeyPatch, split: bool
) -> None:
    fill(db, 700)
    monkeypatch.setattr("pm_strength.project.store.EVENT_PAGE", 37)
    monkeypatch.setattr(reading, "SPLIT_IDS", 10 if split else 10**9)
    horizon = db.execute("select max(id) from pattern_trade_events").fetchone()[0]  # type: ignore[index]
    told: list[float] = []
    frame = reading.read_all_events(store, "pm", lambda _, share: told.append(share), horizon)
    rows = db.execute(
        "select scope, " + COLUMNS + " from pattern_trade_events where module = 'pm' order by id"
    ).fetchall()
    assert len(frame) == len(rows) == 600
    assert max(told) <= 1.0
    columns = dict(zip(["scope", *COLUMNS.split(", ")], zip(*rows, strict=True), strict=True))
    held = [{name: value for name, (_, value) in typed_scope(scope).items()} for scope in columns["scope"]]
    assert frame["scope"].tolist() == held
    for name in ("pattern_key", "action_category", "rr"):
        assert frame[name].tolist() == list(columns[name])
    for name in ("pnl_usd", "rpnl_pct"):
        assert [None if pd.isna(value) else value for value in frame[name]] == list(columns[name])
    for name in ("timestamp", "action_at"):
        moments = [None if pd.isna(value) else value.to_pydatetime() for value in frame[name]]
        assert moments == [None if value is None else value.astimezone(UTC) for value in columns[name]]
    for name in ("trimmed", "reached_s3"):
        flags = [None if pd.isna(value) else bool(value) for value in frame[name]]
        assert flags == list(columns[name])
    order = {trade: number for number, trade in enumerate(dict.fromkeys(columns["trade_id"]))}
    assert frame["trade_id"].tolist() == [order[trade] for trade in columns["trade_id"]]


def test_a_page_that_comes_as_the_second_call_ends_is_not_lost(
    store: Store, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db, 100)
    monkeypatch.setattr(reading, "SPLIT_IDS", 10)

    class Late(Future[None]):
        """The other thread does all of its work while it is asked whether it is done."""

        def __init__(self, work: Callable[[], None]) -> None:
            super().__init__()
            self.work = work

        def done(self) -> bool:
            if not super().done():
                self.work()
                self.set_result(None)
            return True

    class OneThread:
        def __init__(self, threads: int) -> None: ...

        def __enter__(self) -> OneThread:
            return self

        def __exit__(self, *raised: object) -> None: ...

        def submit(self, work: Callable[[], None]) -> Late:
            return Late(work)

    monkeypatch.setattr(reading, "ThreadPoolExecutor", OneThread)
    count = db.execute("select count(*) from pattern_trade_events where module = 'pm'").fetchone()[0]  # type: ignore[index]
    assert len(reading.read_all_events(store, "pm", horizon=100)) == count


def test_whoever_is_told_of_the_progress_can_end_it(
    store: Store, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db, 200)
    monkeypatch.setattr("pm_strength.project.store.EVENT_PAGE", 10)
    monkeypatch.setattr(reading, "SPLIT_IDS", 10)

    def stop(what: str, share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reading.read_all_events(store, "pm", stop, 200)


def test_what_the_second_call_meets_is_told(
    store: Store, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db, 100)
    monkeypatch.setattr(reading, "SPLIT_IDS", 10)
    read = store.read_events

    def broken(module: str, after_id: int, up_to_id: int) -> Any:
        if after_id > 0:
            raise ConnectionError("gone")
        return read(module, after_id, up_to_id)

    monkeypatch.setattr(store, "read_events", broken)
    with pytest.raises(ConnectionError, match="gone"):
        reading.read_all_events(store, "pm", horizon=100)


@pytest.fixture
def cache(tmp_path: Path) -> EventCache:
    return EventCache(tmp_path, "http://project", "key")


def read(store: Store, db: Database, cache: EventCache | None) -> tuple[pd.DataFrame, list[int]]:
    """All events, and after which ids the database was asked."""
    found = db.execute(
        "select max(id), (select epoch from pm_strength.event_epoch) from pattern_trade_events"
    )
    horizon, epoch = found.fetchone() or (0, 0)
    asked: list[int] = []
    ask = store.read_events

    def noted(module: str, after_id: int, up_to_id: int) -> Any:
        asked.append(after_id)
        return ask(module, after_id, up_to_id)

    store.read_events = noted  # type: ignore[method-assign]
    try:
        return reading.read_all_events(store, "pm", horizon=horizon, epoch=epoch, cache=cache), asked
    finally:
        store.read_events = ask  # type: ignore[method-assign]


def assert_same(frame: pd.DataFrame, plain: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(frame.drop(columns="scope"), plain.drop(columns="scope"))
    assert frame["scope"].tolist() == plain["scope"].tolist()


def last_id(db: Database) -> int:
    return int((db.execute("select max(id) from pattern_trade_events").fetchone() or (0,))[0])


def test_only_new_events_are_read_where_the_others_were_kept(
    store: Store, db: Database, cache: EventCache
) -> None:
    fill(db, 400)
    first, asked = read(store, db, cache)
    assert asked == [0]
    kept_to = last_id(db)
    again, asked = read(store, db, cache)
    assert asked == [kept_to]
    assert_same(again, first)
    fill_more(db, 400, 450)
    more, asked = read(store, db, cache)
    assert asked == [kept_to]
    assert_same(more, read(store, db, None)[0])
    assert len(more) > len(first)
    # what was read then was kept too
    assert read(store, db, cache)[1] == [last_id(db)]


def fill_more(db: Database, start: int, stop: int) -> None:
    db.execute(
        "insert into pattern_trade_events "
        "(strand_id, module, trade_id, pattern_key, action_category, scope, rr, timestamp) "
        "select 'more ' || n, 'pm', md5('t' || n)::uuid, 'new', 'entry', "
        "jsonb_build_object('a', n, 'late', n %% 2 = 0), n, now() from generate_series(%s::int, %s) n",
        (start, stop),
    )


@pytest.fixture
def superuser(stack: Stack) -> Iterator[Database]:
    with psycopg.connect(stack.postgres().url(SUPERUSER), autocommit=True) as connection:
        yield connection


# What no trigger tells of, as while a backup is restored.
SILENTLY = "set session_replication_role = replica; {} ; set session_replication_role = origin"
ONE = (
    "insert into pattern_trade_events "
    "(id, strand_id, module, trade_id, pattern_key, action_category, scope, rr, timestamp) "
    "overriding system value values ({}, 'another', 'pm', gen_random_uuid(), 'p', 'entry', '{{}}', 1, now())"
)
CHANGES = {
    "one changed": "update pattern_trade_events set rr = 7 where strand_id = 's1'",
    "one removed": "delete from pattern_trade_events where strand_id = 's1'",
    "all removed": "truncate pattern_trade_events restart identity",
    "some removed silently": SILENTLY.format("delete from pattern_trade_events where id % 50 = 0"),
    "one added below": ONE.format(-5) + "; " + ONE.format(7).replace("'another'", "'late'"),
    "a backup that went on otherwise": SILENTLY.format(
        "delete from pattern_trade_events where id = 400; " + ONE.format(400)
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_events_that_are_not_those_that_were_kept_are_all_read_again(
    store: Store, db: Database, superuser: Database, cache: EventCache, change: str
) -> None:
    db.execute("truncate pattern_trade_events restart identity")
    fill(db, 400)
    db.execute("update pattern_trade_events set module = 'other' where id = 7")
    db.execute("delete from pattern_trade_events where id = 7")
    read(store, db, cache)
    superuser.execute(change.encode())
    fill_more(db, 500, 510)
    frame, asked = read(store, db, cache)
    assert asked == [0]
    assert_same(frame, read(store, db, None)[0])
    # and kept anew
    assert read(store, db, cache)[1] == [last_id(db)]


def test_a_run_with_the_cache_makes_the_lessons_of_one_without(
    store: Store, db: Database, cache: EventCache
) -> None:
    fill(db, 700)
    store.write_settings("pm", {"n_min": 5})
    learning.mine(store, cache=cache)
    fill_more(db, 900, 1200)
    learning.mine(store, cache=cache)
    warm = [(row["scope_subset"], row["stats"]) for row in store.lessons()]
    learning.mine(store)
    assert [(row["scope_subset"], row["stats"]) for row in store.lessons()] == warm
    assert len(warm) > 20


def test_a_cache_of_anything_else_is_not_used(store: Store, db: Database, cache: EventCache) -> None:
    fill(db, 300)
    frame, _ = read(store, db, cache)
    kept = cache.load("pm")
    assert kept is not None
    for wrong in (
        {"about": kept["about"]},
        {name: array for name, array in kept.items() if name != "codes"},
        kept | {"about": reading.np_text("{}")},
        kept | {"texts": reading.np_text("[")},
        kept | {"rr": kept["rr"][:-1]},
    ):
        cache.save("pm", wrong)
        again, asked = read(store, db, cache)
        assert asked == [0]
        assert_same(again, frame)
