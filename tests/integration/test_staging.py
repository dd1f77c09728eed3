"""Lessons are sent as columns, and shown with all their statistics; large sets have a shelf of their own."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest

from pm_strength.mining import lesson_rows, mine_lessons
from pm_strength.mining.evidence.columns import GUARDED
from pm_strength.mining.lesson_columns import LessonColumns
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from pm_strength.service import staging
from pm_strength.settings import LearningSettings

from ..support import planted
from ..support.lessons import make_overrides
from .conftest import Database

# The scopes of these have every kind of value, and each may be missing.
VALUES: dict[str, list[Any]] = {
    "chain": ["sol", "base", 'a "quoted" \\ one', "line\nbreak", "ü"],
    "rank": [1, 2, -3, 9007199254740992],
    "depth": [0.5, 1e-7, -1e15],
    "hot": [True, False],
    "hour {}": [0, 23],
}


def events(seed: int, count: int, known: float = 0.7) -> pd.DataFrame:
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        scope = {name: rng.choice(values) for name, values in VALUES.items() if rng.random() < 0.8}
        rr = rng.gauss(0, 1) + (0.8 if scope.get("chain") == "sol" else 0) + number / count
        rows.append(
            {
                "pattern_key": f"p{rng.randrange(3)}|é",
                "action_category": rng.choice(("entry", "add", "trim")),
                "scope": scope,
                "trade_id": f"t{number // 2}",
                "timestamp": pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(hours=number),
                "rr": rr * rng.choice((1, 1, 1, 1e-9, 1e4)),
                "trimmed": rng.choice((True, False)) if rng.random() < known else None,
                "reached_s3": rng.choice((True, False)) if rng.random() < known else None,
            }
        )
    return pd.DataFrame(rows)


def publish(store: Store, lessons: pd.DataFrame, settings: LearningSettings) -> int:
    run = store.begin_run("pm", "mine", settings.to_dict())
    assert run is not None
    staging.stage_lessons(store, run["run_id"], lessons, lambda what, share: None)
    assert store.publish_run(run["run_id"], len(lessons)) == "published"
    return int(run["run_id"])


def same(got: Any, expected: Any, exact: bool) -> bool:
    if isinstance(expected, float) and isinstance(got, int | float):
        # JSON of Postgres writes large numbers as whole ones
        return math.isclose(float(got), expected, rel_tol=0.0 if exact else 1e-15, abs_tol=0.0)
    return bool(got == expected)


# Sent as they are; the database derives all others.
EXACT = {
    *(
        "n",
        "avg_rr",
        "variance",
        "edge_raw",
        "design_effect",
        "bayes_factor",
        "p_value",
        "a_score",
        "e_score",
    ),
    *("trimmed_rate", "reached_s3_rate", "delta_rr", "time_score", "avg_rr_low", "avg_rr_high", *GUARDED),
}


@pytest.mark.parametrize("known", [1.0, 0.6, 0.0])
@pytest.mark.parametrize("profile", ["source", "guarded"])
def test_the_view_shows_what_python_computed(store: Store, profile: str, known: float) -> None:
    settings = LearningSettings(n_min=1, profile=profile, evidence_min=1.5)
    lessons = mine_lessons(events(3, 900, known), settings)
    publish(store, lessons, settings)
    expected = lesson_rows(lessons)
    assert len(expected) > (90 if profile == "guarded" else 3000)
    assert_shown(store.lessons(), expected)


def test_profits_in_dollars_are_shown_to_the_last_digit_too(store: Store) -> None:
    frame = events(5, 400)
    frame["pnl_usd"] = [
        value * 10.0 ** random.Random(n).randrange(-300, 300) for n, value in enumerate(frame["rr"])
    ]
    settings = LearningSettings(n_min=2, outcome="pnl_usd", max_dims=2)
    lessons = mine_lessons(frame, settings)
    publish(store, lessons, settings)
    assert_shown(store.lessons(), lesson_rows(lessons))


def assert_shown(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(rows) == len(expected)
    worst = 0
    for row, lesson in zip(rows, expected, strict=True):
        for name in ("pattern_key", "action_category", "scope_subset", "n"):
            assert row[name] == lesson[name]
        assert same(row["decay_halflife_hours"], lesson["decay_halflife_hours"], False)
        stats, wanted = dict(row["stats"]), dict(lesson["stats"])
        decay, wanted_decay = stats.pop("decay_meta"), wanted.pop("decay_meta")
        for name, value in wanted_decay.items():
            assert same(decay[name], value, name in ("state", "slope_per_hour", "p_value")), (name, lesson)
        # what the guarded profile has nothing to tell of is left out
        told = {name for name in wanted if name in stats or name not in GUARDED}
        silent = {name: wanted[name] for name in wanted.keys() - told}
        assert all(value in (None, 0.0) or name == "probability" for name, value in silent.items()), silent
        for name in told:
            if not same(stats[name], wanted[name], name in EXACT):
                # Wilson's bounds are differences of numbers of size 1
                assert name.endswith(("_low", "_high")), (name, stats[name], wanted[name])
                assert abs(stats[name] - wanted[name]) < 1e-15
                worst += 1
        assert stats.keys() == told
    assert worst <= len(rows)


def test_overrides_of_sent_lessons_are_those_of_python(store: Store, db: Database) -> None:
    from pm_strength.overrides.materialize import materialize_overrides

    for settings in (
        LearningSettings(n_min=3, ae_multipliers=True),
        LearningSettings(profile="guarded", evidence_min=1.2, ae_multipliers=True),
    ):
        store.write_settings("pm", settings.to_dict())
        lessons = mine_lessons(events(4, 2500), settings)
        publish(store, lessons, settings)
        learning.materialize(store)
        expected = materialize_overrides(lessons, settings).to_dict("records")
        made = store.overrides()
        assert len(made) == len(expected) > (300 if settings.profile == "source" else 0)
        for row, wanted in zip(made, expected, strict=True):
            for name, value in wanted.items():
                if name == "stats":
                    assert row[name] == {**dict.fromkeys(row[name]), **value}
                else:
                    assert same(row[str(name)], value, name != "confidence_score"), (name, row, wanted)
        # each is found by its lead
        for row in random.Random(1).sample(made, min(len(made), 40)):
            answer = store.resolve(row["pattern_key"], row["action_category"], row["scope_subset"], None)
            assert row["id"] in [match["id"] for match in answer["matches"]]


def test_python_and_sql_agree_on_leads(store: Store, db: Database) -> None:
    lessons = mine_lessons(events(8, 600), LearningSettings(n_min=1, max_dims=None))
    columns = LessonColumns(lessons)
    columns.know(*store.scope_bits(columns.members, columns.groups))
    part = columns.part(0, len(lessons))
    leads = json.loads("[" + part["leads"][1:-1] + "]")
    rows = db.execute(
        "select pm_strength.lead(l ->> 'pattern_key', l ->> 'action_category', l -> 'scope_subset') "
        "from jsonb_array_elements(%s) l",
        (json.dumps(lesson_rows(lessons)),),
    ).fetchall()
    assert leads == [row[0] for row in rows]
    assert len(set(leads)) > len(leads) / 4
    assert set(json.loads("[" + part["dimensions"][1:-1] + "]")) == set(range(6))


def test_a_lesson_with_a_lead_that_finds_nothing_is_refused(store: Store) -> None:
    lessons = mine_lessons(events(8, 100), LearningSettings(n_min=5))
    columns = LessonColumns(lessons)
    terms, bits = store.scope_bits(columns.members, columns.groups)
    columns.know([term ^ 1 for term in terms], bits)
    run = store.begin_run("pm", "mine", {})
    assert run is not None
    store.open_set(run["run_id"], len(lessons), 0.0)
    with pytest.raises(Exception, match="expected the leads and dimensions of their scopes"):
        store.stage_lessons(run["run_id"], columns.part(0, 20))


@pytest.fixture
def small_shelves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every set gets a shelf of its own, as one of 50,000 rows does."""
    ask = Store.open_set

    def open_set(self: Store, run_id: int, row_count: int, baseline: float | None = None) -> int:
        self._api.rpc(
            "pm_strength_open_set", run_id=run_id, row_count=max(row_count, 60_000), baseline=baseline
        )
        # expects as many as it really has
        return ask(self, run_id, row_count, baseline)

    monkeypatch.setattr(Store, "open_set", open_set)


