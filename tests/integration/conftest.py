"""One embedded stack for all integration tests, emptied before each that asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pm_strength.local.stack import Stack
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.service.worker import Worker, WorkerOptions
from tests.support.project import Database

Drain = Callable[[], None]
FUNCTION_SECRETS = {
    "PM_STRENGTH_BOT_TOKEN": "the-token-of-a-bot",
    "PM_STRENGTH_CORS_ORIGINS": "https://app.test",
}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    pg_bin = os.environ.get("PM_STRENGTH_PG_BIN")
    os.environ |= FUNCTION_SECRETS
    stack = Stack(tmp_path_factory.mktemp("stack"), pg_bin=Path(pg_bin) if pg_bin else None)
    stack.up()
    yield stack
    stack.down(purge=True)


@pytest.fixture(scope="session")
def variables(stack: Stack) -> dict[str, str]:
    status = stack.status()
    assert status is not None
    return status.variables()


@pytest.fixture
def db(variables: dict[str, str]) -> Iterator[Database]:
    """A connection as the role that owns the schema."""
    with psycopg.connect(variables["DB_URL"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def clean(db: Database) -> None:
    """An empty project: no strands, nothing learned, nothing queued, default settings."""
    empty(db)


def empty(db: Database) -> None:
    """What `clean` does, for fixtures of a wider scope."""
    db.execute(
        """
        truncate public.ad_strands, public.pattern_trade_events, pm_strength.lessons, pm_strength.overrides,
          pm_strength.sets, pm_strength.live_times, pm_strength.settings_history, public.pm_dead_letters
          restart identity;
        delete from public.learning_runs;
        delete from public.learning_settings where module <> 'pm';
        insert into public.learning_settings (module) values ('pm') on conflict do nothing;
        update public.learning_settings set settings = '{}';
        update pm_strength.schedule set last_slot = pm_strength.slot(every, past, now());
        """
    )
    for queue in ("pm_strength_trades", "pm_strength_jobs"):
        db.execute("select pgmq.purge_queue(%s)", (queue,))


@pytest.fixture
def connection(variables: dict[str, str]) -> Connection:
    return Connection(variables["API_URL"], variables["SECRET_KEY"])


@pytest.fixture
def store(connection: Connection, clean: None) -> Iterator[Store]:
    store = Store.connect(connection)
    yield store
    store.close()


@pytest.fixture
def drain(connection: Connection) -> Callable[[], None]:
    """Work until the queues are empty, as `pm-strength worker --drain` does."""

    def work() -> None:
        Worker(lambda: Store.connect(connection), WorkerOptions(batch_size=200)).drain()

    return work
