"""The Supabase CLI on our migrations: push, history, linters."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pm_strength.local.binaries import npm_binary
from pm_strength.local.migrations import migrate
from pm_strength.local.postgres import SUPERUSER
from pm_strength.local.project import migrations_folder
from pm_strength.local.stack import Stack

from .conftest import Database

ROOT = Path(__file__).parents[2]
TYPES = ROOT / "supabase" / "functions" / "_shared" / "database.types.ts"
CLI_VERSION = "3.1.0"
VERSIONS = [path.name.split("_")[0] for path in sorted(migrations_folder().glob("*.sql"))]


def supabase(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    binary = npm_binary("@supabase/cli-linux-x64", CLI_VERSION, "supabase")
    command = [str(binary), *arguments, f"--remote={url}", "--workdir", str(ROOT), "--agent=no"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def generated_types(url: str) -> str:
    """The database's types for TypeScript."""
    made = supabase(url, "gen", "types", "--lang=typescript", "--schema=public")
    assert made.returncode == 0, said(made)
    # it may say something of the connection first
    return made.stdout[made.stdout.index("export type Json") :]


def said(ended: subprocess.CompletedProcess[str]) -> str:
    return f"{ended.stdout}\n{ended.stderr}"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[str]:
    """The address of a project's database without our schema."""
    stack = Stack(tmp_path / "stack")
    yield stack.up(migrate_schema=False).variables()["DB_URL"]
    stack.down(purge=True)


def history(url: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select version, name from supabase_migrations.schema_migrations order by version"
        ).fetchall()


def test_db_push_applies_all_and_up_finds_nothing_left(empty: str) -> None:
    pushed = supabase(empty, "db", "push", "--yes")
    assert pushed.returncode == 0, said(pushed)
    assert [version for version, _ in history(empty)] == VERSIONS
    assert migrate(empty) == []
    again = supabase(empty, "db", "push", "--yes")
    assert again.returncode == 0, said(again)
    assert "up to date" in said(again).lower()


def test_what_up_applied_is_known_to_the_cli(variables: dict[str, str]) -> None:
    pushed = supabase(variables["DB_URL"], "db", "push", "--yes")
    assert pushed.returncode == 0, said(pushed)
    assert "up to date" in said(pushed).lower()
    listed = supabase(variables["DB_URL"], "migration", "list", "--output-format=json")
    assert listed.returncode == 0, said(listed)
    assert said(listed).count(VERSIONS[0]) >= 2, "local and remote"


def test_the_types_of_the_functions_are_those_of_the_database(variables: dict[str, str]) -> None:
    assert TYPES.read_text() == generated_types(variables["DB_URL"]), "make types writes them anew"


def test_db_lint_is_clean(variables: dict[str, str], db: Database, stack: Stack) -> None:
    if not db.execute("select 1 from pg_available_extensions where name = 'plpgsql_check'").fetchone():
        pytest.skip("this Postgres has no plpgsql_check; `make test-pg15` runs it")
    # a hosted project's postgres may create it, this one's superuser does
    with psycopg.connect(stack.postgres().url(SUPERUSER), autocommit=True) as connection:
        connection.execute("create extension if not exists plpgsql_check with schema extensions")
    linted = supabase(
        variables["DB_URL"],
        "db",
        "lint",
        "--schema=public,pm_strength",
        "--level=warning",
        "--fail-on=warning",
    )
    assert linted.returncode == 0, said(linted)


def test_db_advisors_are_content_and_would_not_be_with_an_open_table(
    variables: dict[str, str], stack: Stack
) -> None:
    url = variables["DB_URL"]
    clean = supabase(url, "db", "advisors", "--fail-on=warn", "--level=warn")
    assert clean.returncode == 0, said(clean)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table public.open_to_all (id bigint primary key)")
        try:
            flagged = supabase(url, "db", "advisors", "--fail-on=warn", "--output-format=json")
        finally:
            connection.execute("drop table public.open_to_all")
    assert flagged.returncode != 0
    assert "rls_disabled_in_public" in said(flagged)
    assert "open_to_all" in json.dumps(said(flagged))