def shelves(db: Database, kind: str) -> dict[int, int]:
    query = f"select (id >> 49)::int, count(*) from pm_strength.{kind} group by 1".encode()
    return {row[0]: row[1] for row in db.execute(query)}


@pytest.mark.usefixtures("small_shelves")
def test_large_sets_take_turns_on_the_shelves(store: Store, db: Database) -> None:
    fill(db, 1, 1500)
    # of 50,000 overrides, a few sets are kept
    keep = "update pm_retention set keep_rows = %s where what = 'overrides'"
    db.execute(keep, (6000,))
    before = None
    for number in range(12):
        mined = learning.mine(store)
        made = learning.materialize(store)
        assert made is not None
        assert len(store.lessons(status="active")) == mined.lessons
        rows = [
            (row["pattern_key"], row["action_category"], row["scope_subset"], row["multiplier"])
            for row in store.overrides()
        ]
        assert len(rows) == made.overrides
        assert before in (None, rows)
        before = rows
        for kind, count in (("lessons", mined.lessons), ("overrides", made.overrides)):
            held = shelves(db, kind)
            assert 0 not in held or number > 0
            assert set(held.values()) == {count}
            assert len(held) <= (3 if kind == "lessons" else 5), kind
        # as if a while had passed
        db.execute("update pm_strength.sets set replaced_at = replaced_at - interval '1 minute'")
    db.execute(keep, (200_000,))
    indexes = (
        "select count(*) from pg_indexes where schemaname = 'pm_strength' and tablename ~ %s "
        "group by tablename"
    )
    assert {row[0] for row in db.execute(indexes, ("^lessons_.$",))} == {4}
    assert {row[0] for row in db.execute(indexes, ("^overrides_.$",))} == {4}
    for key, category, scope, _ in random.Random(1).sample(before or [], 20):
        assert store.resolve(key, category, scope)["matched"] > 0


