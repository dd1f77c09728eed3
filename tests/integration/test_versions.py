"""Any decision of the past can be replayed; an earlier set can be looked at and gone back to."""

from __future__ import annotations

import json
import random
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from pm_strength import PmStrengthError, book_at
from pm_strength.cli import app
from pm_strength.errors import PermanentStoreError, SupersededRunError
from pm_strength.overrides.diff import diff_overrides
from pm_strength.project.store import Store
from pm_strength.service import runs as learning

from .conftest import Database
from .test_limits import lessons, publish_lessons

REQUESTS = [
    {"pattern_key": "p", "action_category": category, "scope": {"number": number, "text": "é"}}
    for category in ("entry", "add")
    for number in range(0, 400, 9)
]


def now(db: Database) -> datetime:
    row = db.execute("select clock_timestamp()").fetchone()
    assert row is not None
    time.sleep(0.01)
    return row[0].astimezone(UTC)


def publish(store: Store, db: Database, rng: random.Random, settings: dict[str, Any]) -> None:
    store.write_settings("pm", settings)
    publish_lessons(store, db, settings, lessons(rng, 0.6))
    learning.materialize(store)


def test_what_was_answered_then_is_answered_again(
    store: Store, db: Database, variables: dict[str, str]
) -> None:
    rng = random.Random(7)
    moments: list[tuple[datetime, list[dict[str, Any]]]] = []

    def remember() -> None:
        moments.append((now(db), store.resolve_batch(REQUESTS, None)))

    remember()
    publish(store, db, rng, {"multiplier_max": 2})
    remember()
    store.write_settings("pm", {"multiplier_max": 1.2, "strategy": "most_specific"})
    remember()
    publish(store, db, rng, {"profile": "guarded"})
    remember()
    store.write_settings("pm", {"profile": "source"})
    remember()
    publish(store, db, rng, {"max_added_exposure": 0})
    remember()
    db.execute("delete from learning_settings where module = 'pm'")
    remember()
    db.execute("insert into learning_settings (module) values ('pm')")
    url, key = variables["API_URL"], variables["SECRET_KEY"]
    assert len({json.dumps(answers) for _, answers in moments}) >= 5
    for at, answers in moments:
        book = book_at(url, key, at)
        for request, answer in zip(REQUESTS, answers, strict=True):
            again = store.resolve_at(at.isoformat(), **request, match_limit=None)
            again.pop("set_id")
            assert again == answer
            resolution = book.resolve(**request)
            assert (resolution.reason, resolution.strategy) == (answer["reason"], answer["strategy"])
            assert resolution.multiplier == pytest.approx(answer["multiplier"], rel=1e-12)
            assert resolution.run_id == answer["run_id"]
    environment = {"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": key}
    at, answers = moments[1]
    arguments = ["--pattern-key", "p", "--action", "entry", "--scope", json.dumps(REQUESTS[0]["scope"])]
    said = CliRunner(env=environment).invoke(
        app, ["resolve", *arguments, "--at", at.strftime("%Y-%m-%dT%H:%M:%S.%f"), "--output", "json"]
    )
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["multiplier"] == answers[0]["multiplier"]


def test_staleness_is_judged_at_that_time(store: Store, db: Database, variables: dict[str, str]) -> None:
    publish(store, db, random.Random(1), {})
    db.execute("update pm_strength.live_times set live_from = live_from - interval '30 hours'")
    db.execute("update pm_strength.settings_history set valid_from = valid_from - interval '40 hours'")
    published = now(db) - timedelta(hours=30)
    for hours, reason in ((1, "matched"), (23, "matched"), (25, "stale")):
        at = published + timedelta(hours=hours)
        answers = [store.resolve_at(at.isoformat(), **request) for request in REQUESTS]
        reasons = {answer["reason"] for answer in answers}
        assert reason in reasons
        assert reasons <= {reason, "no_match"}
        book = book_at(variables["API_URL"], variables["SECRET_KEY"], at)
        assert {book.resolve(**request).reason for request in REQUESTS} == reasons


