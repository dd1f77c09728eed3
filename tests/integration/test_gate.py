"""With the gate a mining run is published only if its lessons do not fail on trades they have not seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from pm_strength.cli import app
from pm_strength.errors import GateError
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from pm_strength.service.worker import Worker

from .conftest import Database

START = datetime(2024, 1, 1, tzinfo=UTC)
# One that falls for what was good a while ago.
SETTINGS = {"profile": "source", "strategy": "most_specific", "n_min": 20, "multiplier_max": 5, "gate": True}


def fill(db: Database, turning: bool, trades: int = 1400) -> None:
    """Trades with an edge that stays, or that turns around after each step of an evaluation."""
    rng = np.random.default_rng(1)
    for trade in range(trades):
        at = START + timedelta(hours=2 * trade)
        good = rng.random() < 0.5
        side = "a" if good else "b"
        block = trade * 7 // trades
        # what was good in the last two blocks on the whole is bad in the next one
        size = 3.0**block * (-1) ** block * 0.1 if turning else 0.5
        outcome = (size if good else -size) + rng.normal(0, 0.5)
        db.execute(
            "insert into pattern_trade_events (strand_id, trade_id, pattern_key, action_category, scope, rr, "
            '"timestamp", action_at) values (%s, gen_random_uuid(), %s, %s, %s, %s, %s, %s)',
            (f"s{trade}", "p", "entry", json.dumps({"side": side}), outcome, at + timedelta(hours=1), at),
        )


def test_lessons_that_fail_are_held_back_and_the_run_says_why(
    store: Store, db: Database, variables: dict[str, str]
) -> None:
    fill(db, turning=False)
    store.write_settings("pm", SETTINGS)
    assert learning.mine(store).warning is None
    learning.materialize(store)
    before = store.lessons(), store.overrides()
    assert before[1]

    db.execute("delete from pattern_trade_events")
    fill(db, turning=True)
    with pytest.raises(GateError, match="gate: the lessons of the profile source do not pay"):
        learning.mine(store)
    assert (store.lessons(), store.overrides()) == before
    [run] = store.runs(1)
    assert (run["kind"], run["status"]) == ("mine", "failed")
    assert "do not pay on trades that they were not learned from (uplift -" in run["error"]

    # by the worker: not a dead letter, and the materialization goes on with what is live
    store.enqueue_job("mine")
    store.enqueue_job("materialize")
    connection = Connection(variables["API_URL"], variables["SECRET_KEY"])
    Worker(lambda: Store.connect(connection)).drain()
    assert store.dead_letters() == []
    assert [run["status"] for run in store.runs(2)] == ["succeeded", "failed"]
    assert {row["multiplier"] for row in store.overrides()} == {row["multiplier"] for row in before[1]}

    store.write_settings("pm", SETTINGS | {"gate": False})
    learning.mine(store)
    assert store.lessons() != before[0]


def test_where_nothing_can_be_told_the_run_is_published_with_a_note(store: Store, db: Database) -> None:
    fill(db, turning=False, trades=60)
    store.write_settings("pm", {"profile": "guarded", "gate": True})
    report = learning.mine(store)
    assert report.warning is not None
    assert report.warning.startswith("gate: cannot tell (")
    assert store.runs(1)[0]["warning"] == report.warning
    db.execute("update pattern_trade_events set action_at = null")
    said = learning.mine(store).warning
    assert said is not None
    assert "have no time before their close" in said


def test_the_command_evaluates_a_project(store: Store, db: Database, variables: dict[str, str]) -> None:
    fill(db, turning=False)
    environment = {"SUPABASE_URL": variables["API_URL"], "SUPABASE_SECRET_KEY": variables["SECRET_KEY"]}
    ended = CliRunner(env=environment).invoke(app, ["evaluate", "--steps", "3", "--output", "json"])
    assert ended.exit_code == 0, ended.output
    report = json.loads(ended.stdout)
    assert {result["name"]: result["verdict"] for result in report["results"]}["source"] == "pays"
    assert (report["trades"] > 1000, report["without_time"]) == (True, 0)


def test_lessons_are_sorted_by_their_evidence(store: Store, db: Database, variables: dict[str, str]) -> None:
    fill(db, turning=False, trades=300)
    store.write_settings("pm", {"profile": "guarded"})
    learning.mine(store)
    environment = {"SUPABASE_URL": variables["API_URL"], "SUPABASE_SECRET_KEY": variables["SECRET_KEY"]}
    for sort, name, sign in (
        *(("evidence", "bayes_factor", -1), ("p-value", "p_value", 1)),
        *(("n-effective", "n_effective", -1), ("effect", "effect", 0)),
    ):
        arguments = ["lessons", "--sort", sort, "-n", "2", "--output", "json"]
        ended = CliRunner(env=environment).invoke(app, arguments)
        assert ended.exit_code == 0, ended.output
        values = [row["stats"][name] for row in json.loads(ended.stdout)]
        assert len(values) == 2
        key = (lambda value: -abs(value)) if sign == 0 else (lambda value, sign=sign: sign * value)
        assert values == sorted(values, key=key), sort