@pytest.mark.usefixtures("small_shelves")
def test_a_shelf_that_a_reader_is_busy_with_is_emptied_later(
    store: Store, db: Database, variables: dict[str, str]
) -> None:
    fill(db, 1, 600)
    for _ in range(2):
        learning.mine(store)
    # it was replaced a moment ago, and waits
    learning.mine(store)
    db.execute("update pm_strength.sets set replaced_at = replaced_at - interval '1 minute'")
    (dropped,) = db.execute("select shelf from pm_strength.sets where state = 'dropped'").fetchone() or ()
    count = f"select count(*) from pm_strength.lessons_{dropped}".encode()
    with psycopg.connect(variables["DB_URL"]) as reader:
        rows = reader.execute(count).fetchone()
        list(store.purge_sets())
        assert reader.execute(count).fetchone() == rows
        # a run meanwhile takes another shelf
        learning.mine(store)
    list(store.purge_sets())
    assert db.execute(count).fetchone() == (0,)


@pytest.mark.usefixtures("small_shelves")
def test_without_a_free_shelf_a_large_set_is_among_the_small_ones(store: Store, db: Database) -> None:
    fill(db, 1, 600)
    db.execute(
        "insert into pm_strength.sets (kind, state, shelf, replaced_at) "
        "select 'lessons', 'dropped', n, now() + interval '1 hour' from generate_series(1, 8) n"
    )
    mined = learning.mine(store)
    assert shelves(db, "lessons") == {0: mined.lessons}
    assert len(store.lessons()) == mined.lessons


def test_pages_may_come_twice_and_in_any_order(store: Store, db: Database) -> None:
    lessons = mine_lessons(events(8, 800), LearningSettings(n_min=3))
    columns = LessonColumns(lessons)
    columns.know(*store.scope_bits(columns.members, columns.groups))
    settings = LearningSettings(edge_threshold=0.0).to_dict()
    run = store.begin_run("pm", "mine", settings)
    assert run is not None
    assert store.open_set(run["run_id"], len(lessons), lessons.attrs["baseline"]) == len(lessons)
    starts = list(range(0, len(lessons), 50))
    random.Random(2).shuffle(starts)
    store.stage_lessons(run["run_id"], columns.part(starts[0], starts[0] + 50))
    # half of it was sent before
    with pytest.raises(Exception, match="are staged"):
        store.stage_lessons(run["run_id"], columns.part(0, 50) | {"first": max(starts[0] - 20, 20)})
    for start in [*starts, *starts[:5]]:
        new = store.stage_lessons(run["run_id"], columns.part(start, start + 50))
        assert new in (0, min(50, len(lessons) - start))
    with pytest.raises(Exception, match="expected an open set and numbers from 0"):
        store.stage_lessons(run["run_id"], columns.part(0, 50) | {"first": len(lessons)})
    assert store.publish_run(run["run_id"], len(lessons)) == "published"
    rows = store.lessons()
    assert [row["scope_subset"] for row in rows] == lessons["scope_subset"].tolist()
    made = store.begin_run("pm", "materialize", settings)
    assert made is not None
    count = store.open_set(made["run_id"], 0)
    for start in [*starts, *starts[:5]]:
        store.stage_overrides(made["run_id"], start, 50)
    assert count == len(lessons)
    assert store.publish_run(made["run_id"]) == "published"
    assert len(store.overrides()) == len(lessons)