def test_a_time_that_cannot_be_told_is_an_error_and_never_a_silent_1(
    store: Store, db: Database, variables: dict[str, str]
) -> None:
    before = now(db)
    assert store.resolve_at(before.isoformat(), **REQUESTS[0])["reason"] == "no_match"
    publish(store, db, random.Random(1), {})
    first = now(db)
    publish(store, db, random.Random(2), {})
    publish(store, db, random.Random(3), {})
    db.execute("update pm_retention set keep_sets = 1 where what = 'overrides'")
    list(store.purge_sets())
    with pytest.raises(PermanentStoreError, match=r"at: the overrides of .* are not kept any more"):
        store.resolve_at(first.isoformat(), **REQUESTS[0])
    db.execute("delete from pm_strength.sets where state = 'dropped'")
    with pytest.raises(PermanentStoreError, match="are not kept any more"):
        book_at(variables["API_URL"], variables["SECRET_KEY"], first)
    with pytest.raises(PermanentStoreError, match="at: expected a time that has passed"):
        store.resolve_at((first + timedelta(days=1)).isoformat(), **REQUESTS[0])
    with pytest.raises(PmStrengthError, match="at: expected a time with an offset"):
        book_at(variables["API_URL"], variables["SECRET_KEY"], datetime(2026, 1, 1))
    db.execute("update pm_retention set keep_sets = 720 where what = 'overrides'")


@pytest.mark.parametrize(
    ("limit", "kept"),
    [("keep_sets = 2", 2), ("keep_rows = 250", 1), ("keep_rows = 0", 1), ("keep_days = 2", 3)],
)
def test_sets_are_kept_by_number_by_rows_and_by_age(
    store: Store, db: Database, limit: str, kept: int
) -> None:
    for seed in range(5):
        publish(store, db, random.Random(seed), {})
    db.execute("update pm_strength.sets set replaced_at = replaced_at - (6 - id % 6) * interval '1 second'")
    newest = [
        row[0]
        for row in db.execute(
            "select id from pm_strength.sets where state = 'kept' and kind = 'overrides' "
            "order by replaced_at desc"
        )
    ]
    for place, set_id in enumerate(newest):
        db.execute(
            "update pm_strength.sets set replaced_at = clock_timestamp() - %s * interval '16 hours' "
            "where id = %s",
            (place, set_id),
        )
    db.execute(f"update pm_retention set {limit} where what = 'overrides'".encode())
    try:
        list(store.purge_sets())
        left = [row["id"] for row in store.override_sets(100, "pm") if row["state"] == "kept"]
        assert sorted(left) == sorted(newest[:kept])
        rows = db.execute("select distinct id >> 26 from pm_strength.overrides").fetchall()
        assert len(rows) == kept + 1
        lessons_left = db.execute("select distinct id >> 26 from pm_strength.lessons").fetchall()
        assert len(lessons_left) == 2, "of lessons one replaced set is kept"
    finally:
        db.execute(
            "update pm_retention set keep_sets = 720, keep_rows = 200000, keep_days = 90 "
            "where what = 'overrides'"
        )


