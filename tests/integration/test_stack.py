"""The embedded stack behaves as a hosted project does, and survives what machines do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from pm_strength.errors import StackError
from pm_strength.local.keys import role_token
from pm_strength.local.stack import Stack

from .conftest import Database


def get(variables: dict[str, str], path: str, key: str | None, **headers: str) -> httpx.Response:
    if key is not None:
        headers = {"apikey": key} | headers
    return httpx.get(f"{variables['API_URL']}/rest/v1/{path}", headers=headers, timeout=20)


@pytest.fixture(scope="module")
def whoami(variables: dict[str, str]) -> Iterator[None]:
    """A function that tells who calls and how long a call may take."""
    with psycopg.connect(variables["DB_URL"], autocommit=True) as connection:
        connection.execute(
            """
            create function public.whoami() returns jsonb language sql stable as $$
              select jsonb_build_object('role', current_user, 'timeout', current_setting('statement_timeout'))
            $$;
            grant execute on function public.whoami() to anon, authenticated, service_role;
            """
        )
        wait_for_function(variables, "whoami")
        yield
        connection.execute("drop function public.whoami()")


def wait_for_function(variables: dict[str, str], name: str) -> None:
    """PostgREST is told of new functions, but after the statement that makes them."""
    for _ in range(300):
        if get(variables, f"rpc/{name}", variables["SECRET_KEY"]).status_code != 404:
            return
        time.sleep(0.05)
    raise AssertionError(f"PostgREST never saw {name}")


@pytest.mark.parametrize(
    ("key", "role"),
    [
        ("PUBLISHABLE_KEY", "anon"),
        ("ANON_KEY", "anon"),
        ("SECRET_KEY", "service_role"),
        ("SERVICE_ROLE_KEY", "service_role"),
    ],
)
def test_each_key_is_a_role(variables: dict[str, str], whoami: None, key: str, role: str) -> None:
    answer = get(variables, "rpc/whoami", variables[key])
    assert answer.json()["role"] == role
    answer = get(variables, "rpc/whoami", variables[key], authorization=f"Bearer {variables[key]}")
    assert answer.json()["role"] == role


def test_a_users_token_counts_over_the_key(variables: dict[str, str], whoami: None) -> None:
    token = role_token(variables["JWT_SECRET"], "authenticated", {"sub": "u"})
    answer = get(variables, "rpc/whoami", variables["PUBLISHABLE_KEY"], authorization=f"Bearer {token}")
    assert answer.json() == {"role": "authenticated", "timeout": "8s"}


@pytest.mark.parametrize("key", [None, "", "sb_secret_wrong", "eyJhbGciOiJub25lIn0.e30."])
def test_no_key_no_entry(variables: dict[str, str], key: str | None) -> None:
    assert get(variables, "learning_runs", key).status_code == 401


@pytest.mark.parametrize("token", ["sb_secret_wrong", "nonsense", "eyJhbGciOiJub25lIn0.e30."])
def test_a_wrong_token_is_refused(variables: dict[str, str], token: str) -> None:
    answer = get(variables, "learning_runs", variables["SECRET_KEY"], authorization=f"Bearer {token}")
    assert answer.status_code == 401


def test_an_answer_holds_at_most_1000_rows(variables: dict[str, str], db: Database, clean: None) -> None:
    db.execute(
        "insert into ad_strands (id, module, kind, content) "
        "select n::text, 'other', 'note', '{}' from generate_series(1, 1500) n"
    )
    assert len(get(variables, "ad_strands?limit=5000", variables["SECRET_KEY"]).json()) == 1000


def test_a_call_is_cut_after_8_seconds(variables: dict[str, str], whoami: None) -> None:
    assert get(variables, "rpc/whoami", variables["SECRET_KEY"]).json()["timeout"] == "8s"


@pytest.mark.slow
def test_a_call_of_9_seconds_is_really_cut(variables: dict[str, str], db: Database) -> None:
    db.execute("create function public.sleep9() returns void language sql stable as 'select pg_sleep(9)'")
    try:
        wait_for_function(variables, "sleep9")
        url = f"{variables['API_URL']}/rest/v1/rpc/sleep9"
        answer = httpx.post(url, headers={"apikey": variables["SECRET_KEY"]}, timeout=20)
        assert answer.json()["code"] == "57014"
    finally:
        db.execute("drop function public.sleep9()")


def test_migrations_run_as_a_role_that_is_no_superuser(db: Database) -> None:
    row = db.execute("select rolsuper, rolname from pg_roles where rolname = current_user").fetchone()
    assert row == (False, "postgres")
    owners = db.execute(
        "select distinct relowner::regrole::text from pg_class "
        "where relnamespace = 'pm_strength'::regnamespace"
    ).fetchall()
    assert owners == [("postgres",)]


def test_data_is_kept_and_keys_stay_until_purged(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack")
    first = stack.up().variables()
    with psycopg.connect(first["DB_URL"]) as connection:
        connection.execute("insert into ad_strands (id, module, kind, content) values ('1', 'x', 'y', '{}')")
    stack.down()
    assert stack.status() is None
    second = stack.up().variables()
    assert second == first
    with psycopg.connect(second["DB_URL"]) as connection:
        assert connection.execute("select count(*) from ad_strands").fetchone() == (1,)
    assert stack.up().variables() == first, "a second up changes nothing"
    assert (tmp_path / "stack" / ".gitignore").read_text() == "*\n"
    stack.down(purge=True)
    assert not (tmp_path / "stack").exists()
    stack.down(purge=True)


@pytest.mark.usefixtures("stack")
def test_two_stacks_run_side_by_side_and_heal_after_a_crash(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    other = Stack(tmp_path / "other")
    theirs = other.up().variables()
    try:
        assert not set(theirs.values()) & set(variables.values())
        for key in ("SECRET_KEY", "SERVICE_ROLE_KEY"):
            assert get(variables, "learning_runs", theirs[key]).status_code == 401
            assert get(theirs, "learning_runs", theirs[key]).status_code == 200
        for part in ("postgres", "postgrest", "gateway"):
            other.stop_part(part, crash=True)
        assert other.status() is None
        assert other.up().variables() == theirs
        assert get(theirs, "learning_runs", theirs["SECRET_KEY"]).status_code == 200
    finally:
        other.down(purge=True)


def test_a_folder_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StackError, match="Choose another --dir"):
        Stack(tmp_path / "file").up()


def test_a_broken_migration_is_named_and_leaves_nothing(tmp_path: Path, variables: dict[str, str]) -> None:
    from pm_strength.local.migrations import migrate

    (tmp_path / "20990101000000_broken.sql").write_text("create table public.half (); select nonsense;")
    with pytest.raises(StackError, match=r"20990101000000_broken\.sql"):
        migrate(variables["DB_URL"], tmp_path)
    with psycopg.connect(variables["DB_URL"]) as connection:
        assert connection.execute("select to_regclass('public.half')").fetchone() == (None,)


def test_stacks_that_start_at_once_get_ports_of_their_own(tmp_path: Path) -> None:
    stacks = [Stack(tmp_path / name) for name in ("one", "two", "three")]
    try:
        with ThreadPoolExecutor(len(stacks)) as pool:
            status = list(pool.map(lambda stack: stack.up(migrate_schema=False), stacks))
        assert len({one.api_url for one in status} | {one.db_url for one in status}) == 2 * len(stacks)
        assert all(stack.status() == one for stack, one in zip(stacks, status, strict=True))
    finally:
        for stack in stacks:
            stack.down(purge=True)
