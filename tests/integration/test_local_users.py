"""Other users of a machine get nothing of a stack, and a user needs no more than a folder to run one."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from pm_strength.errors import StackError
from pm_strength.local import binaries, services
from pm_strength.local.binaries import deno_folder, postgres_bin
from pm_strength.local.keys import FIRST_PASSWORD, StackKeys
from pm_strength.local.postgres import LOGIN_ROLES, SUPERUSER
from pm_strength.local.stack import FOLDER_MODE, Stack, _one_start_at_a_time


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def own(tmp_path: Path, umask: None) -> Iterator[Stack]:
    stack = Stack(tmp_path / "a b, é" / "stack")
    yield stack
    stack.down(purge=True)


def test_nothing_in_the_folder_is_for_others(own: Stack) -> None:
    own.up(migrate_schema=False)
    assert stat.S_IMODE(own.directory.stat().st_mode) == FOLDER_MODE
    assert FOLDER_MODE & 0o066 == 0, "nobody lists it"
    open_to_others = {
        path.name
        for path in own.directory.iterdir()
        if path.stat().st_mode & 0o077 and path.name != ".gitignore"
    }
    assert open_to_others <= {"lock"}
    assert (own.directory / "state.json").stat().st_mode & 0o777 == 0o600
    own.down()
    own.directory.chmod(0o755)
    own.up(migrate_schema=False)
    assert stat.S_IMODE(own.directory.stat().st_mode) == FOLDER_MODE, "also one that was made open"


def test_the_database_takes_no_password_that_others_know(stack: Stack, variables: dict[str, str]) -> None:
    port = stack.postgres().port
    for role in LOGIN_ROLES:
        for password in (FIRST_PASSWORD, "", role):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(host="127.0.0.1", port=port, user=role, password=password, dbname="postgres")
    password = psycopg.conninfo.conninfo_to_dict(variables["DB_URL"])["password"]
    secrets = {str(password), *(variables[name] for name in ("SECRET_KEY", "SERVICE_ROLE_KEY", "JWT_SECRET"))}
    shown = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert any("gateway.ts" in line for line in shown)
    assert not [line for line in shown if any(secret in line for secret in secrets)]


@pytest.mark.skipif(os.geteuid() != 0, reason="Postgres runs as another user only where root starts it")
def test_a_postgres_that_root_starts_has_none_of_its_rights(stack: Stack) -> None:
    pid = int((stack.directory / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
    process = psutil.Process(pid)
    assert 0 not in (*process.uids(), *process.gids())
    groups = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Groups:")
    )
    assert groups.split()[1:] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="Postgres runs as another user only where root starts it")
def test_programs_that_its_user_may_not_run_are_a_clear_error(tmp_path: Path) -> None:
    programs = tmp_path / "pg" / "bin"
    shutil.copytree(postgres_bin().parent, programs.parent, symlinks=True)
    for program in programs.iterdir():
        program.chmod(0o700)
    stack = Stack(tmp_path / "stack", pg_bin=programs)
    with pytest.raises(StackError, match="may not run"):
        stack.up(migrate_schema=False)
    for program in programs.iterdir():
        program.chmod(0o755)
    stack.down(purge=True)


def test_a_stack_with_the_old_password_gets_one_of_its_own(own: Stack) -> None:
    status = own.up(migrate_schema=False)
    with psycopg.connect(own.postgres().url(SUPERUSER), autocommit=True) as connection:
        for role in LOGIN_ROLES:
            connection.execute(f"alter role {role} password '{FIRST_PASSWORD}'")
    path = own.directory / "state.json"
    state = json.loads(path.read_text())
    del state["keys"]["db_password"]
    path.write_text(json.dumps(state))
    own.restart("postgrest")
    assert FIRST_PASSWORD in (own.status() or status).db_url.split("@")[0].split(":")[-1]

    status = own.up(migrate_schema=False)
    with psycopg.connect(status.db_url) as connection:
        assert connection.execute("select current_user").fetchone() == ("postgres",)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(own.postgres()._url(SUPERUSER, FIRST_PASSWORD))
    own.restart("postgres")
    key = {"apikey": status.keys.secret_key}
    assert httpx.get(f"{status.api_url}/rest/v1/", headers=key, timeout=20).status_code == 200


def test_functions_are_found_in_a_cache_that_is_elsewhere(
    own: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").symlink_to(deno_folder())
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("DENO_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    api_url = own.up().api_url
    assert httpx.post(f"{api_url}/functions/v1/sizing", json={}, timeout=60).status_code == 401


@pytest.mark.parametrize("character", ",#?%")
def test_a_checkout_whose_path_deno_would_misread_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, character: str
) -> None:
    monkeypatch.setattr(services, "functions_folder", lambda: Path(f"/a{character}b/functions"))
    with pytest.raises(StackError, match="expected a path without"):
        services.start_functions(Path("/nowhere"), 1, "http://127.0.0.1:2", StackKeys.generate())


def test_a_home_that_cannot_be_written_to_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DENO_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert deno_folder() == tmp_path / ".cache" / "deno"
    # root may write anywhere, so the answer is given instead
    monkeypatch.setattr(binaries.os, "access", lambda path, mode: path != tmp_path)
    assert not deno_folder().is_relative_to(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache" / "of" / "mine"))
    assert not deno_folder().is_relative_to(tmp_path)
    monkeypatch.setenv("DENO_DIR", str(tmp_path / "mine"))
    assert deno_folder() == tmp_path / "mine"


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_others_put_where_the_lock_goes_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    victim, lock = tmp_path / "victim", tmp_path / f"pm-strength-start-{os.getuid()}.lock"
    victim.write_text("mine")
    if kind == "link":
        lock.symlink_to(victim)
    else:
        lock.mkdir()
    with _one_start_at_a_time():
        pass
    assert victim.read_text() == "mine"
