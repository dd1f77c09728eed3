"""resolve_pm_strength and its batch form against the library, and that they keep to their index."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from pm_strength import LearningSettings, OverrideBook
from pm_strength.errors import PermanentStoreError
from pm_strength.project.store import Store

from .conftest import Database

Row = dict[str, Any]
CASES = (Path(__file__).parents[2] / "supabase" / "functions" / "_shared" / "resolve.cases.json").read_text()
VALUES: dict[str, list[Any]] = {
    "chain": ["solana", "base", "Solana", ""],
    "rank": [1, 1.0, "1", True, 2.5, -3, 1e-7],
    "weekend": [True, False, "true", 0],
    'we"ird,key.(x):': ["a,b", 'q"uote', "{br}ace", "ünï", "x" * 200],
    "e": ["\\", "'", "%", "null", 2**53],
    "list": [[1], {"a": 1}, None, "[1]"],
}


def is_dimension(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and value != "")


def overrides(rng: random.Random, count: int) -> list[Row]:
    """Of three groups, with up to five dimensions; no two with the same key."""
    rows: dict[str, Row] = {}
    for _ in range(count):
        names = rng.sample(sorted(VALUES), rng.randrange(0, 6))
        subset = {
            name: rng.choice([value for value in VALUES[name] if is_dimension(value)]) for name in names
        }
        # equal as jsonb is equal as a key
        key = {
            name: float(v) if isinstance(v, int | float) and not isinstance(v, bool) else v
            for name, v in subset.items()
        }
        group = rng.choice([("p", "entry"), ("p", "add"), ('q "(,.):', "entry")])
        rows[json.dumps([group, sorted(key.items())], sort_keys=True)] = {
            "pattern_key": group[0],
            "action_category": group[1],
            "scope_subset": subset,
            "multiplier": rng.uniform(0, 4),
            "confidence_score": rng.choice([0.0, 0.25, 0.5, 0.9]),
        }
    return list(rows.values())


def fill(db: Database, rows: list[Row]) -> list[Row]:
    """The rows with their ids."""
    filled = []
    for row in rows:
        got = db.execute(
            "insert into pm_overrides (pattern_key, action_category, scope_subset, multiplier, "
            "confidence_score) values (%s, %s, %s, %s, %s) returning id",
            (*list(row.values())[:2], json.dumps(row["scope_subset"]), *list(row.values())[3:]),
        ).fetchone()
        assert got is not None
        filled.append({"id": got[0], **row})
    return filled


def requests(rng: random.Random, count: int) -> list[Row]:
    return [
        {
            "pattern_key": rng.choice(["p", "p", 'q "(,.):', "r"]),
            "action_category": rng.choice(["entry", "add"]),
            "scope": {name: rng.choice(values) for name, values in VALUES.items() if rng.random() < 0.8},
            "strategy": rng.choice([None, None, "blend", "most_specific", "sum", "best"]),
        }
        for _ in range(count)
    ]


# A case with its numbers as they are written in the file: SQL reads them itself.
CASE = "with given as (select (%(cases)s::json -> %(place)s)::jsonb as c) "
FILL = (
    CASE + "insert into pm_overrides "
    "(pattern_key, action_category, scope_subset, multiplier, confidence_score, a_multiplier, "
    "e_multiplier, last_updated_at) "
    "select 'p', 'entry', o.value -> 'scope_subset', (o.value -> 'multiplier')::double precision, "
    "(o.value -> 'confidence_score')::double precision, (o.value -> 'a_multiplier')::double precision, "
    "(o.value -> 'e_multiplier')::double precision, "
    "now() - coalesce((c -> 'age_hours')::double precision, 0) * interval '1 hour' "
    "from given, jsonb_array_elements(c -> 'overrides') with ordinality o (value, place) order by o.place "
    "returning id"
)
SETTINGS = (
    CASE + "update learning_settings set settings = coalesce(c -> 'settings', '{}') "
    "from given where module = 'pm'"
)
SINGLE = CASE + (
    "select resolve_pm_strength(coalesce(c -> 'pattern_key', '\"p\"') #>> '{}', "
    "coalesce(c -> 'action_category', '\"entry\"') #>> '{}', c -> 'scope', null) from given"
)
BATCH = CASE + (
    'select resolve_pm_strength_batch(jsonb_build_array(\'{"pattern_key": "p", '
    "\"action_category\": \"entry\"}' || (c - array['multiplier', 'matches', 'settings'])), null) -> 0 "
    "from given"
)


@pytest.mark.parametrize("place", range(len(json.loads(CASES))), ids=lambda n: json.loads(CASES)[n]["name"])
def test_sql_resolves_as_the_table_says(db: Database, clean: None, place: int) -> None:
    """The book in Python is tested with the same table."""
    case = json.loads(CASES)[place]
    given = {"cases": CASES, "place": place}
    answers: list[Any] = []
    with db.transaction(force_rollback=True):
        ids = [row[0] for row in db.execute(FILL.encode(), given)]
        db.execute(SETTINGS.encode(), given)
        db.execute(
            "update pm_strength.sets set profile = %s, exposure_scale = %s",
            (case.get("profile", "source"), case.get("exposure_scale", 1)),
        )
        # one request has no strategy of its own, and its key is a text
        keys = [case.get(name, "") for name in ("pattern_key", "action_category")]
        if "strategy" not in case and all(key is None or isinstance(key, str) for key in keys):
            answers += db.execute(SINGLE.encode(), given).fetchone() or ()
        answers += db.execute(BATCH.encode(), given).fetchone() or ()
    for answer in answers:
        assert (answer["reason"], answer["matched"]) == (case["reason"], case["matched"])
        assert math.isclose(answer["multiplier"], case["multiplier"], rel_tol=1e-12)
        for name in ("a_multiplier", "e_multiplier"):
            wanted = case.get(name)
            assert answer[name] == (None if wanted is None else pytest.approx(wanted, rel=1e-12)), name
        assert [match["id"] for match in answer["matches"]] == [
            ids[match["override"]] for match in case["matches"]
        ]
        weights = [match["weight"] for match in case["matches"]]
        assert [match["weight"] for match in answer["matches"]] == pytest.approx(weights, rel=1e-12)


@pytest.mark.parametrize("strategy", ["blend", "most_specific", "sum"])
def test_sql_its_batch_and_the_library_agree(store: Store, db: Database, strategy: str) -> None:
    rng = random.Random(21)
    settings: Row = {"strategy": strategy, "specificity_alpha": 0.7}
    store.write_settings("pm", settings)
    rows = fill(db, overrides(rng, 600))
    book = OverrideBook(rows, LearningSettings.from_mapping(settings))
    asked = requests(rng, 1000)
    answers = store.resolve_batch(asked)
    assert len(answers) == len(asked)
    reasons = set()
    for request, answer in zip(asked, answers, strict=True):
        wanted = book.resolve(**request)
        assert (answer["reason"], answer["matched"]) == (wanted.reason, wanted.matched), request
        assert math.isclose(answer["multiplier"], wanted.multiplier, rel_tol=1e-12), request
        reasons.add(wanted.reason)
    assert {"matched", "no_match", "bad_input"} <= reasons
    for request, answer in list(zip(asked, answers, strict=True))[:100]:
        if request.pop("strategy") is not None:
            continue
        single = store.resolve(**request, match_limit=None)
        assert (single["multiplier"], single["reason"]) == (answer["multiplier"], answer["reason"])
        found = [(match["id"], pytest.approx(match["weight"], rel=1e-12)) for match in single["matches"]]
        assert found == [(match.id, match.weight) for match in book.resolve(**request).matches]


def test_a_scope_of_very_many_dimensions_is_resolved_too(store: Store, db: Database) -> None:
    rng = random.Random(12)
    book = OverrideBook(fill(db, overrides(rng, 300)))
    for request in requests(rng, 5):
        request["scope"] |= {f"more_{n}": n for n in range(2000)}
        wanted = book.resolve(**request)
        [answer] = store.resolve_batch([request])
        assert (answer["matched"], answer["reason"]) == (wanted.matched, wanted.reason)
        assert math.isclose(answer["multiplier"], wanted.multiplier, rel_tol=1e-12)


def test_a_batch_ends_early_where_its_time_is_up(store: Store, db: Database) -> None:
    fill(db, overrides(random.Random(4), 300))
    request = {"pattern_key": "p", "action_category": "entry", "scope": {}}
    sql = "select jsonb_array_length(public.resolve_pm_strength_batch(%s, 0, %s))"
    row = db.execute(sql, (json.dumps([request] * 1000), 1)).fetchone()
    assert row is not None
    assert 1 <= int(str(row[0])) < 1000
    assert db.execute(sql, (json.dumps([request] * 3), 60_000)).fetchone() == (3,)


def test_the_largest_weights_agree_too(store: Store, db: Database) -> None:
    settings = {"specificity_alpha": 100}
    store.write_settings("pm", settings)
    rows = fill(db, overrides(random.Random(8), 300))
    book = OverrideBook(rows, LearningSettings.from_mapping(settings))
    for request in requests(random.Random(9), 50):
        wanted = book.resolve(**request)
        [answer] = store.resolve_batch([request])
        assert answer["reason"] == wanted.reason
        assert math.isclose(answer["multiplier"], wanted.multiplier, rel_tol=1e-12)


def test_a_bad_request_of_a_batch_spoils_no_other(store: Store, db: Database) -> None:
    fill(db, [row for row in overrides(random.Random(3), 50) if not row["scope_subset"]])
    good = {"pattern_key": "p", "action_category": "entry", "scope": {}}
    bad: list[Any] = [None, 5, "x", [], {}, {**good, "pattern_key": 7}, {**good, "action_category": ""}]
    answers = store.resolve_batch([good, *bad, {**good, "scope": [1]}])
    assert [answer["reason"] for answer in answers[1:-1]] == ["bad_input"] * len(bad)
    assert all(answer["multiplier"] == 1 for answer in answers[1:-1])
    assert answers[0]["reason"] == answers[-1]["reason"] != "bad_input"
    assert answers[0]["multiplier"] == answers[-1]["multiplier"]
    with pytest.raises(PermanentStoreError, match="at most 1000"):
        store.resolve_batch([good] * 1001)
    with pytest.raises(PermanentStoreError, match="expected an array"):
        store.resolve_batch({"pattern_key": "p"})  # type: ignore[arg-type]


def test_it_reads_the_index_and_never_the_table(store: Store, db: Database) -> None:
    """Whatever the statistics say: of tables that are empty, small, or full of other groups."""
    rng = random.Random(5)
    scope = json.dumps(requests(rng, 1)[0]["scope"])
    seen = "select pg_stat_force_next_flush(), seq_scan from pg_stat_user_tables where relname = 'overrides'"

    def scans() -> int:
        db.execute("select pg_stat_force_next_flush()")
        row = db.execute(seen).fetchone()
        assert row is not None
        return int(str(row[1]))

    for count in (0, 20, 2000):
        fill(db, overrides(rng, count))
        if count:
            db.execute("analyze pm_strength.overrides")
        before = scans()
        for _ in range(3):
            db.execute("select public.resolve_pm_strength('p', 'entry', %s)", (scope,))
            db.execute("select public.resolve_pm_strength_batch(%s)", (json.dumps([{"pattern_key": "p"}]),))
        assert scans() == before
        db.execute("truncate pm_strength.overrides")
