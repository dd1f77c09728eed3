"""The code in the documents does what they say: each page's blocks, in their order, on one project."""

from __future__ import annotations

import contextlib
import doctest
import gc
import importlib.util
import io
import json
import logging
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from pm_strength import StrengthClient
from pm_strength.cli import app
from pm_strength.local.binaries import deno_bin
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from pm_strength.service.worker import Worker
from supabase import create_client
from tests.support.documents import PAGES, ROOT, RUN, Block, blocks, page_name

from .conftest import FUNCTION_SECRETS, Database, empty

# How a block begins that is not run here, and why.
NOT_RUN = {
    "make demo": "test_cli runs the demo, unit/test_docs compares its numbers, and this is part of make test",
    "make setup": "these tests run in what it makes",
    "make test ": "these tests are part of it",
    "pm-strength up ": "test_stack and test_cli start and stop stacks; here one is up",
    "pm-strength down --purge\n": "it would take the project from the other pages",
    "export SUPABASE_URL=$API_URL": "test_examples runs it; here it would change what the other pages show",
    "pm-strength overrides rollback 12": "which sets there are differs; test_versions goes back to one",
    "supabase start": "needs Docker",
    "supabase link": "needs a hosted project; test_supabase_cli pushes to a database",
    "supabase functions deploy": "needs a hosted project",
    "supabase secrets set": "needs a hosted project",
    "export SUPABASE_URL=https": "needs a hosted project; the worker would not end",
    "docker build": "needs Docker; tools/image.py builds and runs the image with buildah",
    "select cron.schedule": "needs pg_cron; supabase/tests/schedule/with_pg_cron.test.sql runs this line",
    "update auth.users": "needs Supabase Auth; test_permissions tries tokens with and without the claim",
    "pm-strength mine --engine": "needs a cluster; tests/engines mines on real ones",
    "export PGUSER": "needs a cluster; engines/test_project reads a table so",
    "pg_dump": "needs two versions of pgmq; faults/test_restore restores dumps",
}
PROGRAMS = Path(sys.executable).parent
BLOCKS = {page_name(path): blocks(path) for path in PAGES}
OUTPUT = doctest.OutputChecker()
# Which run and when is another one each time.
CHANGING = (
    (r"\brun \d+", "run N"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:[\d.]+)?", "TIME"),
    (r"\d+\.\d h old", "N h old"),
)


def reason_not_to_run(block: Block) -> str | None:
    # a fresh machine may have Python and make alone; .ci/run installs curl
    if re.search(r"^curl ", block.code, re.MULTILINE) and shutil.which("curl") is None:
        return "needs curl"
    return next((why for start, why in NOT_RUN.items() if block.code.startswith(start)), None)


def to_run(page: str) -> list[Block]:
    return [block for block in BLOCKS[page] if block.language in RUN and reason_not_to_run(block) is None]


@pytest.fixture(scope="module")
def project(variables: dict[str, str]) -> dict[str, str]:
    """A project on which examples/bot.py made 80 trades, once, and learned from them."""
    with psycopg.connect(variables["DB_URL"], autocommit=True) as database:
        empty(database)
    example = importlib.util.spec_from_file_location("bot", ROOT / "examples" / "bot.py")
    assert example is not None
    assert example.loader is not None
    bot = importlib.util.module_from_spec(example)
    example.loader.exec_module(bot)
    url, key = variables["API_URL"], variables["SECRET_KEY"]
    with StrengthClient(url, key) as strength, contextlib.redirect_stdout(io.StringIO()):
        bot.run(create_client(url, key), strength, trades=80, seed=1)
    Worker(lambda: Store.connect(Connection(url, key))).drain()
    store = Store.connect(Connection(url, key))
    learning.mine(store)
    # twice: a page compares two versions
    learning.materialize(store)
    learning.materialize(store)
    store.close()
    return variables | FUNCTION_SECRETS | {"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": key}


