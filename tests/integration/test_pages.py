"""Pages of any size bring all there is, and rows of one run: nothing depends on one answer holding all."""

from __future__ import annotations

from typing import Any

import pytest

from pm_strength.project import pages as pages_module
from pm_strength.project import store as store_module
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from pm_strength.settings import LearningSettings
from tests.support import strands
from tests.support.project import assert_events, assert_learned

from .conftest import Database, Drain


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "ROW_PAGE", 15)
    for name in ("READ_PAGE", "EVENT_PAGE", "STAGE_PAGE", "SWEEP_PAGE", "PURGE_PAGE", "PART_ROWS"):
        monkeypatch.setattr(store_module, name, 15)


def number(db: Database, sql: str) -> Any:
    return (db.execute(sql.encode()).fetchone() or (None,))[0]


@pytest.mark.usefixtures("small_pages")
def test_the_whole_loop_in_small_pages(
    store: Store, db: Database, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = strands.trades(60)
    bad = [
        {"id": f"bad{n}", "module": "pm", "kind": "position_closed", "trade_id": None, "content": {}}
        for n in range(90)
    ]
    store.write_settings("pm", {"n_min": 5})
    for start in range(0, len(rows), 400):
        store.insert_strands(rows[start : start + 400])
    store.insert_strands(bad)
    # so that only the sweep finds them
    db.execute("select pgmq.purge_queue('pm_strength_trades')")
    drain()
    events = assert_events(db, rows)
    assert len(events) > 45
    assert {letter["strand_id"] for letter in store.dead_letters()} == {row["id"] for row in bad}

    staged: list[int] = []
    stage = store.stage_lessons
    monkeypatch.setattr(
        store,
        "stage_lessons",
        lambda run, part: (staged.append(part["groups"].count(",") + 1), stage(run, part)),
    )
    said: list[str] = []
    learning.mine(store, progress=lambda what, _: said.append(what))
    assert len(staged) > 3
    assert max(staged) <= 15
    # each page is a moment at which a worker that is asked to stop gives the run up
    assert said.count("publishing lessons") > len(staged)
    assert said.count("reading events") > 3
    learning.materialize(store)
    assert_learned(db, events, LearningSettings(n_min=5).to_dict())
    lessons = number(db, "select count(*) from learning_lessons")
    assert len(store.lessons()) == lessons > 45
    assert len(store.overrides()) == number(db, "select count(*) from pm_overrides") > 45

    for _ in range(2):
        db.execute("truncate pattern_trade_events")
        learning.mine(store)
        assert number(db, "select count(*) from learning_lessons where status = 'retired'") == lessons
    learning.materialize(store)
    learning.materialize(store)
    for table, sets in (("lessons", 2), ("overrides", 1)):
        assert number(db, f"select count(distinct id >> 26) from pm_strength.{table}") == sets, (
            "older sets of lessons are gone, one of overrides is a version"
        )
    db.execute("update pgmq.a_pm_strength_trades set archived_at = now() - interval '8 days'")
    learning.mine(store)
    assert number(db, "select count(*) from pgmq.a_pm_strength_trades") == 0


@pytest.mark.usefixtures("small_pages")
def test_rows_that_are_listed_while_a_run_is_published_are_of_one_run(
    store: Store, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_settings("pm", {"n_min": 5})
    store.insert_strands(strands.trades(60)[:400])
    drain()
    learning.mine(store)
    learning.materialize(store)
    page = pages_module._following
    calls = 0

    def publish_meanwhile(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            learning.mine(store)
            learning.materialize(store)
        return page(*arguments)

    monkeypatch.setattr(pages_module, "_following", publish_meanwhile)
    for listed in (store.lessons, store.overrides):
        calls = 0
        found = listed()
        assert calls > 2
        assert {row["run_id"] for row in found} == {found[0]["run_id"]}
        assert len(
            {repr(row["scope_subset"]) + row["pattern_key"] + row["action_category"] for row in found}
        ) == len(found)