def test_a_set_that_misses_a_page_of_lessons_is_not_published(store: Store, db: Database) -> None:
    fill(db, 1, 900)
    learning.mine(store)
    run = store.begin_run("pm", "materialize", {})
    assert run is not None
    count = store.open_set(run["run_id"], run["expected"])
    store.stage_overrides(run["run_id"], 0, count - 1)
    with pytest.raises(Exception, match="has not made the overrides of all lessons"):
        store.publish_run(run["run_id"])
    store.stage_overrides(run["run_id"], count - 1, 1)
    assert store.publish_run(run["run_id"]) == "published"


def test_a_run_finds_again_what_the_one_before_found(store: Store, db: Database) -> None:
    """With the same settings and no event changed or removed, retired lessons are not even looked for."""
    fill(db, 1, 900)
    first = learning.mine(store)
    looked = "update pattern_trade_events set rr = rr where id = (select min(id) from pattern_trade_events)"
    epoch = "select epoch from pm_strength.event_epoch"
    before = db.execute(epoch).fetchone()
    fill(db, 2, 300)
    assert db.execute(epoch).fetchone() == before
    learning.mine(store)
    assert len(store.lessons(status="retired")) == 0
    db.execute(looked)
    db.execute("delete from pattern_trade_events where id % 3 = 0")
    assert db.execute(epoch).fetchone() == ((before or (0,))[0] + 2,)
    third = learning.mine(store)
    gone = len(store.lessons(status="retired"))
    assert gone > 0
    assert (third.lessons or 0) < (first.lessons or 0) + gone
    keys = [
        (row["pattern_key"], row["action_category"], json.dumps(row["scope_subset"], sort_keys=True))
        for row in store.lessons()
    ]
    assert len(set(keys)) == len(keys)
    # retired ones stay, and come back
    learning.mine(store)
    assert len(store.lessons(status="retired")) == gone
    fill(db, 3, 2000)
    learning.mine(store)
    assert len(store.lessons(status="retired")) < gone


def fill(db: Database, seed: int, count: int) -> None:
    made = planted.noise(seed, count).events
    columns = ["trade_id", "pattern_key", "action_category", "scope", "rr", "timestamp"]
    rows = made[columns].assign(
        strand_id=[f"{seed}.{n}" for n in range(len(made))],
        scope=[dict(scope) for scope in made["scope"]],
        timestamp=[str(moment) for moment in made["timestamp"]],
        rr=made["rr"].astype(np.float64),
        trade_id=[str(trade) for trade in made["trade_id"]],
    )
    db.execute(
        "insert into pattern_trade_events "
        "(strand_id, trade_id, pattern_key, action_category, scope, rr, timestamp) "
        "select strand_id, md5(trade_id || %s)::uuid, pattern_key, action_category, scope, rr, timestamp "
        "from jsonb_to_recordset(%s) r (strand_id text, trade_id text, pattern_key text, "
        "action_category text, scope jsonb, rr float8, timestamp timestamptz)",
        (str(seed), json.dumps(rows.to_dict("records"))),
    )


