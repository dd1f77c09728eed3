"""A reader sees one whole run or another, never parts of both."""

from __future__ import annotations

import gzip
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import psycopg
import pytest

from pm_strength.errors import SupersededRunError
from pm_strength.project import store as store_module
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from pm_strength.settings import LearningSettings
from tests.support import strands

from ..support.lessons import make_overrides
from .conftest import Database, Drain


@pytest.fixture
def learned(store: Store, drain: Drain) -> Store:
    """A project with some hundred lessons and overrides."""
    store.write_settings("pm", {"n_min": 4, "edge_threshold": 0})
    store.insert_strands(strands.trades(80))
    drain()
    learning.mine(store)
    learning.materialize(store)
    return store


def test_a_reader_that_polls_sees_only_whole_runs(learned: Store, variables: dict[str, str]) -> None:
    stop = threading.Event()
    seen: set[tuple[Any, ...]] = set()

    def poll(role: str) -> None:
        with psycopg.connect(variables["DB_URL"], autocommit=True) as own:
            own.execute(f"set role {role}".encode())
            claims = json.dumps({"app_metadata": {"pm_strength": "read"}})
            own.execute("select set_config('request.jwt.claims', %s, false)", (claims,))
            while not stop.is_set():
                row = own.execute(
                    "select count(distinct run_id), count(*), min(run_id) from pm_overrides"
                ).fetchone()
                assert row is not None
                seen.add(("overrides", *row))
                row = own.execute(
                    "select count(distinct run_id), count(*), min(run_id) from learning_lessons "
                    "where status = 'active'"
                ).fetchone()
                assert row is not None
                seen.add(("lessons", *row))

    readers = [threading.Thread(target=poll, args=(role,)) for role in ("service_role", "authenticated")]
    for reader in readers:
        reader.start()
    sizes = {"overrides": {len(learned.overrides())}, "lessons": {len(learned.lessons(status="active"))}}
    try:
        for n_min in (6, 8, 5, 7, 4):
            learned.write_settings("pm", {"n_min": n_min, "edge_threshold": 0})
            report = learning.mine(learned)
            result = learning.materialize(learned)
            assert result is not None
            sizes["lessons"].add(report.lessons or 0)
            sizes["overrides"].add(result.overrides or 0)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert {entry[1] for entry in seen} == {1}, "one run at a time"
    for kind in ("overrides", "lessons"):
        counts = {entry[2] for entry in seen if entry[0] == kind}
        assert counts <= sizes[kind]
        assert len(counts) > 1, "the readers were there while runs changed"


@pytest.mark.parametrize(
    ("run", "method"),
    [
        (learning.mine, "stage_retired"),
        (learning.mine, "publish_run"),
        (learning.materialize, "stage_overrides"),
        (learning.materialize, "publish_run"),
    ],
)
def test_a_run_that_breaks_while_it_publishes_leaves_what_was_there(
    learned: Store, db: Database, monkeypatch: pytest.MonkeyPatch, run: Callable[[Store], Any], method: str
) -> None:
    before = (learned.lessons(), learned.overrides())

    def break_down(*_: Any, **__: Any) -> None:
        raise RuntimeError("the plug was pulled")

    with monkeypatch.context() as patch:
        patch.setattr(learned, method, break_down)
        with pytest.raises(RuntimeError):
            run(learned)
    failed = learned.runs(1)[0]
    assert (failed["status"], failed["error"]) == ("failed", "RuntimeError: the plug was pulled")
    assert (learned.lessons(), learned.overrides()) == before

    learning.mine(learned)
    learning.materialize(learned)
    for table in ("lessons", "overrides"):
        staged = db.execute(
            f"select count(*) from pm_strength.{table} t "
            "join pm_strength.sets s on s.id = (t.id >> 26) & 8388607 "
            "where s.state not in ('live', 'kept')".encode()
        ).fetchone()
        assert staged == (0,), "what broken runs staged is gone"


def test_an_older_run_never_replaces_a_newer_one(learned: Store) -> None:
    old = learned.begin_run("pm", "mine", {})
    assert old is not None
    newest = learning.mine(learned)
    lessons = learned.lessons()
    # twice, as after a lost answer
    for _ in range(2):
        answer = learned.publish_run(old["run_id"], 0, {"events": 0, "trades": 0, "lessons": 0})
        assert answer == "superseded"
    assert learned.lessons() == lessons
    assert newest.run_id in {row["run_id"] for row in lessons}


