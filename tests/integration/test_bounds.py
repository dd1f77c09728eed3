"""SQL takes and refuses what Python does, by the tables of cases, and at their bounds nothing overflows."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pm_strength import LearningSettings, OverrideBook
from pm_strength.project.store import Store

from .conftest import Database

SHARED = Path(__file__).parents[2] / "supabase" / "functions" / "_shared"


def refused(db: Database, sql: str, *values: Any) -> str | None:
    """What is said against a statement; None if it is taken. It is undone either way."""
    try:
        with db.transaction(force_rollback=True):
            db.execute(sql.encode(), values)
    except psycopg.errors.CheckViolation as error:
        return error.diag.message_primary
    return None


def test_settings_are_taken_and_refused_as_the_table_says(db: Database, clean: None) -> None:
    update = "update learning_settings set settings = %s::jsonb where module = 'pm'"
    for case in json.loads((SHARED / "settings.cases.json").read_text()):
        said = refused(db, update, case["settings"])
        if case["wrong"] is None:
            assert said is None, case
        else:
            assert said is not None, case
            assert said.startswith(case["wrong"] + ": "), case


def test_overrides_are_taken_and_refused_as_the_table_says(db: Database, clean: None) -> None:
    """The numbers as they are written in the file: SQL reads them itself."""
    insert = (
        "insert into pm_overrides (pattern_key, action_category, scope_subset, multiplier, confidence_score, "
        "a_multiplier, e_multiplier) "
        "select 'p', 'entry', o -> 'scope_subset', (o ->> 'multiplier')::numeric, "
        "(o ->> 'confidence_score')::numeric, (o ->> 'a_multiplier')::numeric, "
        "(o ->> 'e_multiplier')::numeric "
        "from (select %s::json -> %s -> 'override') v (o)"
    )
    text = (SHARED / "overrides.cases.json").read_text()
    for place, case in enumerate(json.loads(text)):
        said = refused(db, insert, text, place)
        assert (said is None) == case["valid"], (case["name"], said)


@pytest.mark.parametrize(
    "settings",
    [
        {"stale_after_hours": 8_760_000},
        {"stale_after_hours": 5e-324},
        {"specificity_alpha": 100},
        {"specificity_alpha": 0, "multiplier_min": 0, "multiplier_max": 1e308},
        {"specificity_alpha": 100, "strategy": "most_specific", "multiplier_max": 1.7976931348623157e308},
    ],
    ids=str,
)
def test_every_valid_setting_resolves_alike(store: Store, db: Database, settings: dict[str, Any]) -> None:
    """With overrides at their own bounds, of up to 64 dimensions."""
    rows = [
        {
            "scope_subset": {f"d{place}": place for place in range(count)},
            "multiplier": m,
            "confidence_score": c,
        }
        for count, m, c in ((0, 1e6, 1.0), (1, 1e-6, 1e-12), (2, 0.0, 1.0), (63, 1e6, 1e-12), (64, 1e-6, 1.0))
    ]
    for number, row in enumerate(rows):
        got = db.execute(
            "insert into pm_overrides "
            "(pattern_key, action_category, scope_subset, multiplier, confidence_score) "
            "values ('p', 'entry', %s, %s, %s) returning id",
            (Jsonb(row["scope_subset"]), row["multiplier"], row["confidence_score"]),
        ).fetchone()
        assert got is not None
        rows[number] |= {"id": got[0], "pattern_key": "p", "action_category": "entry"}
    store.write_settings("pm", settings)
    stale = settings.get("stale_after_hours") == 5e-324
    book = OverrideBook(rows, LearningSettings.from_mapping(settings))
    for count in (0, 1, 2, 63, 64):
        scope = {f"d{place}": place for place in range(count)}
        answer, wanted = store.resolve("p", "entry", scope), book.resolve("p", "entry", scope)
        assert (
            answer["reason"] == ("stale" if stale else "matched") == (wanted.reason if not stale else "stale")
        )
        assert answer["matched"] == wanted.matched
        if not stale:
            assert math.isclose(answer["multiplier"], wanted.multiplier, rel_tol=1e-12)


@pytest.mark.parametrize("number", ["9007199254740993", "-9007199254740993", "1e20", "1e300"])
def test_a_whole_number_that_not_every_reader_holds_is_bad_input(
    store: Store, db: Database, number: str
) -> None:
    db.execute(
        "insert into pm_overrides (pattern_key, action_category, scope_subset, multiplier, confidence_score) "
        "values ('p', 'entry', '{}', 1.5, 0.5)"
    )
    row = db.execute(
        "select resolve_pm_strength('p', 'entry', %s::jsonb)", (f'{{"rank": {number}, "a": 1}}',)
    ).fetchone()
    assert row is not None
    answer: Any = row[0]
    assert (answer["multiplier"], answer["reason"], answer["matched"], answer["matches"]) == (
        1,
        "bad_input",
        0,
        [],
    )
    # where it is no dimension's value nobody looks at it
    row = db.execute(
        "select resolve_pm_strength('p', 'entry', %s::jsonb)",
        (f'{{"rank": [{number}], "a": 9007199254740992, "b": 9007199254740993.5}}',),
    ).fetchone()
    assert row is not None
    assert row[0]["reason"] == "matched"  # type: ignore[index]
    insert = (
        "insert into pm_overrides (pattern_key, action_category, scope_subset, multiplier, confidence_score) "
        "values ('p', 'entry', %s::jsonb, 1.5, 0.5)"
    )
    assert "overrides_numbers" in (refused(db, insert, f'{{"rank": {number}}}') or "")
