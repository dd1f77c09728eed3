"""What a run of mining or materializing makes of the settings, and of what was live before it."""

from __future__ import annotations

from typing import Any

import pytest

from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from tests.support import strands
from tests.support.project import insert, learn, read

from .conftest import Database, Drain


def test_lessons_retire_and_come_back_and_overrides_go(store: Store, db: Database, drain: Drain) -> None:
    store.write_settings("pm", {"n_min": 5})
    insert(store, strands.trades(60))
    drain()
    learn(store)
    lessons = read(db, "select pattern_key, scope_subset, stats, status from learning_lessons order by id")
    assert lessons
    assert read(db, "select count(*) from pm_overrides")[0]["count"] > 0

    store.write_settings("pm", {"n_min": 1000})
    learn(store)
    retired = read(db, "select pattern_key, scope_subset, stats, status from learning_lessons order by id")
    assert {row["status"] for row in retired} == {"retired"}
    assert [row["stats"] for row in retired] == [row["stats"] for row in lessons]
    assert read(db, "select count(*) from pm_overrides") == [{"count": 0}]

    store.write_settings("pm", {"n_min": 5})
    learn(store)
    assert (
        read(db, "select pattern_key, scope_subset, stats, status from learning_lessons order by id")
        == lessons
    )

    db.execute("truncate pattern_trade_events")
    learn(store)
    assert {row["status"] for row in read(db, "select status from learning_lessons")} == {"retired"}
    assert read(db, "select count(*) from pm_overrides") == [{"count": 0}]


def test_a_run_with_invalid_settings_fails_and_what_was_live_stays(
    store: Store, db: Database, drain: Drain
) -> None:
    store.write_settings("pm", {"n_min": 5})
    insert(store, strands.trades(60))
    drain()
    learn(store)
    before = read(db, "select * from pm_overrides order by id")
    db.execute("alter table learning_settings drop constraint learning_settings_valid")
    try:
        db.execute("""update learning_settings set settings = '{"n_min": 0}'""")
        with pytest.raises(ValueError, match="n_min"):
            learning.mine(store)
        run = store.runs(1)[0]
        assert (run["status"], "n_min" in run["error"]) == ("failed", True)
        assert read(db, "select * from pm_overrides order by id") == before
        event = before[0]
        resolution = store.resolve(event["pattern_key"], event["action_category"], event["scope_subset"])
        assert resolution["reason"] == "matched"
    finally:
        db.execute("update learning_settings set settings = '{}'")
        db.execute(
            "alter table learning_settings add constraint learning_settings_valid "
            "check (pm_strength.assert_settings(settings))"
        )


def test_a_run_goes_by_the_settings_that_it_records(
    store: Store, db: Database, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changes them while it begins."""
    store.write_settings("pm", {"n_min": 5, "edge_threshold": 0.1})
    insert(store, strands.trades(60))
    drain()
    begin = Store.begin_run

    def meddle(self: Store, *arguments: Any) -> Any:
        run = begin(self, *arguments)
        self.write_settings("pm", {"n_min": 50, "edge_threshold": 5})
        return run

    with monkeypatch.context() as patch:
        patch.setattr(Store, "begin_run", meddle)
        mined = learning.mine(store)
        store.write_settings("pm", {"n_min": 5, "edge_threshold": 0.1})
        materialized = learning.materialize(store)
    assert materialized is not None
    recorded = {run["id"]: run["settings"] for run in store.runs(2)}
    assert {settings["n_min"] for settings in recorded.values()} == {5}
    assert min(row["n"] for row in read(db, "select n from learning_lessons")) < 50
    assert mined.lessons
    assert materialized.overrides


def test_a_materialization_follows_the_settings_of_now(store: Store, db: Database, drain: Drain) -> None:
    store.write_settings("pm", {"n_min": 5})
    insert(store, strands.trades(60))
    drain()
    learn(store)
    settings = {"n_min": 500, "edge_threshold": 0.2, "multiplier_min": 0.8, "multiplier_max": 1.1}
    store.write_settings("pm", settings)
    assert learning.materialize(store) is not None
    edges = read(db, "select stats -> 'edge_raw' as edge from learning_lessons where status = 'active'")
    wanted = [min(1.1, max(0.8, 1 + row["edge"])) for row in edges if abs(row["edge"]) >= 0.2]
    got = [row["multiplier"] for row in read(db, "select multiplier from pm_overrides")]
    assert sorted(got) == pytest.approx(sorted(wanted), rel=1e-12)
