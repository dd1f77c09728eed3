"""Rows that each query reads on a project with years of trades: no more than on a small one.

A query that is slow at a million rows reads far too many at a hundred thousand already, whatever its plan
is called. Rows are counted where the index gives them, so that one which reads all of an index is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pm_strength.local.postgres import SUPERUSER
from pm_strength.local.stack import Stack

TRADES = 30_000
ACTIONS = 5
LETTERS = 20_000
OVERRIDES = 20_000
LESSONS = 20_000

# Trade n has five actions and a close; all trades but the last 1,000 have their events.
FILL = f"""
insert into ad_strands (id, module, kind, trade_id, content, created_at)
select md5(n || '.' || a), 'pm', 'pm_action', md5('trade ' || n)::uuid::text,
  jsonb_build_object(
    'trade_id', md5('trade ' || n)::uuid, 'pattern_key', 'p' || n % 12, 'action_category', 'entry',
    'scope', jsonb_build_object('rank', n % 7, 'chain', 'c' || n % 4)
  ), timestamptz '2026-01-01' + n * interval '1 minute'
from generate_series(1, {TRADES}) n, generate_series(1, {ACTIONS}) a;
insert into ad_strands (id, module, kind, trade_id, content, created_at)
select md5('close ' || n), 'pm', 'position_closed', md5('trade ' || n)::uuid::text,
  jsonb_build_object('trade_id', md5('trade ' || n)::uuid, 'trade_summary', jsonb_build_object('rr', 1)),
  timestamptz '2026-01-01' + n * interval '1 minute'
from generate_series(1, {TRADES}) n;
insert into pattern_trade_events (
  strand_id, trade_id, pattern_key, action_category, scope, rr, "timestamp", closed_by
)
select md5(n || '.' || a), md5('trade ' || n)::uuid, 'p' || n % 12, 'entry',
  jsonb_build_object('rank', n % 7, 'chain', 'c' || n % 4), 1,
  timestamptz '2026-01-01' + n * interval '1 minute', md5('close ' || n)
from generate_series(1, {TRADES} - 1000) n, generate_series(1, {ACTIONS}) a;
insert into pm_dead_letters (queue, strand_id, code, reason, message, resolved_at)
select 'pm_strength_trades', 'lost ' || n, 'bad_strand', 'strand_id: lost', '{{}}',
  case when n % 2 = 0 then now() end
from generate_series(1, {LETTERS}) n;
insert into learning_runs (id, kind, status, finished_at, settings) overriding system value
select n, 'mine', 'succeeded', now(), '{{}}' from generate_series(900000, 900001) n;
insert into pm_strength.sets (
  id, kind, state, published_at, run_id, mining_run_id, row_count, next_row
)
overriding system value
values (1000000, 'overrides', 'live', now(), null, null, {OVERRIDES}, {OVERRIDES} + 1),
  (1000001, 'overrides', 'kept', now(), null, null, {OVERRIDES}, {OVERRIDES} + 1),
  (1000002, 'lessons', 'live', now(), 900000, 900000, {LESSONS}, {LESSONS} + 1),
  (1000003, 'lessons', 'dropped', now(), 900001, 900001, {LESSONS}, {LESSONS} + 1);
insert into pm_strength.sets (kind, state, dropped_at, emptied_at)
select 'lessons', 'dropped', now(), now() from generate_series(1, 5000);
insert into pm_strength.lessons (id, pattern_key, action_category, scope_subset, n, stats)
select s::bigint * 67108864 + n, 'p' || n % 4, 'entry',
  jsonb_build_object('rank', n, 'chain', 'c' || n % 4), 40,
  '{{"edge_raw": 0.5, "support_score": 0.5, "reliability_score": 0.5}}'
from generate_series(1000002, 1000003) s, generate_series(1, {LESSONS}) n;
insert into pm_strength.overrides (
  id, pattern_key, action_category, scope_subset, multiplier, confidence_score, lead, dimensions
)
select o.id, o.pattern_key, 'entry', o.scope, 1.1, 0.5,
  pm_strength.set_bits(o.id >> 26) # pm_strength.lead(o.pattern_key, 'entry', o.scope), 2