class Reader:
    """Runs what a reader of one page would, from an empty folder; Python's names stay from block to block."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._names: dict[str, Any] = {}

    def run(self, block: Block) -> str:
        """What a block prints."""
        return str(getattr(self, block.language)(block.code))

    def python(self, code: str) -> str:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, "page", "exec"), self._names)  # noqa: S102
        return said.getvalue()

    def sql(self, code: str) -> str:
        cursor = self._database.execute(code.encode())
        rows = cursor.fetchall() if cursor.description else []
        return "".join(" | ".join(map(str, row)) + "\n" for row in rows)

    def sh(self, code: str) -> str:
        lines = code.replace("\\\n", "").splitlines()
        if all(line.startswith("pm-strength ") for line in lines):
            return "".join(self._command(shlex.split(line, comments=True)[1:]) for line in lines)
        quiet = re.sub(r"^curl ", "curl --silent --show-error --fail ", code, flags=re.MULTILINE)
        return self._program(["bash", "-euc", quiet])

    def js(self, code: str) -> str:
        script = self._folder / "page.mjs"
        # Deno fetches the package by its npm name, and so needs no package.json
        script.write_text(code.replace('"@supabase/supabase-js"', '"npm:@supabase/supabase-js@2"'))
        options = ["--quiet", "--no-lock", "--node-modules-dir=none", "--allow-env", "--allow-net=127.0.0.1"]
        return self._program([str(deno_bin()), "run", *options, str(script)])

    def _command(self, arguments: list[str]) -> str:
        # in this process: to start another takes longer than all else here
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    def _program(self, command: list[str]) -> str:
        path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
        ended = subprocess.run(
            command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture
def reader(
    project: dict[str, str], db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Reader]:
    for name, value in project.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    # commands set these for their own process
    root = logging.getLogger()
    handlers, level, threshold = root.handlers[:], logging.getLogger("pm_strength").level, gc.get_threshold()
    yield Reader(db, tmp_path)
    root.handlers[:] = handlers
    logging.getLogger("pm_strength").setLevel(level)
    gc.set_threshold(*threshold)


@pytest.mark.parametrize("page", [page for page in BLOCKS if to_run(page)])
def test_the_code_of_a_page_does_what_it_says(page: str, reader: Reader) -> None:
    for block in to_run(page):
        said = reader.run(block)
        if block.shown is not None:
            assert_shown(block, said)


@pytest.mark.parametrize("start", NOT_RUN)
def test_what_is_not_run_is_there(start: str) -> None:
    found = [block for page in BLOCKS.values() for block in page if block.code.startswith(start)]
    assert found
    assert all(block.shown is None for block in found), "what it prints would not be looked at"


def test_the_line_for_pg_cron_is_the_one_that_is_tested() -> None:
    tested = (ROOT / "supabase" / "tests" / "schedule" / "with_pg_cron.test.sql").read_text()
    (block,) = (block for block in BLOCKS["docs/learning.md"] if "cron.schedule" in block.code)
    assert block.code.strip().removesuffix(";") in tested


def assert_shown(block: Block, said: str) -> None:
    assert block.shown is not None
    language, shown = block.shown
    if language == "json":
        assert_part(json.loads(shown), json.loads(said), str(block))
        return
    for pattern, stands_for in CHANGING:
        shown, said = re.sub(pattern, stands_for, shown), re.sub(pattern, stands_for, said)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert OUTPUT.check_output(shown, said, options), f"{block} prints:\n{said}"


def assert_part(shown: Any, said: Any, where: str) -> None:
    """What is shown is there, among more fields of an object; numbers to four decimals."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert_part(value, said[name], f"{where} {name}")
    elif isinstance(shown, list):
        assert len(shown) == len(said), f"{where}: {said}"
        for value, other in zip(shown, said, strict=True):
            assert_part(value, other, where)
    elif isinstance(shown, float):
        assert math.isclose(shown, said, abs_tol=5e-5), f"{where}: {said}"
    else:
        assert shown == said, where
