"""What cannot be learned from: set aside with its reason, and learned from once it is mended."""

from __future__ import annotations

import copy
import random
from typing import Any

from pm_strength.project.store import Store
from tests.support import strands
from tests.support.project import assert_events, insert

from .conftest import Database, Drain

BAD_CLOSES: dict[str, tuple[dict[str, Any], str]] = {
    "no trade_id": ({"trade_id": None}, "trade_id"),
    "no uuid": ({"trade_id": "not-a-uuid"}, "trade_id"),
    "a number": ({"content.trade_id": 5}, "content.trade_id"),
    "two that differ": ({"trade_id": "00000000-0000-4000-8000-000000000001"}, "trade_id"),
    "rr missing": ({"rr": ...}, "content.trade_summary.rr"),
    "rr null": ({"rr": None}, "content.trade_summary.rr"),
    "rr NaN": ({"rr": "NaN"}, "content.trade_summary.rr"),
    "rr text": ({"rr": "1.5"}, "content.trade_summary.rr"),
    "rr boolean": ({"rr": True}, "content.trade_summary.rr"),
    "a time that is none": ({"exit_timestamp": "yesterday"}, "content.trade_summary.exit_timestamp"),
    "no summary": ({"trade_summary": []}, "content.trade_summary"),
}
BAD_ACTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown category": ({"action_category": "hodl"}, "content.action_category"),
    "scope that is a list": ({"scope": ["15m"]}, "content.scope"),
    "a 1 MB scope": ({"scope": {f"note{i}": ["x" * 1000] for i in range(1000)}}, "content.scope"),
    "a 1 MB string in a scope": ({"scope": {"note": "x" * 1_000_000}}, "content.scope.note"),
    "too many dimensions": ({"scope": {f"d{i}": i for i in range(65)}}, "content.scope"),
    "a number no double holds": ({"scope": {"id": 2**53 + 1}}, "content.scope.id"),
}


def spoil(row: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    row = copy.deepcopy(row)
    summary = row["content"].get("trade_summary", {})
    for name, value in change.items():
        if name == "trade_id":
            row["trade_id"] = value
            if value is None:
                row["content"].pop("trade_id", None)
        elif name == "content.trade_id":
            row["content"]["trade_id"] = value
            row["trade_id"] = None
        elif name in ("rr", "exit_timestamp"):
            summary[name] = value
            if value is ...:
                del summary[name]
        else:
            row["content"][name] = value
    return row


def test_bad_strands_are_dead_lettered_with_the_field_and_good_ones_learned_from(
    store: Store, db: Database, drain: Drain
) -> None:
    rng = random.Random(3)
    rows = strands.trades(40, seed=11)
    expected: dict[str, str] = {}
    for change, field in BAD_CLOSES.values():
        trade = strands.trade(rng, 100)
        closing = trade[-1]
        closing["trade_id"] = closing["content"]["trade_id"] = (
            trade[-1]["trade_id"] or trade[-1]["content"]["trade_id"]
        )
        trade[-1] = spoil(closing, change)
        expected[trade[-1]["id"]] = field
        rows += trade
    for change, field in BAD_ACTIONS.values():
        trade = strands.trade(rng, 200)
        good, bad = copy.deepcopy(trade[0]), trade[0]
        good["id"] = str(rng.getrandbits(64))
        for row in (good, bad):
            row["content"] |= {"pattern_key": "p", "action_category": "entry", "scope": {}}
        rows += [good, spoil(bad, change), *trade[1:]]
        expected[bad["id"]] = field
    insert(store, rows)
    drain()

    assert_events(db, rows)
    letters = {letter["strand_id"]: letter for letter in store.dead_letters()}
    assert {strand_id: letters[strand_id]["reason"].split(":")[0] for strand_id in expected} == expected
    assert {letter["code"] for strand_id, letter in letters.items() if strand_id in expected} == {
        "bad_strand"
    }
    assert letters.keys() == expected.keys()


def test_a_dead_letter_is_learned_from_once_it_is_mended_and_requeued(
    store: Store, db: Database, drain: Drain
) -> None:
    rows = strands.trades(1)
    good = rows[-1]
    insert(store, [*rows[:-1], spoil(good, {"rr": "1.5"})])
    drain()
    assert [letter["strand_id"] for letter in store.dead_letters()] == [good["id"]]

    assert store.requeue() == 1
    drain()
    assert [letter["strand_id"] for letter in store.dead_letters()] == [good["id"]]

    db.execute(
        "update ad_strands set content = jsonb_set(content, '{trade_summary,rr}', '1.5') where id = %s",
        (good["id"],),
    )
    store.requeue()
    drain()
    assert store.dead_letters() == []
    good["content"]["trade_summary"]["rr"] = 1.5
    assert_events(db, rows)
