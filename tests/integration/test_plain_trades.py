"""What the database captures by itself is what Python makes of it, and it captures what is plain."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pm_strength.patterns import _ALIASES
from pm_strength.project.store import Store
from pm_strength.service.trades import Trades
from tests.benchmarks.capture_data import copy_strands, trade_rows
from tests.support import strands
from tests.support.project import insert, read

from .conftest import Database, Drain

CASES = Path(__file__).parents[2] / "supabase" / "functions" / "strands" / "strand.cases.json"
Row = dict[str, Any]

CLOSE = {
    "trade_summary": {
        "rr": 1.25,
        "pnl_usd": -3.5,
        "rpnl_pct": None,
        "trimmed": True,
        "exit_timestamp": "2026-03-01T10:00:00Z",
    },
    "entry_context": {"chain": "solana", "rank": 2, "weekend": True, "only_here": "x"},
}
ACTION = {
    "pattern_key": "module=pm|pattern_key=uptrend.S1.buy_flag",
    "action_category": "entry",
    "scope": {"chain": "base", "rank": 3, "score": 0.125, "whole": 5.0},
}

# What a field of a close may hold; plain or not, the answer is Python's.
NUMBERS = (
    *(0, -0.0, 1, 1.5, -2.0, 1.10, 0.1, 1e-7, 123456789012345, 1234567890123456, 0.1234567890123456),
    *(1e15, 1e16, 2**53, 2**53 + 1, 1e300, 1e-300, 5e-324, 0.30000000000000004, 10**30, 10**400),
    *("1", True, None, [], {}, ""),
)
TIMES = (
    *(
        "2026-03-01T10:00:00Z",
        "2026-03-01 10:00:00",
        "2026-03-01T10:00:00.5+02:00",
        "2026-03-01T10:00:00.123456",
    ),
    *("2024-02-29T00:00:00Z", "2026-02-29T00:00:00Z", "2026-02-28T23:59:59Z", "2026-04-31T00:00:00Z"),
    *("2026-12-31T24:00:00Z", "2026-12-31T23:59:60Z", "2026-13-01T00:00:00Z", "2026-03-01T10:00:00+14:59"),
    *("2026-03-01T10:00:00+15:00", "2026-03-01T10:00:00+23:59", "2026-03-01T10:00", "2026-03-01", "20260301"),
    *("2026-03-01T10:00:00.1234567Z", "2026-03-01T10:00:00,5Z", "2026-03-01t10:00:00z", "2026-W09-7", "now"),
    *("0001-01-01T00:00:00Z", "1899-01-01T00:00:00Z", "9999-12-31T23:59:59-10:00", "infinity", " 2026-03-01"),
    *("2026-03-01T10:00:00 Z", "2026-03-01T10:00:00Z\n", "٢026-03-01T10:00:00Z", "2026-03-00T10:00:00Z"),
    *(
        "2026-03-01T10:00:00-00:00",
        "2026-03-30T10:00:00Z",
        "2026-02-30T10:00:00Z",
        "2026-01-31T10:00:00-14:00",
    ),
    *("", 5, None, [], {}, True),
)
FLAGS = (True, False, None, 0, 1, "true", "", [], {})
VALUES = (
    *NUMBERS,
    *(
        "a",
        "x" * 200,
        "x" * 201,
        "é" * 200,
        "é" * 201,
        'say "x"',
        "back\\slash",
        "line\nbreak",
        "tab\t",
        "\x01",
    ),
    *("{}", "[1]", "a: b, c", '", "', "0123456789012345", "1.50", "null", "\u2028", "😀", "a" * 5000, " "),
    *({"a": None}, [None], {"a": {"b": 1}}, False),
)
KEYS = (
    "",
    "x" * 200,
    "x" * 201,
    "é" * 201,
    'we"ird',
    "a.b",
    "back\\slash",
    "chain",
    "1.50",
    "\n",
    "trade_id",
    "__proto__",
)
CATEGORIES = (
    *(alias for aliases in _ALIASES.values() for alias in aliases),
    *("Entry", "E1", "SELL", "\u017fell", "\u0130", "hold", "", "entry ", None, 1, True, [], {}),
)
PATTERNS = ("p", "x" * 500, "x" * 501, "é" * 500, 'odd "quoted"', "\\", "\n", " ", "", None, 1, True, [], {})
COLUMNS: dict[str, tuple[Any, ...]] = {
    "trade_id": (None, "", "nonsense", "OTHER", "UPPER", "PLAIN", " {}", "{}x"),
    "id": ("x" * 500, "x" * 501, 'odd "id"', "é", " "),
    "module": ("pm", "other", ""),
}


def fresh(content: Any) -> Any:
    """A copy, however deep."""
    return json.loads(json.dumps(content))


def changed(content: Row, path: tuple[str, ...], value: Any) -> Row:
    """A copy with another value in one place; `...` takes the key away."""
    result = fresh(content)
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        inner.pop(path[-1], None)
    else:
        inner[path[-1]] = value
    return result


def variants() -> Iterator[tuple[Row, Row, Row]]:
    """A close, an action, and columns of the action: plain but for one thing."""
    plain: tuple[Row, Row, Row] = (CLOSE, ACTION, {})
    for name in ("rr", "pnl_usd", "rpnl_pct"):
        yield from ((changed(CLOSE, ("trade_summary", name), value), ACTION, {}) for value in (*NUMBERS, ...))
    for name in ("trimmed", "reached_s3"):
        yield from ((changed(CLOSE, ("trade_summary", name), value), ACTION, {}) for value in (*FLAGS, ...))
    yield from (
        (changed(CLOSE, ("trade_summary", "exit_timestamp"), value), ACTION, {}) for value in (*TIMES, ...)
    )
    yield from ((changed(CLOSE, ("trade_summary",), value), ACTION, {}) for value in (*FLAGS, ...))
    deep: Any = 1
    for _ in range(700):
        deep = [deep]
    for value in (deep, 1e20, [1e-20], {"more": {"a": [1, 2, None]}}, "x" * 1000):
        yield changed(CLOSE, ("trade_summary", "more"), value), ACTION, {}
        yield changed(CLOSE, ("more",), value), changed(ACTION, ("more",), value), {}
    for place in ("entry_context", "scope"):
        for value in (*VALUES, ...):
            for key in ("chain", "new"):
                yield (
                    (changed(CLOSE, (place, key), value), ACTION, {})
                    if place == "entry_context"
                    else (CLOSE, changed(ACTION, (place, key), value), {})
                )
        for key in KEYS:
            for value in ("v", None, ""):
                yield (
                    (changed(CLOSE, (place, key), value), ACTION, {})
                    if place == "entry_context"
                    else (CLOSE, changed(ACTION, (place, key), value), {})
                )
        for content in (
            {},
            None,
            [],
            "x",
            ...,
            1,
            {f"d{n}": n for n in range(60)},
            {f"d{n}": n for n in range(61)},
            {f"d{n}": n for n in range(64)},
        ):
            yield (
                (changed(CLOSE, (place,), content), ACTION, {})
                if place == "entry_context"
                else (CLOSE, changed(ACTION, (place,), content), {})
            )
        wide = {f"{'k' * 150}{n}": "v" * 190 for n in range(60)}
        yield changed(CLOSE, ("entry_context",), wide), changed(ACTION, ("scope",), wide), {}
        nothing = {"\x01" * 40 + str(n): None for n in range(60)}
        yield CLOSE, changed(ACTION, ("scope",), nothing), {}
    yield from ((CLOSE, changed(ACTION, ("action_category",), value), {}) for value in (*CATEGORIES, ...))
    yield from ((CLOSE, changed(ACTION, ("pattern_key",), value), {}) for value in (*PATTERNS, ...))
    yield from ((CLOSE, ACTION, {name: value}) for name, values in COLUMNS.items() for value in values)
    yield from ((content, ACTION, {}) for content in ([], {}, "x", 5))
    yield from ((CLOSE, content, {}) for content in ([], {}, "x", 5))
    yield from [plain] * 3


def rows_of_variants() -> Iterator[Row]:
    rng = random.Random(9)
    for number, (close, action, columns) in enumerate(variants()):
        trade = str(uuid.UUID(int=rng.getrandbits(128)))
        at = strands.START + timedelta(minutes=number)
        given = {"OTHER": str(uuid.UUID(int=number)), "UPPER": trade.upper(), "PLAIN": trade.replace("-", "")}
        own = {name: given.get(value, value) for name, value in columns.items()}
        if "trade_id" in own and own["trade_id"] is not None:
            own["trade_id"] = own["trade_id"].format(trade)
        if "id" in own:
            own["id"] = f"{own['id'][: len(own['id']) - 4]}{number:04}" if len(own["id"]) > 4 else own["id"]
        yield strands.strand(rng, "position_closed", trade, at + timedelta(hours=1), fresh(close))
        inner = fresh(action)
        if number % 2 and isinstance(inner, dict):
            inner["trade_id"] = trade
        yield strands.strand(rng, "pm_action", trade, at, inner) | own


def put(db: Database, rows: list[Row]) -> None:
    """Strands with any content: the API would refuse some."""
    with db.cursor() as cursor:
        cursor.executemany(
            "insert into ad_strands (id, module, kind, trade_id, created_at, content) "
            "values (%s, %s, %s, %s, %s, %s)",
            [
                (
                    *(row[name] for name in ("id", "module", "kind", "trade_id", "created_at")),
                    json.dumps(row["content"]),
                )
                for row in rows
            ],
        )


def put_cases(db: Database) -> None:
    """Each case of the table with the other half of its trade; numbers arrive as they are written."""
    db.execute(
        """
        with cases as (
          select c.value as row, gen_random_uuid()::text as id, gen_random_uuid()::text as trade,
            c.ordinality as place,
            c.value -> 'strand' ->> 'kind' = 'position_closed' as is_close
          from jsonb_array_elements(%(cases)s::jsonb) with ordinality c
        ), named as (
          select c.*, replace((c.row -> 'strand')::text, %(trade)s, c.trade)::jsonb as strand
          from cases c
        )
        insert into ad_strands (id, module, kind, trade_id, created_at, content)
        select case n.strand ->> 'id' when 's' then n.id else coalesce(n.strand ->> 'id', n.id) end, 'pm',
          n.strand ->> 'kind', n.strand ->> 'trade_id', '2026-01-05 10:00Z'::timestamptz,
          coalesce(n.strand -> 'content', 'null')
        from named n
        union all
        select 'other ' || n.place, 'pm', case when n.is_close then 'pm_action' else 'position_closed' end,
          n.trade, '2026-01-05 09:00Z'::timestamptz,
          case when n.is_close then %(action)s::jsonb else %(close)s::jsonb end
        from named n
        """,
        {
            "trade": "6b7e3c64-41c4-4f1b-a8b4-0d6c1f7a5b11",
            "cases": CASES.read_text(),
            "action": json.dumps(ACTION),
            "close": json.dumps(CLOSE),
        },
    )


def outcome(db: Database) -> list[list[Row]]:
    """Everything that capture leaves behind."""
    events = read(
        db,
        "select strand_id, trade_id::text, module, pattern_key, action_category, scope::text, rr, pnl_usd, "
        "rpnl_pct, trimmed, reached_s3, timestamp, closed_by, action_at "
        "from pattern_trade_events order by strand_id",
    )
    letters = read(db, "select strand_id, code, reason, message from pm_dead_letters order by strand_id")
    waiting = read(db, "select message from pgmq.q_pm_strength_trades order by message::text")
    return [events, letters, waiting]


def again(db: Database) -> None:
    """The same strands on the queue once more, as if none had been captured."""
    db.execute("truncate pattern_trade_events, pm_dead_letters, pgmq.q_pm_strength_trades")
    db.execute(
        """
        select pgmq.send('pm_strength_trades', jsonb_build_object('strand_id', s.id))
        from ad_strands s where s.kind = 'position_closed' and s.module = 'pm' order by s.created_at, s.id
        """
    )


def alone(monkeypatch: pytest.MonkeyPatch, drain: Drain) -> None:
    """Python without the database's help."""
    with monkeypatch.context() as patch:
        patch.setattr(Trades, "_capture_plain", lambda self, store, messages: messages)
        drain()