def test_a_rollback_is_pinned_until_it_is_unpinned(
    store: Store, db: Database, variables: dict[str, str]
) -> None:
    publish(store, db, random.Random(1), {})
    good = store.resolve_batch(REQUESTS)
    publish(store, db, random.Random(2), {})
    bad_at, bad = now(db), store.resolve_batch(REQUESTS)
    environment = {"SUPABASE_URL": variables["API_URL"], "SUPABASE_SECRET_KEY": variables["SECRET_KEY"]}
    run = CliRunner(env=environment)
    versions = json.loads(run.invoke(app, ["overrides", "history", "--output", "json"]).stdout)
    assert [row["state"] for row in versions] == ["live", "kept"]
    changed = json.loads(run.invoke(app, ["overrides", "diff", "-n", "1000", "--output", "json"]).stdout)
    before, after = (list(store.override_rows(row["id"])) for row in versions[::-1])
    assert changed == [change.to_dict() for change in diff_overrides(before, after)]

    said = run.invoke(app, ["overrides", "rollback", str(versions[1]["id"])])
    assert said.exit_code == 0, said.output
    assert "is live and pinned" in said.stdout
    again = store.resolve_batch(REQUESTS)
    assert [answer["multiplier"] for answer in again] == [answer["multiplier"] for answer in good]
    with pytest.raises(SupersededRunError, match="pinned by a rollback"):
        learning.materialize(store)
    [latest] = store.runs(1)
    assert latest["status"] == "superseded"
    assert "is pinned: `pm-strength overrides unpin`" in latest["error"]
    assert "live, pinned" in run.invoke(app, ["overrides", "history"]).stdout
    # a pinned set is confirmed as long as it is pinned
    db.execute("update pm_strength.sets set published_at = published_at - interval '3 days' where pinned")
    assert "stale" not in {answer["reason"] for answer in store.resolve_batch(REQUESTS)}

    pinned_at = now(db)
    assert "Set" in run.invoke(app, ["overrides", "unpin"]).stdout
    assert "No set is pinned" in run.invoke(app, ["overrides", "unpin"]).stdout
    assert "stale" not in {answer["reason"] for answer in store.resolve_batch(REQUESTS)}
    learning.materialize(store)
    newest = store.resolve_batch(REQUESTS)
    assert [answer["multiplier"] for answer in newest] == [answer["multiplier"] for answer in bad]
    # all of it is in the history
    for at, answers in ((bad_at, bad), (pinned_at, good)):
        replayed = [store.resolve_at(at.isoformat(), **request) for request in REQUESTS]
        assert [answer["multiplier"] for answer in replayed] == [answer["multiplier"] for answer in answers]
    assert run.invoke(app, ["overrides", "rollback", "999999"]).exit_code != 0
    assert run.invoke(app, ["overrides", "--action", "entry", "-n", "1"]).exit_code == 0


def test_a_diff_names_what_was_added_removed_and_changed() -> None:
    def row(name: str, multiplier: float) -> dict[str, Any]:
        group = {"pattern_key": "p", "action_category": "entry"}
        return {**group, "scope_subset": {"a": name, "b": 1}, "multiplier": multiplier}

    before = [row("same", 1.2), row("gone", 0.5), row("other", 1.1)]
    after = [
        {**row("same", 1.2 + 1e-15), "scope_subset": {"b": 1.0, "a": "same"}},
        row("new", 1.3),
        row("other", 1.2),
    ]
    changes = [(c.scope_subset["a"], c.before, c.after) for c in diff_overrides(before, after)]
    assert changes == [("gone", 0.5, None), ("new", None, 1.3), ("other", 1.1, 1.2)]


def test_the_history_reads_few_rows(store: Store, db: Database) -> None:
    publish(store, db, random.Random(1), {})
    db.execute(
        "insert into pm_strength.live_times (set_id, module, role, live_from, live_to) "
        "select -n, 'pm', 'live', now() - (n + 1) * interval '1 hour', now() - n * interval '1 hour' "
        "from generate_series(1, 20000) n"
    )
    db.execute(
        "insert into pm_strength.settings_history (module, settings, valid_from) "
        "select 'pm', '{}', now() - (n + 1) * interval '1 hour' from generate_series(1, 20000) n"
    )
    plan = "explain (analyze, format json, timing off, summary off) "
    for query in (
        "select t.* from pm_strength.live_times t where t.module = 'pm' and t.role = 'live' "
        "and t.live_from <= now() order by t.live_from desc limit 1",
        "select h.settings from pm_strength.settings_history h where h.module = 'pm' "
        "and h.valid_from <= now() order by h.valid_from desc, h.id desc limit 1",
    ):
        found = db.execute((plan + query).encode()).fetchone()
        assert found is not None
        text = json.dumps(found[0])
        assert max(map(float, re.findall(r'"Actual Rows": ([\d.]+)', text))) <= 4, text
    db.execute("delete from pm_strength.live_times where set_id < 0")