from (
  select s::bigint * 67108864 + n as id, 'p' || n % 4 as pattern_key,
    jsonb_build_object('rank', n, 'chain', 'c' || n % 4) as scope
  from generate_series(1000000, 1000001) s, generate_series(1, {OVERRIDES}) n
) o;
select pgmq.purge_queue('pm_strength_trades');
"""
EMPTY = """
truncate ad_strands, pattern_trade_events, pm_dead_letters, pm_strength.lessons, pm_strength.overrides,
  pm_strength.sets;
delete from learning_runs;
select pgmq.purge_queue('pm_strength_trades'), pgmq.purge_queue('pm_strength_jobs')
"""
ANALYZED = (
    "ad_strands",
    "pattern_trade_events",
    "pm_dead_letters",
    "pm_strength.lessons",
    "pm_strength.overrides",
    "pm_strength.sets",
)
# What this session has read, also in a transaction that has not ended: rows of tables and entries of indexes,
# and blocks of indexes.
READ = """
select sum(case relkind
  when 'r' then pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid)
  else pg_stat_get_xact_tuples_returned(oid)
end)
from pg_class
where relkind in ('r', 'i') and relnamespace::regnamespace::text in ('public', 'pm_strength', 'pgmq')
"""
BLOCKS = """
select sum(pg_stat_get_xact_blocks_fetched(oid)) from pg_class
where relkind = 'i' and relnamespace::regnamespace::text in ('public', 'pm_strength', 'pgmq')
"""

Db = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def filled(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(stack.postgres().url(SUPERUSER), autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(EMPTY.encode())
        forget_statistics(connection)
        for table in ANALYZED:
            connection.execute(f"vacuum analyze {table}".encode())
        connection.execute(FILL.encode())
        connection.execute("set session_replication_role = origin")
        # as every run does
        connection.execute("analyze pm_strength.lessons_0 (id)")
        connection.execute("analyze pm_strength.overrides_0 (id)")
        yield connection
        connection.execute(EMPTY.encode())


def forget_statistics(db: Db) -> None:
    """Of what tests before had in the tables: to analyze an empty one leaves them as they were."""
    db.execute("set allow_system_table_mods = on")
    db.execute("delete from pg_statistic where starelid = any (%s::regclass[]::oid[])", (list(ANALYZED),))
    db.execute("set allow_system_table_mods = off")


@pytest.fixture(scope="module", params=["statistics from when it was empty", "analyzed"])
def project(filled: Db, request: pytest.FixtureRequest) -> Db:
    if request.param == "analyzed":
        for table in ANALYZED:
            filled.execute(f"vacuum analyze {table}".encode())
    return filled


def counted(db: Db, query: str = READ) -> int:
    row = db.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def call(db: Db, sql: str, *arguments: Any, query: str = READ) -> tuple[Any, int]:
    """What a call answers, and how many rows of tables and entries of indexes it read. It is undone."""
    with db.transaction(force_rollback=True):
        # a plan that reads everything for each row would take hours
        db.execute("set local statement_timeout = '60s'")
        before = counted(db, query)
        answer: Any = db.execute(sql.encode(), arguments).fetchone()
        read = counted(db, query) - before
    assert answer is not None
    assert read > 0
    return answer[0], read


def closes(db: Db, first: int, count: int) -> list[str]:
    row = db.execute(
        "select array_agg(md5('close ' || n)) from generate_series(%s::int, %s) n", (first, first + count - 1)
    ).fetchone()
    assert row is not None
    return list(row[0])


@pytest.mark.parametrize("kind", ["position_closed", "pm_action"])
def test_a_page_of_the_sweep_reads_a_few_rows_a_strand(project: Db, kind: str) -> None:
    page, read = call(project, "select pm_strength_sweep(%s, '', 5000)", kind)
    assert page["after_id"] is not None
    assert page["found"] == 0 if kind == "pm_action" else page["found"] > 0
    assert 5000 < read < 8 * 5000


def test_a_sweep_asks_for_new_actions_by_index(project: Db) -> None:
    """Closes that were given up for want of actions."""
    project.execute(
        "insert into pm_dead_letters (queue, strand_id, code, reason, message) "
        "select 'pm_strength_trades', md5('close ' || n), 'no_actions', 'no_actions: none', '{}' "
        "from generate_series(%s::int, %s) n",
        (TRADES - 500, TRADES),
    )
    after, found, read = "", 0, 0
    while after is not None:
        page, rows = call(project, "select pm_strength_sweep('position_closed', %s, 5000)", after)
        after, found, read = page["after_id"], found + page["found"], read + rows
    project.execute("delete from pm_dead_letters where code = 'no_actions'")
    assert found == 1000
    assert read < 8 * TRADES + 500 * 40


def test_reading_trades_reads_their_strands_and_events(project: Db) -> None:
    ids = closes(project, 7000, 500)
    answer, read = call(project, "select pm_strength_read_trades(%s)", ids)
    assert (answer["read"], len(answer["strands"]), len(answer["events"])) == (500, 3000, 500)
    # twice by the keys of a trade, for its column and its content, and each strand in an index and a table
    assert read < 500 * 60


def test_a_look_up_of_a_strand_reads_a_few_blocks_of_an_index(project: Db) -> None:
    """An index that is read from end to end for one entry counts as one entry, but not as a few blocks."""
    ids = closes(project, 7000, 100)
    _, read = call(project, "select pm_strength_read_trades(%s)", ids, query=BLOCKS)
    # 3 look-ups of each strand, 2 of its trade, and 1 of its events, with 3 or 4 levels each
    assert 100 < read < 100 * 60
    _, read = call(project, "select pm_strength_weigh_trade(%s)", ids[0], query=BLOCKS)
    assert read < 60


def test_claiming_and_finishing_a_batch_reads_its_own_messages(project: Db) -> None:
    with project.transaction(force_rollback=True):
        project.execute(
            "select pgmq.send('pm_strength_trades', jsonb_build_object('strand_id', s.id)) "
            "from unnest(%s::text[]) s (id)",
            (closes(project, TRADES - 999, 500),),
        )
        claimed, read = call(project, "select pm_strength_claim_trades(500, 60, 0)")
        assert len(claimed) == 500
        assert read < 500 * 20
        events = [
            {
                "strand_id": f"new {number}",
                "trade_id": f"00000000-0000-4000-8000-{number:012}",
                "pattern_key": "p",
                "action_category": "entry",
                "scope": {},
                "rr": 1,
                "timestamp": "2026-01-01T00:00:00Z",
                "closed_by": f"close {number}",
            }
            for number in range(500)
        ]
        dead = [
            {"strand_id": f"lost {number}", "code": "bad_strand", "reason": "x: y", "message": {}}
            for number in range(1, 101)
        ]
        answer, read = call(
            project,
            "select pm_strength_commit_trades(%s, %s, '[]', %s)",
            Jsonb(events),
            [message["msg_id"] for message in claimed],
            Jsonb(dead),
        )
        assert answer == {"events": 500}
        assert read < 1000 * 20


def test_capturing_plain_trades_reads_their_strands(project: Db) -> None:
    """Of 50 trades with 6 strands, each found by two indexes, and their messages."""
    with project.transaction(force_rollback=True):
        ids = closes(project, TRADES - 999, 50)
        messages = project.execute(
            "select pgmq.send('pm_strength_trades', jsonb_build_object('strand_id', s.id)) "
            "from unnest(%s::text[]) s (id)",
            (ids,),
        ).fetchall()
        captured, read = call(
            project, "select pm_strength_capture_plain(%s, %s)", [row[0] for row in messages], ids
        )
        assert captured["events"] == 50 * ACTIONS
        assert len(captured["done"]) == 50
        assert read < 50 * (6 * 2 + 30)


def test_the_schedule_and_a_run_begin_with_a_handful_of_rows(project: Db) -> None:
    assert call(project, "select pm_strength_enqueue_due()")[1] < 200
    assert call(project, "select pm_strength_read_job(30)")[1] < 200
    request = "select pm_strength_begin_run('pm', 'mine', '{}', gen_random_uuid())"
    run, read = call(project, request)
    assert run["horizon"] > 0
    # it passes the events that another test wrote and took back, up to 500 each time
    assert read < 3000
    assert call(project, request, query=BLOCKS)[1] < 1000


def test_resolving_reads_the_overrides_that_could_hold(project: Db) -> None:
    scope = Jsonb({"rank": 17, "chain": "c1", "mood": "fine"})
    answer, read = call(project, "select resolve_pm_strength('p1', 'entry', %s)", scope)
    assert answer["matched"] == 1
    assert read < 200
    requests = Jsonb(
        [{"pattern_key": "p1", "action_category": "entry", "scope": {"rank": n}} for n in range(50)]
    )
    assert call(project, "select resolve_pm_strength_batch(%s)", requests)[1] < 50 * 50
    for set_id in ("null", "1000001"):
        page, read = call(project, f"select pm_strength_read_overrides({set_id}, page_size => 1000)")
        assert len(page["overrides"]) == 1000
        assert read < 1000 * 10


def test_a_run_reads_the_lessons_of_its_page(project: Db) -> None:
    with project.transaction(force_rollback=True):
        begin = "select pm_strength_begin_run('pm', %s, '{}', gen_random_uuid())"
        mining, read = call(project, begin, "mine")
        assert read < 1000
        assert call(project, begin, "materialize")[1] < 1000
        for kind in ("mine", "materialize"):
            project.execute(begin, (kind,))
        runs = project.execute("select array_agg(id order by id) from learning_runs where status = 'running'")
        mining, materializing = (runs.fetchone() or ([],))[0]
        project.execute(
            "select pm_strength_open_set(%s, 0), pm_strength_open_set(%s, 0)", (mining, materializing)
        )
        left, read = call(project, "select pm_strength_stage_retired(%s, 0, 1000000)", mining)
        assert left == 0
        # all of both sets, and what is copied
        assert read < LESSONS * 6
        page, read = call(project, "select pm_strength_stage_overrides(%s, 5000, 1000)", materializing)
        assert (page["looked_at"], page["overrides"], page["to"]) == (1000, 1000, 6000)
        assert read < 1000 * 10
        project.execute(
            "update pm_strength.sets set staged = int8multirange(int8range(0, expects)) where run_id = %s",
            (materializing,),
        )
        answer, read = call(project, "select pm_strength_publish_run(%s, null, '{}')", materializing)
        assert answer == "published"
        assert read < 1000


def test_limiting_changes_looks_up_what_was_live(project: Db) -> None:
    begin = "select pm_strength_begin_run('pm', 'materialize', '{\"max_change\": 0.1}', gen_random_uuid())"
    with project.transaction(force_rollback=True):
        project.execute("update pm_strength.sets set profile = 'source' where kind = 'overrides'")
        project.execute(begin.encode())
        found = project.execute("select run_id, id from pm_strength.sets where state = 'staging'").fetchone()
        run, staged = found or (0, 0)
        project.execute("select pm_strength_open_set(%s, 0)", (run,))
        stage = "select pm_strength_stage_overrides(%s, 1, 1000)"
        for query, least, most in ((READ, 2000, 1000 * 12), (BLOCKS, 1000, 1000 * 60)):
            page, read = call(project, stage, run, query=query)
            assert (page["looked_at"], page["overrides"]) == (1000, 1000)
            assert least < read < most
        project.execute(stage, (run,))
        limited = project.execute(
            "select min(multiplier), max(multiplier) from pm_strength.overrides where id >> 26 = %s",
            (staged,),
        )
        assert limited.fetchone() == (1.1 + 0.1, 1.1 + 0.1), "0.1 above those that were live"
        for after, query, most in ((0, READ, 1000 * 10), (5000, READ, 1000 * 10), (5000, BLOCKS, 1000 * 60)):
            project.execute("update pm_strength.overrides set multiplier = 1.5 where id >> 26 = 1000000")
            last, read = call(
                project, "select pm_strength_stage_leaving(%s, %s, 1000)", run, after, query=query
            )
            assert last is not None
            assert 1000 < read < most


def test_exposure_is_weighed_on_the_actions_of_a_page(project: Db) -> None:
    with project.transaction(force_rollback=True):
        project.execute("select pm_strength_begin_run('pm', 'materialize', '{}', gen_random_uuid())")
        found = project.execute("select run_id from pm_strength.sets where state = 'staging'").fetchone()
        run = (found or (0,))[0]
        project.execute("select pm_strength_open_set(%s, 0)", (run,))
        project.execute("select pm_strength_stage_overrides(%s, 0, 5000)", (run,))
        for query, most in ((READ, 500 * 20), (BLOCKS, 500 * 60)):
            page, read = call(project, "select pm_strength_weigh_exposure(%s, null, 500)", run, query=query)
            assert page["actions"] == 500
            assert read < most


def test_an_answer_of_the_past_reads_no_more_than_one_of_now(project: Db) -> None:
    with project.transaction(force_rollback=True):
        project.execute(
            "insert into pm_strength.live_times (module, role, set_id, live_from, live_to) "
            "select 'pm', 'live', 1000001, t.at, t.at + interval '1 hour' "
            "from generate_series(now() - interval '5000 hours', now() - interval '2 hours', '1 hour') t (at)"
        )
        scope = Jsonb({"rank": 17, "chain": "c1", "mood": "fine"})
        ask = "select resolve_pm_strength_at(now() - interval '90 hours', 'p1', 'entry', %s)"
        for query, most in ((READ, 200), (BLOCKS, 200)):
            answer, read = call(project, ask, scope, query=query)
            assert (answer["matched"], answer["set_id"]) == (1, 1000001)
            assert read < most
        _, read = call(project, "select pm_strength_set_at(now() - interval '90 hours')")
        assert read < 200
        newest = "select jsonb_agg(s) from (select * from pm_override_sets order by id desc limit 20) s"
        sets, read = call(project, newest)
        assert len(sets) > 0
        # all sets may be looked at
        assert read < 3 * 5000


def test_removing_a_set_reads_a_page_of_it(project: Db) -> None:
    removed, read = call(project, "select pm_strength_purge_sets(1000)")
    assert removed == 1000
    # and all sets, to know those that are dropped
    assert read < 1000 * 10 + 3 * 5000


VIEWS = ["learning_lessons", "pm_overrides"]


def page_of_view(project: Db, view: str, condition: str = "true") -> int:
    """How many rows a page reads that is as small beside the table as one of 1,000 beside half a million."""
    first = project.execute(f"select min(id) from {view}".encode()).fetchone()
    page = f"select id from {view} where {condition} and id > %s order by id limit 50"
    ids, read = call(project, f"select array_agg(id) from ({page}) p", (first or (0,))[0] + 5000)
    assert len(ids) == 50
    return read


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_of_a_view_reads_that_page(project: Db, view: str) -> None:
    # all sets may be looked at
    assert page_of_view(project, view) < 50 * 10 + 2 * 5000


def test_a_page_of_events_reads_that_page(project: Db) -> None:
    page, read = call(project, "select pm_strength_read_events('pm', 100000, 1000000000, 5000)")
    assert len(page["scope"].split("\n")) == 5000
    assert read < 5000 * 4


def test_a_module_of_few_events_reads_those_alone(project: Db) -> None:
    with project.transaction(force_rollback=True):
        project.execute("insert into learning_settings (module) values ('few'), ('none')")
        project.execute(
            "insert into pattern_trade_events (id, strand_id, module, trade_id, pattern_key, "
            'action_category, scope, rr, "timestamp") overriding system value '
            "select case when n < 4 then -n else 10000000 + n end, 'few ' || n, 'few', "
            "gen_random_uuid(), 'p', 'entry', '{}', 1, now() from generate_series(1, 5) n"
        )
        for query in (READ, BLOCKS):
            page, read = call(
                project, "select pm_strength_read_events('few', 0, 1000000000, 5000)", query=query
            )
            assert len(page["pattern_key"]) == 2
            assert read < 50
            begin = "select pm_strength_begin_run(%s, 'mine', '{}', gen_random_uuid())"
            for module, horizon in (("few", 10_000_005), ("none", 0)):
                run, read = call(project, begin, module, query=query)
                assert run["horizon"] == horizon
                assert read < 300


def test_the_newest_event_is_found_at_the_end(project: Db) -> None:
    newest = "select id from pattern_trade_events where action_category = 'entry' order by id desc limit 1"
    # it passes the events that tests before wrote and took back
    assert call(project, newest)[1] < 3000


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_of_the_rows_of_a_module_reads_that_page(project: Db, view: str) -> None:
    """Last in this file, as it analyzes: a table taken for empty is read in any order."""
    for table in ANALYZED:
        project.execute(f"analyze {table}".encode())
    assert page_of_view(project, view, "module = 'pm'") < 50 * 10 + 2 * 5000
