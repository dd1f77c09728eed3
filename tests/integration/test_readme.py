"""The calls in the README's section on edge functions do what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pm_strength.local.binaries import deno_bin

from .conftest import FUNCTION_SECRETS, Database

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README[README.index("## Edge functions") : README.index("## Where it runs")]


def block(language: str) -> str:
    """The section's first block in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture
def environment(variables: dict[str, str], clean: None) -> dict[str, str]:
    return {**os.environ, **variables, **FUNCTION_SECRETS}


def run(command: list[str], environment: dict[str, str]) -> str:
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_curl(environment: dict[str, str], db: Database) -> None:
    said = run(
        ["bash", "-euc", block("sh").replace("curl ", "curl --silent --show-error --fail ")], environment
    )
    decoder, answers, at = json.JSONDecoder(), [], 0
    while at < len(said):
        answer, at = decoder.raw_decode(said, at)
        answers.append(answer)
    strands, sizes, status, queued = answers
    assert strands == {"inserted": 1, "duplicates": 0}
    assert (sizes["size_frac"], sizes["reason"]) == (0.35, "no_match")
    assert status["dead_letters"] == 0
    assert [job["job"] for job in queued["queued"]] == ["mine", "materialize"]
    assert db.execute("select id from ad_strands").fetchall() == [("e1",)]


def test_python(environment: dict[str, str]) -> None:
    assert run([sys.executable, "-c", block("python")], environment) == "0.35 1 no_match\n"


def test_javascript(environment: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "call.mjs"
    # Deno fetches the package by its npm name, and so needs no package.json
    script.write_text(block("js").replace('"@supabase/supabase-js"', '"npm:@supabase/supabase-js@2"'))
    command = [str(deno_bin()), "run", "--quiet", "--no-lock", "--node-modules-dir=none"]
    options = ["--allow-env", "--allow-net=127.0.0.1"]
    assert run([*command, *options, str(script)], environment | {"NO_COLOR": "1"}) == "0.35 1 no_match\n"
