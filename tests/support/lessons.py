"""Lessons with any statistics staged for a run, and the overrides of a run."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from pm_strength.json_values import Row
from pm_strength.project.store import Store
from pm_strength.service.staging import stage_overrides

STAGE = """
with target as (
  select s.* from pm_strength.sets s where s.run_id = %(run)s
), rows as (
  select l.*, row_number() over () as place from jsonb_to_recordset(%(rows)s) l (
    pattern_key text, action_category text, scope_subset jsonb, n integer, stats jsonb,
    decay_halflife_hours double precision
  )
), staged as (
  insert into pm_strength.lessons (
    id, pattern_key, action_category, scope_subset, n, stats, decay_halflife_hours
  )
  select t.first_id + t.next_row + r.place - 1, r.pattern_key, r.action_category,
    r.scope_subset, r.n, r.stats, r.decay_halflife_hours
  from rows r, target t
  returning true
)
update pm_strength.sets s
set row_count = s.row_count + c.added, next_row = s.next_row + c.added
from (select count(*) as added from staged) c
where s.run_id = %(run)s
"""


def stage_rows(db: psycopg.Connection[Any], run_id: int, rows: list[dict[str, Any]]) -> None:
    """Add rows of `learning_lessons` to the set of a run."""
    db.execute(STAGE, {"run": run_id, "rows": json.dumps(rows)})


def make_overrides(store: Store, run: Row | None) -> int:
    """Make the overrides of a run; returns how many."""
    assert run is not None
    return stage_overrides(store, run["run_id"], run["expected"], lambda what, share: None)[1]
