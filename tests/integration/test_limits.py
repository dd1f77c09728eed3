"""The database limits changes as `limit_changes` defines it, and the exposure that multipliers add."""

from __future__ import annotations

import json
import random
from typing import Any

import pandas as pd
import pytest

from pm_strength import StrengthClient
from pm_strength.overrides.limits import limit_changes
from pm_strength.overrides.materialize import materialize_overrides
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from pm_strength.settings import LearningSettings

from ..support.lessons import make_overrides, stage_rows
from .conftest import Database


def publish_lessons(store: Store, db: Database, settings: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    run = store.begin_run("pm", "mine", settings)
    assert run is not None
    stage_rows(db, run["run_id"], rows)
    for _ in store.stage_retired(run["run_id"]):
        pass
    assert store.publish_run(run["run_id"], len(rows)) == "published"


def lessons(rng: random.Random, share: float) -> list[dict[str, Any]]:
    """Lessons of which each run has some."""
    return [
        {
            "pattern_key": "p",
            "action_category": ("entry", "add")[number % 2],
            "scope_subset": {"number": number, "text": "é"},
            "n": 50,
            "stats": {
                "edge_raw": rng.gauss(0, 0.8),
                "support_score": 0.5,
                "reliability_score": 0.5,
                "decay_meta": {"state": "stable"},
                "effect": rng.gauss(0, 0.8),
                "probability": 0.5,
            },
            "decay_halflife_hours": None,
        }
        for number in range(400)
        if rng.random() < share
    ]


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                **{name: row[name] for name in ("pattern_key", "action_category", "scope_subset", "n")},
                **{name: value for name, value in row["stats"].items() if name != "decay_meta"},
                "decay_state": "stable",
            }
            for row in rows
        ]
    )


def multipliers(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        json.dumps([row["action_category"], row["scope_subset"]], sort_keys=True): (
            pytest.approx(row["multiplier"], rel=1e-12, abs=1e-12),
            bool((row.get("stats") or {}).get("leaving")),
        )
        for row in rows
    }


@pytest.mark.parametrize("profile", ["source", "guarded"])
def test_changes_are_limited_from_set_to_set(store: Store, db: Database, profile: str) -> None:
    settings = {"profile": profile, "max_change": 0.25}
    store.write_settings("pm", settings)
    checked = LearningSettings.from_mapping(settings)
    rng, before = random.Random(3), pd.DataFrame()
    leaving: list[bool] = []
    for share in (0.8, 0.5, 0.0, 0.6, 0.0, 0.0):
        rows = lessons(rng, share)
        publish_lessons(store, db, settings, rows)
        learning.materialize(store)
        made = materialize_overrides(frame(rows), checked) if rows else pd.DataFrame()
        wanted = limit_changes(made, before, checked)
        live = store.overrides()
        assert multipliers(live) == multipliers(wanted.to_dict("records"))
        before = pd.DataFrame(live)
        leaving += [bool((row["stats"] or {}).get("leaving")) for row in live]
    assert 50 < sum(leaving) < len(leaving), "what goes takes several steps"
    assert live == [], "and is gone in the end"
    # a set of another profile is no start
    other = {"profile": "guarded" if profile == "source" else "source", "max_change": 0.25}
    store.write_settings("pm", other)
    publish_lessons(store, db, other, rows := lessons(rng, 0.5))
    learning.materialize(store)
    assert len(store.overrides()) <= len(rows)
    assert all(abs(row["multiplier"] - 1) <= 0.25 + 1e-12 for row in store.overrides())


def test_asking_again_stages_nothing_twice(store: Store, db: Database) -> None:
    settings = {"max_change": 0.1}
    store.write_settings("pm", settings)
    rng = random.Random(4)
    publish_lessons(store, db, settings, lessons(rng, 0.8))
    learning.materialize(store)
    learning.materialize(store)
    publish_lessons(store, db, settings, lessons(rng, 0.3))
    run = store.begin_run("pm", "materialize", settings)
    assert run is not None
    for _ in range(2):
        make_overrides(store, run)
        list(store.stage_leaving(run["run_id"]))
    counts = db.execute(
        "select s.row_count, count(*) from pm_strength.sets s "
        "join pm_strength.overrides o on (o.id >> 26) & 8388607 = s.id where s.run_id = %s group by 1",
        (run["run_id"],),
    ).fetchone()
    assert counts is not None
    assert counts[0] == counts[1]
    # another set goes live meanwhile: the changes would count from the wrong one
    learning.materialize(store)
    assert store.publish_run(run["run_id"]) == "superseded"


def test_what_another_run_published_meanwhile_makes_a_run_outdated(store: Store, db: Database) -> None:
    settings = {"max_change": 0.1}
    publish_lessons(store, db, settings, lessons(random.Random(4), 0.8))
    first = store.begin_run("pm", "materialize", settings)
    second = store.begin_run("pm", "materialize", settings)
    assert first is not None
    assert second is not None
    for run in (first, second):
        make_overrides(store, run)
    assert store.publish_run(first["run_id"]) == "published"
    assert store.publish_run(second["run_id"]) == "outdated"


def test_added_exposure_is_limited_on_the_newest_actions(
    store: Store, db: Database, variables: dict[str, str]
) -> None:
    rng = random.Random(5)
    for number in range(700):
        category = rng.choice(("entry", "add", "exit"))
        db.execute(
            "insert into pattern_trade_events (strand_id, trade_id, pattern_key, action_category, scope, rr, "
            '"timestamp") values (%s, gen_random_uuid(), %s, %s, %s, 1, now())',
            (f"s{number}", "p", category, json.dumps({"number": number % 40, "text": "é"})),
        )
    rows = lessons(rng, 1.0)
    for row in rows:
        row["stats"]["edge_raw"] = abs(row["stats"]["edge_raw"])
    publish_lessons(store, db, {}, rows)
    report = learning.materialize(store)
    assert report is not None
    assert report.warning is None
    requests = [
        {"pattern_key": r[0], "action_category": r[1], "scope": r[2]}
        for r in db.execute(
            "select pattern_key, action_category, scope from pattern_trade_events "
            "where action_category in ('entry', 'add')"
        )
    ]

    def mean() -> float:
        answers = store.resolve_batch(requests)
        return sum(answer["multiplier"] for answer in answers) / len(answers)

    free = mean()
    assert free > 1.15
    store.write_settings("pm", {"max_added_exposure": 0.1})
    report = learning.materialize(store)
    assert report is not None
    assert mean() == pytest.approx(1.1)
    assert report.warning is not None
    assert report.warning.startswith(f"max_added_exposure: the multipliers of the newest {len(requests)} ")
    assert store.runs(1)[0]["warning"] == report.warning
    with StrengthClient(variables["API_URL"], variables["SECRET_KEY"]) as client:
        sizes = [client.resolve(**request) for request in requests]
    assert sum(size.multiplier for size in sizes) / len(sizes) == pytest.approx(1.1)
    assert 0 < sizes[0].exposure_scale < 1
    store.write_settings("pm", {"max_added_exposure": 5})
    learning.materialize(store)
    assert mean() == pytest.approx(free)
