"""The database makes the overrides that `materialize_overrides` defines, to the last bit."""

from __future__ import annotations

import json
import random
from typing import Any

import pandas as pd
import pytest

from pm_strength.overrides.materialize import STATS, materialize_overrides
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from pm_strength.settings import LearningSettings

from ..support.lessons import stage_rows
from .conftest import Database

STATES = ("insufficient", "stable", "decaying", "growing")
# Each by itself at a bound, just beside it, or far beyond it.
EDGES = (0, 0.05, -0.05, 0.05000000000000001, 0.04999999999999999, -1, -0.9999995, -5, 1e9, 1e300, 5e-324)
EFFECTS = (0, 0.005, -0.005, 0.00499999999999999, -0.5, -3.5, -0.49999995, 1e9, -1e9)
SCORES = (0, 1, 1e-6, 1e-7, 1e-12, 9e-13, 1e-149, 1e-151, 5e-324)
SETTINGS = (
    {},
    {"edge_threshold": 0},
    {"edge_threshold": 0.3, "multiplier_min": 0, "multiplier_max": 1e7},
    {"multiplier_min": 1, "multiplier_max": 1},
    {"profile": "guarded"},
    {"ae_multipliers": True},
    {"profile": "guarded", "ae_multipliers": True},
    {"profile": "guarded", "gain": 7.3},
)


def lessons(rng: random.Random, count: int) -> list[dict[str, Any]]:
    return [
        {
            "pattern_key": f"p{rng.randrange(3)}",
            "action_category": rng.choice(("entry", "add", "trim", "exit")),
            "scope_subset": {"number": number, "text": rng.choice(("a", "é", "1"))},
            "n": rng.randrange(1, 500),
            "stats": {
                "edge_raw": rng.choice(EDGES) if rng.random() < 0.3 else rng.gauss(0, 0.5),
                "support_score": rng.choice(SCORES) if rng.random() < 0.2 else rng.random(),
                "reliability_score": rng.choice(SCORES) if rng.random() < 0.2 else rng.random(),
                "decay_meta": {"state": rng.choice(STATES)},
                "effect": rng.choice((None, *EFFECTS)) if rng.random() < 0.3 else rng.gauss(0, 0.05),
                "probability": rng.choice(SCORES) if rng.random() < 0.2 else rng.random(),
                "evidence": rng.choice((None, 850.25, 1e15)),
                "edge": rng.choice((None, 1, 8)),
                "n_effective": rng.uniform(5, 500),
                "contribution": rng.gauss(0, 0.1),
                "contribution_low": rng.gauss(0, 0.1),
                "contribution_high": rng.gauss(0, 0.1),
                "drift": rng.choice((None, 0.5)),
                "claimed": rng.choice((None, 0.25)),
                "claimed_at": rng.choice((None, "2026-01-01T00:00:00+00:00")),
                "a_score": rng.choice((None, 0.2, -0.2, 0.21, -0.21, 0.05)),
                "e_score": rng.choice((None, 0.2, -0.2, 0.21, -0.21, 0.05)),
            },
            "decay_halflife_hours": None,
        }
        for number in range(count)
    ]


@pytest.mark.parametrize("settings", SETTINGS, ids=json.dumps)
def test_sql_makes_what_python_defines(store: Store, db: Database, settings: dict[str, Any]) -> None:
    store.write_settings("pm", settings)
    rows = lessons(random.Random(11), 9000)
    run = store.begin_run("pm", "mine", settings)
    assert run is not None
    stage_rows(db, run["run_id"], rows)
    assert store.publish_run(run["run_id"], len(rows)) == "published"
    # a lesson of another type, or one that is retired, makes no override
    db.execute(
        """
        insert into learning_lessons (
          pattern_key, action_category, scope_subset, n, stats, status, lesson_type
        )
        select 'p', 'entry', jsonb_build_object('other', n), 9, (
          select stats from learning_lessons where abs((stats ->> 'edge_raw')::float8) > 0.4 limit 1
        ), case n when 1 then 'retired' else 'active' end, case n when 1 then 'pm_strength' else 'other' end
        from generate_series(1, 2) n
        """
    )
    report = learning.materialize(store)
    assert report is not None

    guarded = ("effect", "probability", "a_score", "e_score", *STATS)
    columns = ("edge_raw", "support_score", "reliability_score", *guarded)
    frame = pd.DataFrame(
        [
            {
                **{name: row[name] for name in ("pattern_key", "action_category", "scope_subset")},
                **{name: (row["stats"] | {"n": row["n"]})[name] for name in columns},
                "decay_state": row["stats"]["decay_meta"]["state"],
            }
            for row in rows
        ]
    )
    expected = materialize_overrides(frame, LearningSettings.from_mapping(settings)).to_dict("records")
    made = [{name: row[name] for name in expected[0]} for row in store.overrides()]
    assert len(expected) > 1000
    assert made == expected
    assert (report.lessons, report.overrides) == (len(rows), len(expected))
    assert {row["run_id"] for row in store.overrides()} == {run["run_id"]}
