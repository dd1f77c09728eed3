"""All events of a module are read whole and in order, by one call at a time or by two."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pandas as pd
import pytest

from pm_strength.project.store import Store
from pm_strength.scopes import typed_scope
from pm_strength.service import events as reading

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
    order = {trade: number for number, trade in enumerate(sorted(set(columns["trade_id"])))}
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
