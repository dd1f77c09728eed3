"""Contents of megabytes: read by parts, and what is too much is set aside alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from pm_strength.local.postgres import SUPERUSER
from pm_strength.local.stack import Stack
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.service.trades import read_in_parts
from pm_strength.service.worker import Worker, WorkerOptions

from .conftest import Database, Drain

# what does not get shorter by packing
NOISE = "(select string_agg(md5({seed} || '.' || k), '') from generate_series(1, {megabytes} * 32768) k)"


def insert_closes(db: Database, name: str, count: int, content: str) -> None:
    """Trades of an action and a close; `content` is SQL for what else the close holds, n being its number."""
    db.execute(
        f"""
        insert into ad_strands (id, module, kind, trade_id, content)
        select '{name} action ' || n, 'pm', 'pm_action', md5('{name}' || n)::uuid::text,
          '{{"pattern_key": "p", "action_category": "entry", "scope": {{"rank": 1}}}}'
        from generate_series(1, {count}) n;
        insert into ad_strands (id, module, kind, trade_id, content)
        select '{name} close ' || n, 'pm', 'position_closed', md5('{name}' || n)::uuid::text,
          '{{"trade_summary": {{"rr": 1}}}}'::jsonb || {content}
        from generate_series(1, {count}) n
        """.encode()
    )


def captured(db: Database, name: str) -> int:
    row = db.execute(
        "select count(*) from pattern_trade_events where strand_id like %s", (name + " %",)
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def letters(db: Database) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for row in db.execute("select strand_id, reason from pm_dead_letters")}


def test_large_contents_hold_nobody_up(store: Store, db: Database, drain: Drain) -> None:
    noise = NOISE.format(seed="n", megabytes=2)
    insert_closes(db, "large", 12, f"jsonb_build_object('candles', {noise})")
    insert_closes(db, "small", 200, "'{}'::jsonb")
    messages = store.claim_trades(500, 60, 0)
    parts = [len(part) for part, _ in read_in_parts(store, messages)]
    assert sum(parts) == 212
    # at most 8 MB at once, so four of the large ones; what they hold beside is not sent
    assert max(parts[:3]) <= 4
    db.execute("update pgmq.q_pm_strength_trades set vt = now()")
    drain()
    assert (captured(db, "large"), captured(db, "small"), letters(db)) == (12, 200, {})


def test_only_what_is_needed_has_a_limit(store: Store, db: Database, drain: Drain) -> None:
    def filler(characters: int) -> str:
        note = f"jsonb_build_object('note', jsonb_build_array(repeat('x', {characters})))"
        return f"jsonb_build_object('entry_context', {note})"

    insert_closes(db, "fits", 1, filler(1_000_000))
    insert_closes(db, "over", 1, filler(1_100_000))
    insert_closes(db, "beside", 1, "jsonb_build_object('note', repeat('x', 20000000))")
    drain()
    assert (captured(db, "fits"), captured(db, "over"), captured(db, "beside")) == (1, 0, 1)
    assert letters(db) == {
        "over close 1": "content: expected at most 1 MB of trade_summary, entry_context and scope"
    }


def test_short_contents_may_be_long_to_write_too(store: Store, db: Database, drain: Drain) -> None:
    """A few hundred numbers in a row are 13 MB of text: 400 of them took longer than a call has."""
    insert_closes(db, "wide", 1, "'{}'::jsonb")
    db.execute(
        """
        insert into ad_strands (id, module, kind, trade_id, content)
        select 'wide number ' || n, 'pm', 'pm_action', md5('wide1')::uuid::text, jsonb_build_object(
          'pattern_key', 'p', 'action_category', 'entry', 'scope', jsonb_build_object('x', (
            select jsonb_agg(('1e' || 131071 - k)::jsonb) from generate_series(1, 100) k
          ))
        )
        from generate_series(1, 400) n
        """
    )
    insert_closes(db, "small", 30, "'{}'::jsonb")
    drain()
    assert (captured(db, "small"), captured(db, "wide")) == (30, 1)
    assert len(letters(db)) == 400


def test_an_id_of_any_length_holds_nobody_up(store: Store, db: Database, drain: Drain) -> None:
    """A table without a key on its ids takes them of any length, and so do our indexes."""
    db.execute("alter table ad_strands drop constraint ad_strands_pkey")
    try:
        for megabytes in ("0.04", "0.0845", "2"):
            noise = NOISE.format(seed="'id'", megabytes=megabytes)
            db.execute(
                "insert into ad_strands (id, module, kind, trade_id, content) "
                f"select {noise}, 'pm', 'pm_action', md5('long1')::uuid::text, "
                """'{"pattern_key": "p", "action_category": "nope"}'""".encode().decode()
            )
        insert_closes(db, "long", 1, "'{}'::jsonb")
        insert_closes(db, "small", 50, "'{}'::jsonb")
        drain()
        assert (captured(db, "small"), captured(db, "long")) == (50, 1)
        assert (
            sorted(reason[:41] for reason in letters(db).values())
            == ["id: expected at most 500 characters, got "] * 3
        )
        assert sum(store.sweep()) == 0
    finally:
        db.execute("delete from ad_strands where length(id) > 500")
        db.execute("alter table ad_strands add primary key (id)")


def test_contents_that_are_no_objects_are_named(store: Store, db: Database, drain: Drain) -> None:
    for place, content in enumerate(("[1]", "5", '"text"', "null", f'"{"x" * 3000}"', f"[{'1, ' * 3000}1]")):
        db.execute(
            "insert into ad_strands (id, module, kind, trade_id, content) "
            "values (%s, 'pm', 'position_closed', %s, %s)",
            (f"c{place}", str(uuid.uuid4()), content),
        )
    drain()
    found = letters(db)
    assert len(found) == 6
    assert all(reason.startswith("content: expected an object, got ") for reason in found.values()), found


def test_numbers_that_are_short_to_keep_and_long_to_write_are_too_long(
    store: Store, db: Database, drain: Drain
) -> None:
    """jsonb keeps 1e131071 in a few bytes and writes it with 131,072: a gigabyte is soon together."""
    for name, number in (("wide", "1e131071"), ("tiny", "1e-16000")):
        insert_closes(
            db,
            name,
            1,
            f"""jsonb_build_object('entry_context', jsonb_build_object('list', (
                select jsonb_agg('{number}'::jsonb) from generate_series(1, 80000) k
            )))""",
        )
    insert_closes(db, "small", 3, "'{}'::jsonb")
    drain()
    assert (captured(db, "small"), captured(db, "wide"), captured(db, "tiny")) == (3, 0, 0)
    wanted = "content: expected at most 1 MB of trade_summary, entry_context and scope"
    assert letters(db) == {"wide close 1": wanted, "tiny close 1": wanted}


@pytest.fixture
def impatient(stack: Stack) -> Iterator[None]:
    """Calls are cut after half a second instead of 8 s."""
    with psycopg.connect(stack.postgres().url(SUPERUSER), autocommit=True) as connection:
        for limit in ("set statement_timeout = '500ms'", "reset statement_timeout"):
            connection.execute(f"alter role service_role {limit}".encode())
            connection.execute("notify pgrst, 'reload config'")
            connection.execute("select pg_sleep(1)")
            if limit.startswith("set"):
                yield


def heavy_actions(db: Database, name: str, count: int, content: str) -> None:
    """Actions of 10 MB, a hundredth of that on disk, for the trade of the first close of `name`."""
    insert = (
        "insert into ad_strands (id, module, kind, trade_id, content) "
        f"select '{name} heavy ' || n, 'pm', 'pm_action', md5('{name}1')::uuid::text, "
    )
    heavy = f"{content} || jsonb_build_object('note', repeat('x', 10000000)) from (values (0)) v (n)"
    db.execute((insert + heavy).encode())
    same = f"s.content from ad_strands s, generate_series(1, {count - 1}) n where s.id = '{name} heavy 0'"
    db.execute((insert + same).encode())


def test_what_cannot_be_read_in_one_call_is_set_aside_with_its_size(
    store: Store, db: Database, connection: Connection, impatient: None
) -> None:
    insert_closes(db, "small", 60, "'{}'::jsonb")
    insert_closes(db, "vast", 1, "'{}'::jsonb")
    heavy_actions(db, "vast", 600, """'{"pattern_key": "p", "action_category": "entry"}'::jsonb""")
    Worker(lambda: Store.connect(connection), WorkerOptions(batch_size=100)).drain()
    assert (captured(db, "small"), captured(db, "vast")) == (60, 0)
    found = letters(db)
    assert list(found) == ["vast close 1"]
    assert found["vast close 1"].startswith(
        "trade: expected strands that can be read in one call, got 602 with "
    ), found
    assert " MB on disk" in found["vast close 1"]
    assert db.execute("select count(*) from pgmq.q_pm_strength_trades").fetchone() == (0,)
    # the sweep leaves it alone from now on, and a requeue brings it back
    assert sum(store.sweep()) == 0
    assert store.requeue() == 1


@pytest.mark.slow
def test_the_sweep_goes_on_behind_what_it_cannot_look_at(store: Store, db: Database, impatient: None) -> None:
    insert_closes(db, "small", 40, "'{}'::jsonb")
    insert_closes(db, "vast", 1, "'{}'::jsonb")
    heavy_actions(db, "vast", 600, "'{}'::jsonb")
    db.execute("delete from ad_strands where id = 'vast action 1'")
    db.execute(
        "insert into pm_dead_letters (queue, strand_id, code, reason, message) "
        "values ('pm_strength_trades', 'vast close 1', 'no_actions', 'no_actions: none', '{}')"
    )
    db.execute("select pgmq.purge_queue('pm_strength_trades')")
    assert sum(store.sweep()) == 40
    assert letters(db)["vast close 1"].startswith(
        "trade: expected strands that the sweep can look at in one call, got 601 with "
    )