def test_overrides_written_while_a_run_makes_others_stay_apart(store: Store, db: Database) -> None:
    fill(db, 1, 900)
    learning.mine(store)
    learning.materialize(store)
    run = store.begin_run("pm", "materialize", {})
    insert = (
        "insert into pm_overrides (pattern_key, action_category, scope_subset, multiplier, confidence_score) "
        "values ('by hand', 'entry', '{}', 2, 1) returning id"
    )
    (written,) = db.execute(insert).fetchone() or ()
    assert store.resolve("by hand", "entry", {})["matches"][0]["id"] == written
    with pytest.raises(Exception, match="already"):
        db.execute(insert)
    db.execute(
        "update pm_overrides set multiplier = 3, scope_subset = '{\"a\": 1}' where id = %s", (written,)
    )
    assert store.resolve("by hand", "entry", {})["reason"] == "no_match"
    assert store.resolve("by hand", "entry", {"a": 1.0, "b": 2})["multiplier"] == 3
    make_overrides(store, run)
    assert run is not None
    assert store.publish_run(run["run_id"]) == "published"
    assert store.resolve("by hand", "entry", {"a": 1})["reason"] == "no_match"
    db.execute("delete from pm_overrides")
    assert store.overrides() == []


@pytest.mark.usefixtures("small_shelves")
def test_a_reader_of_the_past_is_told_where_its_set_is_emptied_meanwhile(
    store: Store, db: Database, variables: dict[str, str]
) -> None:
    """Its snapshot still has the set, and would answer 1.0 without a word."""
    fill(db, 1, 900)
    store.write_settings("pm", {"n_min": 20, "edge_threshold": 0})
    learning.mine(store)
    learning.materialize(store)
    row = store.overrides()[0]
    request = (row["pattern_key"], row["action_category"], json.dumps(row["scope_subset"]))
    (moment,) = db.execute("select clock_timestamp()").fetchone() or ()
    (kept,) = db.execute("select id from pm_strength.live_set('pm', 'overrides')").fetchone() or ()
    learning.materialize(store)
    ask = "select resolve_pm_strength_at(%s, %s, %s, %s)"
    with psycopg.connect(variables["DB_URL"]) as reader:
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select 1 from pm_strength.sets")
        db.execute(
            "update pm_strength.sets set replaced_at = replaced_at - interval '1 day' where id = %s", (kept,)
        )
        db.execute("update pm_strength.sets set state = 'dropped', dropped_at = now() where id = %s", (kept,))
        list(store.purge_sets())
        page = "select pm_strength_read_overrides(%s)"
        assert (reader.execute(page, (kept,)).fetchone() or ({},))[0] == {"set_id": kept, "gone": True}
        with pytest.raises(psycopg.errors.NoDataFound, match="are not kept any more"):
            reader.execute(ask, (moment, *request))


def test_many_rows_written_by_hand_are_not_counted_in_the_row_of_their_set(
    store: Store, db: Database
) -> None:
    """A version of that row for each of them would make each slower than the one before."""
    for view, columns, values in (
        ("pm_overrides", "multiplier, confidence_score", "1.5, 0.5"),
        ("learning_lessons", "n, stats", "40, '{\"edge_raw\": 0.5}'"),
    ):
        with db.transaction():
            db.execute(
                f"insert into {view} (pattern_key, action_category, scope_subset, {columns}) "
                f"select 'p', 'entry', jsonb_build_object('n', n), {values} "
                "from generate_series(1, 500) n".encode()
            )
            changed = "select pg_stat_get_xact_tuples_updated('pm_strength.sets'::regclass)"
            assert (db.execute(changed).fetchone() or (0,))[0] <= 1
        with pytest.raises(psycopg.errors.UniqueViolation):
            db.execute(
                f"insert into {view} (pattern_key, action_category, scope_subset, {columns}) "
                f"values ('p', 'entry', '{{\"n\": 7.0}}', {values})".encode()
            )
    assert store.resolve("p", "entry", {"n": 7})["multiplier"] == 1.5


def test_lessons_written_by_hand_make_overrides_and_are_carried_over(store: Store, db: Database) -> None:
    fill(db, 1, 900)
    learning.mine(store)
    stats = '{"edge_raw": 0.5, "support_score": 0.5, "reliability_score": 0.5}'
    db.execute(
        "insert into learning_lessons (pattern_key, action_category, scope_subset, n, stats) "
        "select 'by hand', 'entry', jsonb_build_object('n', n), 9, %s from generate_series(1, 30) n",
        (stats,),
    )
    learning.materialize(store)
    assert len(store.overrides(pattern_key="by hand")) == 30
    # with the same settings and no event changed, these are looked for all the same
    learning.mine(store)
    assert {row["status"] for row in store.lessons(pattern_key="by hand")} == {"retired"}
    assert len(store.lessons(pattern_key="by hand")) == 30
