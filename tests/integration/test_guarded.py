"""The guarded profile on a project: from events to a size that says why."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from pm_strength import LearningSettings, OverrideBook, StrengthClient
from pm_strength.project.store import Store
from pm_strength.service import runs as learning

from ..support import planted
from .conftest import Database


def fill(db: Database, events: pd.DataFrame) -> None:
    with db.cursor().copy(
        "copy pattern_trade_events (strand_id, trade_id, pattern_key, action_category, scope, rr, "
        '"timestamp", action_at) from stdin'
    ) as copy:
        for number, row in enumerate(events.to_dict("records")):
            copy.write_row(
                (
                    *(f"s{row['trade_id']}{number}", row["trade_id"], row["pattern_key"]),
                    *(row["action_category"], json.dumps(row["scope"]), row["rr"]),
                    *(row["timestamp"], row["action_at"]),
                )
            )


def learn(store: Store) -> list[dict[str, Any]]:
    learning.mine(store)
    learning.materialize(store)
    return store.overrides()


def test_few_overrides_size_by_their_sum_everywhere(
    store: Store, db: Database, variables: dict[str, str]
) -> None:
    made = planted.few_strong(1, 4000)
    fill(db, made.events)
    store.write_settings("pm", {"profile": "guarded", "ae_multipliers": True})
    rows = learn(store)
    assert 5 < len(rows) < 100
    lessons = {json.dumps([r["action_category"], r["scope_subset"]]): r["stats"] for r in store.lessons()}
    for row in rows:
        stats = lessons[json.dumps([row["action_category"], row["scope_subset"]])]
        assert row["multiplier"] == pytest.approx(1 + 2 * stats["effect"], rel=1e-12)
        assert row["stats"]["n_effective"] == stats["n_effective"]
        assert row["stats"]["claimed_at"] == (stats["claimed_at"] if row["scope_subset"] else None)

    book = OverrideBook(rows, LearningSettings(profile="guarded"))
    asked = made.events.sample(300, random_state=1)[["pattern_key", "action_category", "scope"]]
    requests: list[dict[str, Any]] = [
        {str(name): value for name, value in row.items()} for row in asked.to_dict("records")
    ]
    answers = store.resolve_batch(requests, None)
    with StrengthClient(variables["API_URL"], variables["SECRET_KEY"]) as client:
        for request, answer in zip(requests, answers, strict=True):
            wanted = book.resolve(**request)
            got = client.resolve(**request)
            assert answer["strategy"] == wanted.strategy == got.strategy == "sum"
            assert answer["multiplier"] == pytest.approx(wanted.multiplier, rel=1e-12)
            assert got.multiplier == pytest.approx(wanted.multiplier, rel=1e-12)
            assert [match.explain() for match in got.matches] == [match.explain() for match in wanted.matches]
            shown = {match["id"]: match.get("stats") for match in answer["matches"]}
            assert shown == {match.id: match.stats for match in wanted.matches}


def test_claims_go_on_from_run_to_run(store: Store, db: Database) -> None:
    events = planted.few_strong(1, 4000).events.sort_values("timestamp", ignore_index=True)
    store.write_settings("pm", {"profile": "guarded"})
    fill(db, events[:4000])
    first = {json.dumps(r["scope_subset"]): r["stats"] for r in learn(store) if r["scope_subset"]}
    newest = events.timestamp[3999].floor("us").isoformat()
    assert {stats["claimed_at"] for stats in first.values()} == {newest}
    assert {stats["drift"] for stats in first.values()} == {None}
    fill(db, events[4000:])
    second = {json.dumps(r["scope_subset"]): r["stats"] for r in learn(store) if r["scope_subset"]}
    again = first.keys() & second.keys()
    assert again
    for scope in again:
        assert second[scope]["claimed"] == first[scope]["claimed"]
        assert second[scope]["claimed_at"] == first[scope]["claimed_at"]
        assert 0 < second[scope]["drift"] < 20


def test_a_change_of_profile_counts_from_the_next_run_on(store: Store, db: Database) -> None:
    """Overrides of the source, summed, would be a wrong size."""
    events = planted.few_strong(1, 1500).events
    fill(db, events)
    learn(store)
    row = events.iloc[0]
    request = (row["pattern_key"], row["action_category"], row["scope"])
    before = store.resolve(*request)
    store.write_settings("pm", {"profile": "guarded"})
    meanwhile = store.resolve(*request)
    assert (meanwhile["strategy"], meanwhile["multiplier"]) == ("blend", before["multiplier"])
    learning.materialize(store)
    assert store.resolve(*request)["strategy"] == "blend", "the lessons are still the source's"
    learn(store)
    assert store.resolve(*request)["strategy"] == "sum"
    store.write_settings("pm", {})
    assert store.resolve(*request)["strategy"] == "sum"
    learn(store)
    after = store.resolve(*request)
    assert (after["strategy"], after["multiplier"]) == ("blend", pytest.approx(before["multiplier"]))
