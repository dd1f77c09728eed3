"""The whole loop on real parts, against an independent implementation of the contract."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from pm_strength import OverrideBook, StrengthClient
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.settings import LearningSettings
from supabase import ClientOptions, create_client
from tests.support import reference, strands
from tests.support.project import assert_events, assert_learned, insert, learn, read

from .conftest import Database, Drain


@pytest.mark.parametrize("trades", [600, pytest.param(2200, marks=pytest.mark.slow)])
def test_strands_become_events_lessons_overrides_and_sizes(
    store: Store, db: Database, drain: Drain, connection: Connection, trades: int
) -> None:
    rows = strands.trades(trades)
    late = [row for row in rows if row["kind"] == "pm_action"][::40]
    on_time = [row for row in rows if row not in late]
    store.write_settings("pm", {"n_min": 12})
    insert(store, on_time)
    drain()
    assert store.queue_status()["queues"][0]["depth"] == 0 or len(late) > 0
    insert(store, late)
    drain()
    learn(store)

    events = assert_events(db, rows)
    assert len(events) > 2 * trades
    settings = LearningSettings(n_min=12).to_dict()
    assert_learned(db, events, settings)
    assert_resolutions_agree(store, db, connection, events, settings)

    before = read(db, "select count(*) from pattern_trade_events")
    insert(store, rows)
    db.execute(
        """
        select pgmq.send('pm_strength_trades', jsonb_build_object('strand_id', id))
        from ad_strands where kind = 'position_closed'
        """
    )
    drain()
    assert read(db, "select count(*) from pattern_trade_events") == before


def assert_resolutions_agree(
    store: Store, db: Database, connection: Connection, events: list[dict[str, Any]], settings: dict[str, Any]
) -> None:
    """Python book, its client and SQL give the reference's multiplier, to 1e-12."""
    overrides = read(db, "select * from pm_overrides")
    book = OverrideBook(overrides, LearningSettings.from_mapping(settings), as_of=datetime.now(UTC))
    rng = random.Random(1)
    with StrengthClient(connection.url, connection.key) as client:
        for number in range(60):
            event = rng.choice(events)
            scope = event["scope"] if number % 3 else strands.scope(rng)
            group = (event["pattern_key"], event["action_category"])
            wanted = reference.reference_resolve(overrides, settings, *group, scope)
            answers = [
                book.resolve(*group, scope).to_dict(),
                client.resolve(*group, scope).to_dict(),
                store.resolve(*group, scope),
            ]
            for got in answers:
                assert math.isclose(got["multiplier"], wanted["multiplier"], rel_tol=1e-12, abs_tol=1e-12)
                assert (got["reason"], got["matched"]) == (wanted["reason"], wanted["matched"])
            heaviest = [[match["id"] for match in got["matches"]] for got in answers]
            assert heaviest[0] == heaviest[1] == heaviest[2]


def test_the_sources_own_query_works_from_any_client(
    store: Store, db: Database, drain: Drain, connection: Connection
) -> None:
    store.write_settings("pm", {"n_min": 5})
    insert(store, strands.trades(60))
    drain()
    learn(store)
    events = read(db, "select * from pattern_trade_events limit 5")
    client = create_client(connection.url, connection.key, ClientOptions(httpx_client=httpx.Client()))
    for event in events:
        rows = (
            client.table("pm_overrides")
            .select("*")
            .eq("pattern_key", event["pattern_key"])
            .eq("action_category", event["action_category"])
            .filter("scope_subset", "cd", json.dumps(event["scope"]))
            .execute()
            .data
        )
        resolution = store.resolve(
            event["pattern_key"], event["action_category"], event["scope"], match_limit=None
        )
        assert {row["id"] for row in rows} == {match["id"] for match in resolution["matches"]}
