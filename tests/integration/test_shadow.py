"""A profile in the shadow is learned and resolved beside the live one, and sizes the canary alone."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pandas as pd
import pytest
from typer.testing import CliRunner

from pm_strength import StrengthClient, apply_strength, book_at
from pm_strength.cli import app
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.runtime.canary import in_canary
from pm_strength.service.worker import Worker

from ..support import planted
from .conftest import Database
from .test_guarded import fill

SETTINGS = {"shadow_profile": "guarded", "canary_share": 0.4}


@pytest.fixture
def learned(store: Store, db: Database, variables: dict[str, str]) -> pd.DataFrame:
    """Both profiles, learned by the worker from the jobs of one slot."""
    events = planted.few_strong(1, 2500).events
    fill(db, events)
    store.write_settings("pm", SETTINGS)
    store.enqueue_job("mine")
    store.enqueue_job("materialize")
    connection = Connection(variables["API_URL"], variables["SECRET_KEY"])
    Worker(lambda: Store.connect(connection)).drain()
    return events


def test_both_are_learned_and_readers_see_the_live_one(
    store: Store, db: Database, learned: pd.DataFrame
) -> None:
    runs = [(run["kind"], run["role"], run["status"]) for run in store.runs(10)]
    assert runs == [
        ("materialize", "shadow", "succeeded"),
        ("materialize", "live", "succeeded"),
        ("mine", "shadow", "succeeded"),
        ("mine", "live", "succeeded"),
    ]
    assert {row["run_id"] for row in store.overrides()} == {store.runs(10)[3]["id"]}
    versions = {row["role"]: row["profile"] for row in store.override_sets(10, "pm")}
    assert versions == {"live": "source", "shadow": "guarded"}
    assert {row["stats"] is None for row in store.overrides()} == {True}
    # again: each goes on by itself
    learning_runs = len(store.runs(100))
    assert learning_runs == 4


def test_the_same_trades_are_of_the_canary_in_every_language(
    store: Store,
    db: Database,
    learned: pd.DataFrame,
    variables: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = learned.sample(120, random_state=2)
    requests: list[dict[str, Any]] = [
        {
            **{str(name): row[name] for name in ("pattern_key", "action_category", "scope")},
            "trade_id": str(uuid4()),
        }
        for row in rows.to_dict("records")
    ]
    answers = store.resolve_batch(requests)
    headers = {"apikey": variables["SECRET_KEY"]}
    body = [request | {"size_frac": 0.2} for request in requests]
    sized = httpx.post(
        f"{variables['API_URL']}/functions/v1/sizing", json=body, headers=headers, timeout=30
    ).json()
    roles = []
    with StrengthClient(variables["API_URL"], variables["SECRET_KEY"]) as client:
        caplog.set_level(logging.INFO, "pm_strength.client.strength")
        for request, answer, size in zip(requests, answers, sized, strict=True):
            got = client.resolve(**request)
            assert got.beside is not None
            assert got.role == answer["role"] == ("shadow" if in_canary(request["trade_id"], 0.4) else "live")
            assert got.multiplier == pytest.approx(answer["multiplier"], rel=1e-12)
            assert got.beside.multiplier == pytest.approx(answer["beside"]["multiplier"], rel=1e-12)
            assert {got.strategy, got.beside.strategy} == {"blend", "sum"}
            single = store.resolve(**request)
            assert (single["role"], single["multiplier"]) == (answer["role"], answer["multiplier"])
            mine = apply_strength({"action_category": "entry", "size_frac": 0.2}, got)["strength"]
            assert size["strength"]["role"] == mine["role"]
            assert size["strength"]["beside"]["multiplier"] == pytest.approx(mine["beside"]["multiplier"])
            assert size["strength"]["multiplier"] == pytest.approx(mine["multiplier"])
            roles.append(got.role)
    assert 20 < roles.count("shadow") < 80
    logged = [record for record in caplog.records if record.getMessage() == "shadow"]
    assert len(logged) == len(requests)
    assert {record.__dict__["role"] for record in logged} == {"live", "shadow"}
    assert store.resolve(**{**requests[0], "trade_id": None})["role"] == "live"


def test_without_the_setting_nothing_is_beside(store: Store, learned: pd.DataFrame) -> None:
    row = learned.iloc[0]
    request = (row["pattern_key"], row["action_category"], row["scope"])
    assert "beside" in store.resolve(*request)
    store.write_settings("pm", {})
    assert "beside" not in store.resolve(*request)
    assert store.override_page(page_size=0)["shadow_set_id"] is None


def test_a_shadow_that_fails_leaves_the_live_one_alone(
    store: Store, db: Database, variables: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    fill(db, planted.few_strong(1, 1500).events)
    # more lessons than allowed in the shadow alone: it needs fewer trades for each
    store.write_settings("pm", {"shadow_profile": "guarded", "n_min": 200, "max_lessons": 4000})
    store.enqueue_job("mine")
    store.enqueue_job("materialize")
    connection = Connection(variables["API_URL"], variables["SECRET_KEY"])
    Worker(lambda: Store.connect(connection)).drain()
    assert store.dead_letters() == []
    status = {(run["kind"], run["role"]): run["status"] for run in store.runs(10)}
    assert status[("mine", "live")] == status[("materialize", "live")] == "succeeded"
    assert status[("mine", "shadow")] == "failed"
    assert "the shadow failed" in caplog.text


def test_the_report_compares_what_each_said_with_what_happened(
    store: Store, db: Database, learned: pd.DataFrame, variables: dict[str, str]
) -> None:
    environment = {"SUPABASE_URL": variables["API_URL"], "SUPABASE_SECRET_KEY": variables["SECRET_KEY"]}
    run = CliRunner(env=environment)
    none = run.invoke(app, ["evaluate", "--shadow"])
    assert none.exit_code != 0
    # as if all of it had been learned long ago
    db.execute("update pm_strength.live_times set live_from = '2024-03-01Z'")
    db.execute("update pm_strength.settings_history set valid_from = '2024-02-01Z'")
    said = run.invoke(app, ["evaluate", "--shadow", "--output", "json"])
    assert said.exit_code == 0, said.output
    report = json.loads(said.stdout)
    assert [result["name"] for result in report["results"]] == ["live", "shadow"]
    later = learned[learned["action_at"] >= pd.Timestamp("2024-03-01", tz="UTC")]
    assert report["actions"] == len(later)
    event = later.iloc[5]
    request = (event["pattern_key"], event["action_category"], event["scope"])
    replayed = list(
        store.replay(
            [
                {
                    **{"at": event["action_at"].isoformat(), "pattern_key": request[0]},
                    **{"action_category": request[1], "scope": request[2]},
                },
                {
                    **{"at": "2024-02-20Z", "pattern_key": request[0]},
                    **{"action_category": request[1], "scope": request[2]},
                },
            ]
        )
    )
    assert replayed[1] == {"live": None, "shadow": None}
    # a day after that they would be stale
    assert replayed[0]["live"] is not None
    assert run.invoke(app, ["evaluate", "--shadow", "--profile", "source"]).exit_code == 2


def test_what_the_shadow_said_can_be_asked_later(
    store: Store, learned: pd.DataFrame, variables: dict[str, str]
) -> None:
    now = datetime.now(UTC)
    answers = []
    for row in learned.head(40).to_dict("records"):
        request: tuple[Any, ...] = (row["pattern_key"], row["action_category"], row["scope"])
        answer = store.resolve(*request)
        live = store.resolve_at(now.isoformat(), *request)
        shadow = store.resolve_at(now.isoformat(), *request, role="shadow")
        assert live["multiplier"] == answer["multiplier"]
        assert shadow["multiplier"] == answer["beside"]["multiplier"]
        answers.append((request, live["multiplier"], shadow["multiplier"]))
    assert any(live != shadow for _, live, shadow in answers)
    for role, place in (("live", 1), ("shadow", 2)):
        book = book_at(variables["API_URL"], variables["SECRET_KEY"], now, role=role)
        for answer in answers:
            assert book.resolve(*answer[0]).multiplier == pytest.approx(answer[place], rel=1e-12)
    environment = {"SUPABASE_URL": variables["API_URL"], "SUPABASE_SECRET_KEY": variables["SECRET_KEY"]}
    run = CliRunner(env=environment)
    (key, category, scope), live, shadow = next(answer for answer in answers if answer[1] != answer[2])
    action = ["--pattern-key", key, "--action", category, "--scope", json.dumps(scope), "--output", "json"]
    at = ["--at", now.strftime("%Y-%m-%dT%H:%M:%S.%f")]
    for extra, multiplier in (([], live), (["--role", "live"], live), (["--role", "shadow"], shadow)):
        said = run.invoke(app, ["resolve", *action, *at, *extra])
        assert json.loads(said.stdout)["multiplier"] == multiplier, said.output
    for wrong in (["--role", "shadow"], [*at, "--trade-id", str(uuid4())], [*at, "--role", "canary"]):
        assert run.invoke(app, ["resolve", *action, *wrong]).exit_code == 2


def test_a_shadow_is_not_a_version_to_compare_with(learned: pd.DataFrame, variables: dict[str, str]) -> None:
    environment = {"SUPABASE_URL": variables["API_URL"], "SUPABASE_SECRET_KEY": variables["SECRET_KEY"]}
    said = CliRunner(env=environment).invoke(app, ["overrides", "diff"])
    assert said.exit_code == 2
    assert "only one version" in said.output