def fill(store: Store, db: Database, what: str) -> None:
    if what == "variants":
        put(db, list(rows_of_variants()))
    elif what == "cases":
        put_cases(db)
    elif what == "ordinary":
        copy_strands(db, trade_rows(600))
    else:
        for seed in (1, 2, 3):
            insert(store, strands.trades(200, seed))


@pytest.mark.parametrize("what", ["variants", "cases", "ordinary", "odd"])
def test_with_and_without_the_database_the_same_comes_out(
    store: Store, db: Database, drain: Drain, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    fill(store, db, what)
    assert read(db, "select count(*) from ad_strands")[0]["count"] > (100 if what == "cases" else 1000)
    again(db)
    alone(monkeypatch, drain)
    wanted = outcome(db)
    again(db)
    plain = store.capture_plain(store.claim_trades(5000, 1, 0))
    share = {"variants": 0.5, "cases": 0.5, "ordinary": 1, "odd": 0.01}[what]
    assert len(plain["trades"]) >= share * len({event["trade_id"] for event in wanted[0]})
    db.execute("update pgmq.q_pm_strength_trades set vt = now()")
    drain()
    got = outcome(db)
    for these, those in zip(got, wanted, strict=True):
        assert these == those
    assert got[0]
    assert (got[1] != []) == (what not in ("ordinary", "odd"))


def test_what_is_plain_needs_no_worker(store: Store, db: Database, drain: Drain) -> None:
    """Every alias, both forms of a trade id, all ways of writing what bots write most."""
    rng = random.Random(4)
    rows = []
    for number, alias in enumerate([*(alias for aliases in _ALIASES.values() for alias in aliases)] * 4):
        trade = str(uuid.UUID(int=rng.getrandbits(128)))
        at = strands.START + timedelta(minutes=number)
        where = ({"trade_id": trade}, {"trade_id": None}) if number % 3 else ({}, {"trade_id": trade})
        for content, kind in ((ACTION | {"action_category": alias}, "pm_action"), (CLOSE, "position_closed")):
            row = strands.strand(rng, kind, trade, at, fresh(content) | where[0]) | where[1]
            rows.append(row)
        summary = rows[-1]["content"]["trade_summary"]
        summary["exit_timestamp"] = rng.choice(
            [None, "2026-03-01T10:00:00.25Z", "2026-03-01T10:00:00+02:00", "2026-03-01 10:00:00", ...]
        )
        if summary["exit_timestamp"] is ...:
            del summary["exit_timestamp"]
    insert(store, rows)
    messages = store.claim_trades(1000, 60, 0)
    captured = store.capture_plain(messages)
    assert captured["events"] == len(captured["trades"]) == len(rows) // 2
    assert sorted(captured["done"]) == sorted(entry["msg_id"] for entry in messages)
    assert read(db, "select count(*) from pgmq.q_pm_strength_trades") == [{"count": 0}]
    assert store.capture_plain(messages) == {"events": 0, "done": [], "trades": []}, (
        "repeated, it does nothing"
    )


def test_an_open_letter_of_a_plain_trade_is_resolved(store: Store, db: Database, drain: Drain) -> None:
    rows = strands.trades(1, seed=3)
    for row in rows:
        row["content"]["trade_id"] = row["trade_id"] = str(uuid.UUID(int=7))
    rows[0]["content"] |= ACTION
    rows = [rows[0], rows[-1] | {"content": CLOSE}]
    insert(store, rows)
    db.execute(
        "select pm_strength.dead_letter('pm_strength_trades', id, null, 'failed', 'broke', '{}') "
        "from ad_strands"
    )
    assert len(store.dead_letters()) == 2
    assert store.capture_plain(store.claim_trades(10, 60, 0))["events"] == 1
    assert store.dead_letters() == []
