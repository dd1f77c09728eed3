"""What the commands print arrives whatever the terminal's encoding is, and also where nobody reads on."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from pm_strength.local.stack import Stack

from .conftest import empty

PROGRAM = Path(sys.executable).parent / "pm-strength"
WITHOUT = ("SUPABASE_", "LC_", "LANG", "PYTHON")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(WITHOUT)}
ASCII = {
    "output": {"PYTHONIOENCODING": "ascii"},
    "locale": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
NEEDS_PATH = pytest.mark.skipif(
    not str(PROGRAM).isascii(), reason="Python finds no package of a path that its locale cannot spell"
)
KEY = "module=pm|pattern_key=café.🚀"
SCOPE = {"marché": "Zürich 🚀", "rank": 2}
ESCAPED = r"caf\u00e9.\ud83d\ude80"

Run = Callable[..., str]


@pytest.fixture(scope="module")
def project(stack: Stack, variables: dict[str, str]) -> str:
    """A project whose every text has characters that ASCII lacks; the folder of its stack.

    It has learned once for all tests here: none of them changes its lessons, overrides or dead letters.
    """
    strands = [
        {
            **{"id": f"é{trade}-{kind}", "module": "pm", "kind": kind},
            "trade_id": f"00000000-0000-4000-8000-{trade:012}",
            "content": content,
        }
        for trade in range(40)
        for kind, content in (
            ("pm_action", {"pattern_key": KEY, "action_category": "entry", "scope": SCOPE}),
            ("position_closed", {"trade_summary": {"rr": 3 + trade % 2}, "entry_context": {}}),
        )
    ]
    strands += [strands[0] | {"id": "other", "content": strands[0]["content"] | {"pattern_key": "other"}}]
    strands[-1] |= {"trade_id": "00000000-0000-4000-8000-999999999999"}
    strands += [
        strands[1]
        | {"id": "lost", "trade_id": strands[-1]["trade_id"], "content": {"trade_summary": {"rr": -40}}},
        strands[1] | {"id": "é🚀", "trade_id": None, "content": {"trade_id": "é"}},
    ]
    with psycopg.connect(variables["DB_URL"], autocommit=True) as db:
        empty(db)
        for strand in strands:
            db.execute(
                "insert into ad_strands (id, module, kind, trade_id, content) values (%s, %s, %s, %s, %s)",
                (strand["id"], "pm", strand["kind"], strand["trade_id"], json.dumps(strand["content"])),
            )
    directory = str(stack.directory)
    for command in (["worker", "--drain"], ["learn"]):
        run(*command, "--dir", directory)
    return directory


def run(*arguments: str, env: dict[str, str] | None = None) -> str:
    ended = subprocess.run(
        [PROGRAM, *arguments], env=ENVIRONMENT | (env or {}), capture_output=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert b"Traceback" not in ended.stderr
    return ended.stdout.decode("utf-8" if env is None else "ascii")


@NEEDS_PATH
def test_all_commands_print_on_ascii_and_lose_nothing(project: str, tmp_path: Path) -> None:
    options = ("--pattern-key", KEY, "--scope", json.dumps(SCOPE, ensure_ascii=False))
    resolve = ("resolve", "--pattern-key", KEY, "--action", "entry", "--scope", options[-1])

    def said(*arguments: str) -> str:
        return run(*arguments, "--dir", project, env=ASCII["locale"])

    for command in ("lessons", "overrides"):
        rows = json.loads(said(command, *options, "-o", "json"))
        assert [row["pattern_key"] for row in rows] == [KEY] * len(rows)
        assert SCOPE in [row["scope_subset"] for row in rows]
        assert ESCAPED in said(command)
        table = list(csv.DictReader(io.StringIO(said(command, "-o", "csv"))))
        assert KEY.replace("café.🚀", ESCAPED) in {row["pattern_key"] for row in table}
        assert SCOPE in [json.loads(row["scope_subset"]) for row in table]
    assert json.loads(said(*resolve, "-o", "json"))["reason"] == "matched"
    assert r"march\u00e9" in said(*resolve)
    letters = json.loads(said("queue", "-o", "json"))["dead_letters"]
    assert "é🚀" in [letter["strand_id"] for letter in letters]
    assert r"\u00e9\ud83d\ude80" in said("queue")
    file = tmp_path / "é.jsonl"
    file.write_text(json.dumps({"id": "é", "module": "pm", "kind": "x", "content": {}}), encoding="utf-8")
    for others in ("runs", "status", "learn", "requeue", "repair", "settings show", "worker --drain"):
        said(*others.split())
    said("import", str(file))


def test_an_encoding_of_the_output_alone_loses_nothing_either(project: str) -> None:
    for command in ("lessons", "overrides"):
        rows = json.loads(run(command, "-o", "json", "--dir", project, env=ASCII["output"]))
        assert SCOPE in [row["scope_subset"] for row in rows]


@NEEDS_PATH
@pytest.mark.parametrize("env", ASCII.values(), ids=ASCII)
def test_a_mined_file_is_json_and_help_is_text_on_ascii(tmp_path: Path, env: dict[str, str]) -> None:
    events = tmp_path / "é.csv"
    lines = ["trade_id,pattern_key,action_category,scope,rr,timestamp"]
    scope = json.dumps(SCOPE, ensure_ascii=False).replace('"', '""')
    lines += [f'{n},{KEY},entry,"{scope}",{n % 3},2026-01-01T00:00:{n:02}Z' for n in range(40)]
    events.write_text("\n".join(lines), encoding="utf-8")
    lessons = json.loads(run("mine", "--events", str(events), env=env))
    assert {row["pattern_key"] for row in lessons} == {KEY}
    assert "\\u" not in run("lessons", "--help", env=env)


def test_a_letter_stays_a_letter_where_it_can_be_printed(project: str) -> None:
    env = {"PYTHONIOENCODING": "utf-8"}
    ended = subprocess.run(
        [PROGRAM, "lessons", "--dir", project], env=ENVIRONMENT | env, capture_output=True, check=True
    )
    assert "café.🚀" in ended.stdout.decode("utf-8")


@pytest.mark.parametrize("closed", ["read not at all", "from the start"])
def test_output_that_nobody_reads_is_no_traceback(project: str, closed: str) -> None:
    for command in ("lessons", "overrides -o json", "status -o env"):
        line = f"'{PROGRAM}' {command} --dir '{project}'"
        script = f"{line} | true" if closed == "read not at all" else f"{line} >&-"
        ended = subprocess.run(
            ["bash", "-c", f"sleep 0.2 | {script}; exit ${{PIPESTATUS[1]:-0}}"],
            env=ENVIRONMENT, capture_output=True, check=False, timeout=120, text=True,
        )  # fmt: skip
        assert ended.stderr == "", command
        assert ended.returncode in (0, 1), command


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line_and_no_traceback(project: str) -> None:
    for command in ("overrides", "overrides -o json", "runs -o csv", "settings show"):
        with open("/dev/full", "w") as full:
            ended = subprocess.run(
                [PROGRAM, *command.split(), "--dir", project],
                env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, check=False, timeout=120, text=True,
            )  # fmt: skip
        assert ended.stderr == "error: No space left on device\n", command
        assert ended.returncode == 1, command
