"""A second module learns beside the first: its trades, lessons, overrides and sizes are its own."""

from __future__ import annotations

from typing import Any

import pytest

from pm_strength.errors import PermanentStoreError
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from tests.support import strands

from .conftest import Database, Drain


def of_module(module: str, count: int, rr: float) -> list[dict[str, Any]]:
    """Trades of one module that all end the same way."""
    rows = strands.trades(count, seed=ord(module[0]))
    for row in rows:
        row["module"] = module
        if row["kind"] == "position_closed":
            row["content"]["trade_summary"]["rr"] = rr
    return rows


@pytest.fixture
def both(store: Store, drain: Drain) -> Store:
    store.write_settings("pm", {"n_min": 5, "edge_threshold": 0})
    store.write_settings("dm", {"n_min": 10, "edge_threshold": 0, "multiplier_max": 5})
    store.insert_strands([*of_module("pm", 50, 1.0), *of_module("dm", 60, -0.5), *of_module("xm", 5, 9.0)])
    drain()
    for module in ("pm", "dm"):
        learning.mine(store, module)
        learning.materialize(store, module)
    return store


def test_each_module_has_its_own_events_and_sets(both: Store, db: Database) -> None:
    events = db.execute(
        "select module, count(distinct trade_id) > 40, min(rr), max(rr) from pattern_trade_events "
        "group by 1 order by 1"
    ).fetchall()
    assert events == [("dm", True, -0.5, -0.5), ("pm", True, 1.0, 1.0)], "nobody learns for xm"
    assert {row["module"] for row in both.lessons()} == {"pm", "dm"}
    live = db.execute(
        "select module, kind, settings -> 'n_min' from pm_strength.sets where state = 'live' order by 1, 2"
    ).fetchall()
    assert live == [
        ("dm", "lessons", 10),
        ("dm", "overrides", 10),
        ("pm", "lessons", 5),
        ("pm", "overrides", 5),
    ]


def test_the_published_runs_are_the_last_of_each_kind_of_each_module(both: Store) -> None:
    assert both.modules() == ["dm", "pm"]
    first = both.runs(4)[-1]["id"]
    # the newest runs of all are of one module, and one of them failed
    again = [learning.mine(both, "pm").run_id for _ in range(2)]
    run = both.begin_run("pm", "mine", {})
    assert run is not None
    both.fail_run(run["run_id"], "it broke")
    published = [(row["module"], row["kind"], row["id"]) for row in both.published_runs(both.modules())]
    assert published == [
        ("dm", "mine", first + 2),
        ("dm", "materialize", first + 3),
        ("pm", "mine", again[-1]),
        ("pm", "materialize", first + 1),
    ]


def test_a_run_of_one_leaves_the_other_alone(both: Store) -> None:
    before = both.lessons(module="pm"), both.overrides(module="pm")
    lessons = len(both.lessons(module="dm", status="active"))
    both.write_settings("dm", {"n_min": 12, "edge_threshold": 0})
    for _ in range(3):
        learning.mine(both, "dm")
        learning.materialize(both, "dm")
    assert (both.lessons(module="pm"), both.overrides(module="pm")) == before
    assert 0 < len(both.lessons(module="dm", status="active")) < lessons


def test_each_is_resolved_with_its_own_overrides_and_settings(both: Store, db: Database) -> None:
    # the same override in both, as no edge is left where all trades of a module end alike
    db.execute("update pm_overrides set multiplier = case module when 'pm' then 4 else 4.5 end")
    groups = [
        {row["pattern_key"] for row in both.overrides(module=m, action_category="entry")}
        for m in ("pm", "dm")
    ]
    group = min(set.intersection(*groups))
    request = {"pattern_key": group, "action_category": "entry", "scope": {}}
    answers = [
        both.resolve(**request),
        both.resolve(**request, module="dm"),
        both.resolve(**request, module="x"),
    ]
    assert [answer["multiplier"] for answer in answers] == [3.0, 4.5, 1.0]
    assert [answer["reason"] for answer in answers] == ["matched", "matched", "no_match"]
    assert len({answer["run_id"] for answer in answers}) == 3
    batch = both.resolve_batch([request, request | {"module": "dm"}, request | {"module": 5}, request])
    assert [answer["multiplier"] for answer in batch] == [3.0, 4.5, 1.0, 3.0]
    assert batch[2]["reason"] == "bad_input"

    pages = {module: both.override_page(module=module) for module in ("pm", "dm", "x")}
    assert {page["multiplier"] for page in pages["dm"]["overrides"]} == {4.5}
    assert pages["dm"]["settings"]["multiplier_max"] == 5
    assert pages["x"]["overrides"] == []
    assert both.override_page(set_id=pages["dm"]["set_id"], module="pm")["gone"] is True


