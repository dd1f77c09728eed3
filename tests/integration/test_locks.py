"""No lock that somebody holds breaks a bot's insert, or makes it wait for long."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from pm_strength.errors import TransientStoreError
from pm_strength.project.api import Api
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.service.trades import read_in_parts

from .conftest import Database, Drain

ACTION = {"pattern_key": "p", "action_category": "entry", "scope": {"rank": 1}}


def close(trade_id: str) -> dict[str, Any]:
    content = {"trade_summary": {"rr": 1.0, "exit_timestamp": "2026-01-05T10:00:00Z"}}
    return {
        "id": str(uuid.uuid4()),
        "module": "pm",
        "kind": "position_closed",
        "trade_id": trade_id,
        "content": content,
    }


def action(trade_id: str) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "module": "pm",
        "kind": "pm_action",
        "trade_id": trade_id,
        "content": ACTION,
    }


@pytest.mark.parametrize(
    "lock",
    [
        "lock table pgmq.q_pm_strength_trades in access exclusive mode",
        "lock table pgmq.q_pm_strength_trades in share mode",
        "lock table pgmq.meta in access exclusive mode",
        "lock table learning_settings in access exclusive mode",
        "lock table pgmq.q_pm_strength_trades, pgmq.a_pm_strength_trades, pm_dead_letters, "
        "pattern_trade_events, learning_runs, pm_strength.sets in access exclusive mode",
    ],
)
def test_a_strand_is_stored_and_learned_from_under_every_lock(
    store: Store, db: Database, drain: Drain, variables: dict[str, str], lock: str
) -> None:
    trade_id = str(uuid.uuid4())
    with psycopg.connect(variables["DB_URL"]) as holder:
        holder.execute(lock.encode())
        # through the API a call that waited for the lock would be cut after 8 s, and its strands undone
        assert store.insert_strands([action(trade_id), close(trade_id)]) == 2
        holder.rollback()
    drain()
    row = db.execute("select count(*) from pattern_trade_events where trade_id = %s", (trade_id,)).fetchone()
    assert row == (1,)


def test_an_update_that_closes_a_trade_is_kept_too(
    store: Store, db: Database, drain: Drain, variables: dict[str, str]
) -> None:
    trade_id = str(uuid.uuid4())
    row = close(trade_id)
    store.insert_strands([action(trade_id), row | {"kind": "draft"}])
    with psycopg.connect(variables["DB_URL"]) as holder:
        holder.execute("lock table pgmq.q_pm_strength_trades in access exclusive mode")
        db.execute("set statement_timeout = '8s'")
        db.execute("update ad_strands set kind = 'position_closed' where id = %s", (row["id"],))
        holder.rollback()
    drain()
    assert db.execute("select count(*) from pattern_trade_events").fetchone() == (1,)


def test_a_lock_on_the_strands_makes_no_dead_letter(
    store: Store, db: Database, drain: Drain, variables: dict[str, str]
) -> None:
    """Reading them waits, and is then tried again: it is the lock, not the trade, that takes long."""
    trade_id = str(uuid.uuid4())
    store.insert_strands([action(trade_id), close(trade_id)])
    messages = store.claim_trades(10, 0, 0)
    impatient = Store(Api(Connection(variables["API_URL"], variables["SECRET_KEY"]), tries=1))
    with psycopg.connect(variables["DB_URL"]) as holder:
        holder.execute("lock table ad_strands in access exclusive mode")
        with pytest.raises(TransientStoreError) as caught:
            list(read_in_parts(impatient, messages))
        holder.rollback()
    impatient.close()
    assert caught.value.code == "55P03"
    drain()
    assert db.execute("select count(*) from pattern_trade_events").fetchone() == (1,)
    assert db.execute("select count(*) from pm_dead_letters").fetchone() == (0,)


def test_an_update_of_many_closes_takes_no_longer_than_the_update(store: Store, db: Database) -> None:
    """Compared one by one, 30,000 old rows with 30,000 new ones took most of a minute."""
    db.execute(
        "insert into ad_strands (id, module, kind, content) "
        "select 'u' || n, 'pm', 'position_closed', '{}' from generate_series(1, 30000) n"
    )
    for number in range(8):
        db.execute("update ad_strands set symbol = 'y' where id = %s", (f"u{number + 1}",))
    db.execute("set statement_timeout = '8s'")
    db.execute("update ad_strands set symbol = 'x'")
    db.execute("reset statement_timeout")
    row = db.execute("select count(*) from pgmq.q_pm_strength_trades").fetchone()
    assert row == (30_000,), "none is queued twice"


def test_a_bot_in_a_hurry_does_not_lose_its_strand_to_our_wait(
    store: Store, db: Database, variables: dict[str, str]
) -> None:
    row = close(str(uuid.uuid4()))
    with psycopg.connect(variables["DB_URL"]) as holder:
        holder.execute("lock table pgmq.q_pm_strength_trades in access exclusive mode")
        db.execute("set statement_timeout = '80ms'")
        insert = (
            "insert into ad_strands (id, module, kind, content) values (%s, 'pm', 'position_closed', '{}')"
        )
        db.execute(insert, (row["id"],))
        db.execute("reset statement_timeout")
        holder.rollback()
    assert db.execute("select count(*) from ad_strands").fetchone() == (1,)