def test_a_run_that_was_overtaken_says_so(learned: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = learned.stage_retired

    def overtake(run_id: int) -> Iterator[None]:
        monkeypatch.setattr(learned, "stage_retired", stage)
        learning.mine(learned)
        return stage(run_id)

    monkeypatch.setattr(learned, "stage_retired", overtake)
    with pytest.raises(SupersededRunError):
        learning.mine(learned)
    assert [row["status"] for row in learned.runs(2)] == ["succeeded", "superseded"]


def test_a_materialization_whose_lessons_are_dropped_says_so(
    learned: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two mining runs go live while it works, and the older lessons are removed."""
    before = learned.overrides()
    open_set = learned.open_set

    def overtake(run_id: int, *size: Any) -> int:
        monkeypatch.setattr(learned, "open_set", open_set)
        count = open_set(run_id, *size)
        for _ in range(2):
            learning.mine(learned)
        return count

    monkeypatch.setattr(learned, "open_set", overtake)
    with pytest.raises(SupersededRunError):
        learning.materialize(learned)
    assert learned.runs(3)[-1]["status"] == "superseded"
    assert learned.overrides() == before


def test_a_lesson_written_by_hand_does_not_break_a_materialization(
    learned: Store, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes after the last page waits for the next."""
    publish = learned.publish_run

    def write_first(run_id: int) -> str:
        db.execute(
            "insert into learning_lessons (pattern_key, action_category, scope_subset, n, stats) "
            "select 'by hand', 'entry', '{}', 9, stats from learning_lessons limit 1"
        )
        return publish(run_id)

    with monkeypatch.context() as patch:
        patch.setattr(learned, "publish_run", lambda run_id, *_: write_first(run_id))
        assert learning.materialize(learned) is not None
    assert learned.overrides(pattern_key="by hand") == []
    learning.materialize(learned)
    assert len(learned.overrides(pattern_key="by hand")) == 1


def test_a_run_whose_beginning_is_asked_for_again_knows_its_lessons(learned: Store) -> None:
    """After a lost answer: those it began with, though others went live in between."""
    request = {"module": "pm", "kind": "materialize", "settings": {}, "request_id": str(uuid.uuid4())}
    first = learned._api.rpc("pm_strength_begin_run", **request)
    mined = learned.runs(2)[1]
    learned.write_settings("pm", {"n_min": 9})
    learning.mine(learned)
    again = learned._api.rpc("pm_strength_begin_run", **request)
    assert again == first
    make_overrides(learned, again)
    assert learned.publish_run(again["run_id"]) == "published"
    assert {row["run_id"] for row in learned.overrides()} == {mined["source_run_id"]}
    assert again["lessons"] == mined["lessons"]


def test_a_materialization_without_settings_goes_by_the_defaults(learned: Store) -> None:
    """As a resolver does. No override at all would make every multiplier 1.0 without a word."""
    run = learned.begin_run("pm", "materialize", {})
    assert run is not None
    make_overrides(learned, run)
    assert learned.publish_run(run["run_id"]) == "published"
    wanted = [row for row in learned.lessons(status="active") if abs(row["stats"]["edge_raw"]) >= 0.05]
    assert len(learned.overrides()) == len(wanted) > 0


def test_a_set_that_lost_rows_on_the_way_is_not_published(learned: Store) -> None:
    before = (learned.lessons(), learned.overrides())
    for kind, error in (("mine", "staged 0 rows of 7"), ("materialize", "has not made the overrides")):
        run = learned.begin_run("pm", kind, {})
        assert run is not None
        with pytest.raises(Exception, match=error):
            learned.publish_run(run["run_id"], 7)
    assert (learned.lessons(), learned.overrides()) == before


def test_asking_again_does_nothing_twice(learned: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write whose answer was lost is tried again: it must neither count twice nor skip a page."""
    before = [(row["pattern_key"], row["scope_subset"], row["multiplier"]) for row in learned.overrides()]
    ask = learned._api.rpc_page
    asked: list[str] = []

    def twice(function: str, **params: Any) -> Any:
        if function == "pm_strength_stage_overrides":
            asked.append(function)
            ask(function, **params)
        return ask(function, **params)

    monkeypatch.setattr(learned._api, "rpc_page", twice)
    monkeypatch.setattr(store_module, "STAGE_PAGE", 7)
    run = learned.begin_run("pm", "materialize", LearningSettings(n_min=4, edge_threshold=0).to_dict())
    assert run is not None
    made = make_overrides(learned, run)
    assert len(asked) > 3
    assert learned.publish_run(run["run_id"]) == "published"
    assert learned.publish_run(run["run_id"]) == "published"
    assert [
        (row["pattern_key"], row["scope_subset"], row["multiplier"]) for row in learned.overrides()
    ] == before
    assert learned.runs(1)[0]["overrides"] == made == len(before)


def test_views_can_be_read_page_by_page_over_1000_rows(store: Store, db: Database) -> None:
    db.execute(
        """
        insert into pm_overrides (pattern_key, action_category, scope_subset, multiplier, confidence_score)
        select 'p', 'entry', jsonb_build_object('n', n), 1.5, 0.5 from generate_series(0, 2499) n
        """
    )
    assert [row["scope_subset"]["n"] for row in store.overrides()] == list(range(2500))


@pytest.mark.slow
def test_every_combination_of_the_sample(store: Store, drain: Drain) -> None:
    """The contract's figures: 20,350 lessons with three dimensions, 290,408 with all."""
    data = gzip.decompress(
        resources.files("pm_strength").joinpath("data/strands_btc_pairs.jsonl.gz").read_bytes()
    )
    rows = [json.loads(line) for line in data.splitlines()]
    for start in range(0, len(rows), 500):
        store.insert_strands(rows[start : start + 500])
    drain()
    assert learning.mine(store).lessons == 20_350
    store.write_settings("pm", {"max_dims": None})
    assert learning.mine(store).lessons == 290_408
    result = learning.materialize(store)
    assert result is not None
    assert len(store.overrides()) == result.overrides