def test_the_schedule_asks_for_each_module(both: Store, db: Database) -> None:
    db.execute("update pm_strength.schedule set last_slot = last_slot - interval '5 hours'")
    assert db.execute("select pm_strength_enqueue_due()").fetchone() == (5,)
    both.enqueue_job("mine", "dm")
    jobs = db.execute(
        "select message ->> 'job', message ->> 'module' from pgmq.q_pm_strength_jobs order by msg_id"
    ).fetchall()
    assert jobs == [
        ("sweep", None),
        ("mine", "pm"),
        ("materialize", "dm"),
        ("materialize", "pm"),
        ("mine", "dm"),
    ]
    # the materialization of dm was asked for before its mining was asked for again
    assert [both.read_job(60)["message"]["job"] for _ in range(3)] == ["sweep", "mine", "materialize"]  # type: ignore[index]
    with pytest.raises(PermanentStoreError, match="module: expected one of dm, pm, got x"):
        both.enqueue_job("mine", "x")


def test_the_sweep_finds_what_the_trigger_missed_of_any_module(
    store: Store, db: Database, drain: Drain
) -> None:
    store.write_settings("dm", {})
    db.execute("alter table ad_strands disable trigger pm_strength_enqueue_inserted")
    try:
        store.insert_strands(of_module("dm", 3, 1.0) + of_module("xm", 2, 1.0))
    finally:
        db.execute("alter table ad_strands enable trigger pm_strength_enqueue_inserted")
    drain()
    found = db.execute("select distinct module from pattern_trade_events").fetchall()
    assert found == [("dm",)]


def test_a_job_of_a_module_that_is_taken_away_stops_no_worker(
    store: Store, db: Database, drain: Drain
) -> None:
    store.write_settings("dm", {})
    store.enqueue_job("mine", "dm")
    db.execute("delete from learning_settings where module = 'dm'")
    store.enqueue_job("mine", "pm")
    drain()
    assert [run["module"] for run in store.runs()] == ["pm"]
    (letter,) = store.dead_letters()
    assert "module: expected one of pm, got dm" in letter["reason"]


def test_a_row_whose_module_is_changed_by_hand_is_the_other_modules(both: Store, db: Database) -> None:
    """A view that shows it with one module while it is resolved for another would mislead."""
    db.execute(
        """
        insert into pm_overrides (pattern_key, action_category, scope_subset, multiplier, confidence_score)
        values ('by hand', 'entry', '{}', 2, 1);
        insert into learning_lessons (pattern_key, action_category, scope_subset, n, stats)
        values ('by hand', 'entry', '{}', 9, '{}');
        update pm_overrides set module = 'dm' where pattern_key = 'by hand';
        update learning_lessons set module = 'dm' where pattern_key = 'by hand';
        """
    )
    answers = [both.resolve("by hand", "entry", {}, module=module) for module in ("pm", "dm")]
    assert [answer["multiplier"] for answer in answers] == [1.0, 2.0]
    for view in (both.overrides, both.lessons):
        assert [row["module"] for row in view(pattern_key="by hand")] == ["dm"]
    ids = db.execute(
        "select count(distinct (l.id, s.module)) from pm_strength.lessons l "
        "join pm_strength.sets s on s.id = (l.id >> 26) & 8388607 "
        "where l.pattern_key = 'by hand' and s.module = 'dm'"
    )
    assert ids.fetchone() == (1,)
