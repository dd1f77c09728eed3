"""The command line as a script uses it."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from typer.testing import CliRunner

from pm_strength.cli import app
from pm_strength.local.stack import Stack
from pm_strength.project.store import Store
from tests.support import strands

from .conftest import Database, Drain

PROGRAM = Path(sys.executable).parent / "pm-strength"
CLEAN_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("SUPABASE_")}


def run(
    *arguments: str, cwd: Path | None = None, input: str | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), *arguments],
        capture_output=True,
        text=True,
        check=False,
        input=input,
        cwd=cwd,
        env=CLEAN_ENVIRONMENT | env,
        timeout=120,
    )


class Cli:
    """Runs commands on the session's stack and checks how they end."""

    def __init__(self, stack: Stack) -> None:
        self.directory = str(stack.directory)

    def __call__(self, *arguments: str, code: int = 0, input: str | None = None) -> str:
        ended = run(*arguments, "--dir", self.directory, input=input)
        assert ended.returncode == code, ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
        return ended.stdout + (ended.stderr if code else "")


@pytest.fixture
def cli(stack: Stack, clean: None) -> Cli:
    return Cli(stack)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_from_a_file_to_an_explained_size(cli: Cli, tmp_path: Path, db: Database) -> None:
    rows = strands.trades(200)
    file = write_lines(tmp_path / "strands.jsonl", rows)
    assert f"{len(rows):,} strands imported, 0 already there, 0 bad lines" in cli("import", str(file))
    assert f"0 strands imported, {len(rows):,} already there" in cli("import", "-", input=file.read_text())
    queue = json.loads(cli("queue", "-o", "json"))
    assert queue["queues"][0]["depth"] == 200

    cli("settings", "set", "n_min=10", "max_dims=2")
    assert "0 open dead letters" in cli("worker", "--drain")
    assert "lessons from" in cli("mine")
    assert "overrides from" in cli("materialize")
    assert "overrides from" in cli("learn")
    runs = json.loads(cli("runs", "-o", "json"))
    assert [row["kind"] for row in runs] == ["materialize", "mine", "materialize", "mine"]
    assert {row["status"] for row in runs} == {"succeeded"}

    (lessons,) = db.execute("select count(*) from learning_lessons where status = 'active'").fetchone() or ()
    assert len(json.loads(cli("lessons", "-o", "json"))) == lessons
    overrides = json.loads(cli("overrides", "-o", "json"))
    assert overrides
    assert len(list(csv.DictReader(io.StringIO(cli("overrides", "-o", "csv"))))) == len(overrides)
    top = json.loads(cli("overrides", "-o", "json", "-n", "3"))
    assert [abs(row["multiplier"] - 1) for row in top] == [
        abs(row["multiplier"] - 1) for row in overrides[:3]
    ]

    group = overrides[0]
    chosen = ["--pattern-key", group["pattern_key"], "--action", group["action_category"]]
    scope = json.dumps(group["scope_subset"])
    for row in json.loads(cli("overrides", "-o", "json", *chosen, "--scope", scope)):
        assert row["pattern_key"] == group["pattern_key"]
        assert row["scope_subset"].items() >= group["scope_subset"].items()
    assert "lesson" in cli("lessons", *chosen)

    asked = ["--pattern-key", group["pattern_key"], "--action", group["action_category"], "--scope", scope]
    answer = json.loads(cli("resolve", *asked, "-o", "json", "--size-frac", "0.2"))
    assert answer["reason"] == "matched"
    if group["action_category"] in ("entry", "add"):
        assert answer["size_frac"] == pytest.approx(min(1, 0.2 * answer["multiplier"]))
    shown = cli("resolve", *asked)
    assert "here" in shown
    assert f"{answer['multiplier']:.4f}" in shown
    assert "weighted blend of the overrides" in shown
    cli("settings", "set", "strategy=most_specific")
    assert "most specific of the overrides" in cli("resolve", *asked)


def test_what_sizes_a_position_comes_first(stack: Stack, store: Store, drain: Drain) -> None:
    def said(*arguments: str) -> str:
        ended = CliRunner().invoke(app, [*arguments, "--dir", str(stack.directory)])
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    def order(row: dict[str, Any]) -> tuple[bool, float]:
        strength = row["multiplier"] - 1 if "multiplier" in row else row["stats"]["edge_raw"]
        return row["action_category"] not in ("entry", "add"), -abs(strength)

    store.write_settings("pm", {"n_min": 5})
    store.insert_strands(strands.trades(200))
    drain()
    said("learn")
    for command in ("overrides", "lessons"):
        wanted = list(map(order, json.loads(said(command, "-o", "json"))))
        assert wanted == sorted(wanted)
        sized = [unsized for unsized, _ in wanted].index(True)
        # as many as are sized; a few more; and more than one of the other actions has alone
        for limit in (sized, sized + 5, len(wanted) - 1):
            cut = json.loads(said(command, "-o", "json", "-n", str(limit)))
            assert list(map(order, cut)) == wanted[:limit]
        assert f"no size depends on their {command}" in said(command, "-n", str(sized))
        assert f"no size depends on 5 of these {command}" in said(command, "-n", str(sized + 5))
        assert f"no size depends on any {command[:-1]} here" in said(command, "--action", "trim", "-n", "2")
        assert "no size depends" not in said(command, "--action", "entry", "-n", "2")


def test_each_module_has_its_own_settings_lessons_and_overrides(
    stack: Stack, store: Store, drain: Drain
) -> None:
    def said(*arguments: str, module: str = "scout") -> Any:
        options = ["--module", module, "--dir", str(stack.directory)]
        ended = CliRunner().invoke(app, [*arguments, *options])
        assert ended.exit_code == 0, ended.output
        return json.loads(ended.stdout) if "json" in arguments else ended.stdout

    assert "scout is a new module" in said("settings", "set", "n_min=6")
    assert "new module" not in said("settings", "set", "n_min=5")
    assert said("settings", "show", "-o", "json")["n_min"] == 5
    assert said("settings", "show", "-o", "json", module="pm")["n_min"] == 33
    store.insert_strands([row | {"module": "scout"} for row in strands.trades(100)])
    drain()
    assert "0 lessons from 0 events" in said("learn", module="pm")
    said("mine")
    said("materialize")
    for command in ("lessons", "overrides"):
        assert {row["module"] for row in said(command, "-o", "json")} == {"scout"}
        assert said(command, "-o", "json", module="pm") == []
        assert said(command, "-n", "1", module="pm").startswith("No ")
    override = said("overrides", "-o", "json")[0]
    asked = ["--pattern-key", override["pattern_key"], "--action", override["action_category"]]
    scope = ["--scope", json.dumps(override["scope_subset"])]
    assert said("resolve", *asked, *scope, "-o", "json")["reason"] == "matched"
    assert said("resolve", *asked, *scope, "-o", "json", module="pm")["reason"] == "no_match"
    said("learn")
    runs = [row["module"] for row in store.runs()]
    assert runs == ["scout", "scout", "scout", "scout", "pm", "pm"]
    assert [row["module"] for row in said("runs", "-o", "json")] == ["scout"] * 4
    assert [row["kind"] for row in said("runs", "-o", "json", module="pm")] == ["materialize", "mine"]


@pytest.mark.parametrize(
    "command",
    [
        ("learn",),
        ("mine",),
        ("materialize",),
        ("lessons",),
        ("overrides",),
        ("runs",),
        ("settings", "show"),
        ("resolve", "--pattern-key", "p", "--action", "entry"),
    ],
    ids=lambda command: command[0],
)
def test_a_module_that_nobody_learns_for_is_wrong_usage(cli: Cli, command: tuple[str, ...]) -> None:
    """A typo would else look as if nothing was learned."""
    said = cli(*command, "--module", "pn", code=2)
    assert "--module" in said
    assert "learns for pm, not for pn" in said


def test_bad_lines_are_reported_and_the_exit_code_tells(cli: Cli, tmp_path: Path, store: Store) -> None:
    rows = strands.trades(3)
    file = write_lines(tmp_path / "strands.jsonl", rows)
    with file.open("a") as lines:
        lines.write("{broken\n" + json.dumps(rows[0] | {"id": "new", "content": []}) + "\n")
        lines.write(json.dumps(rows[0] | {"id": "moody", "mood": 1}) + "\n")
    said = cli("import", str(file), code=1)
    assert f"line {len(rows) + 1}: line: not JSON" in said
    assert f"line {len(rows) + 2}: content: expected a JSON object" in said
    assert f"line {len(rows) + 3}: strand: refused by the server" in said
    assert "mood" in said
    assert f"{len(rows)} strands imported, 0 already there, 3 bad lines" in said


def test_dead_letters_are_shown_and_requeued(cli: Cli, db: Database, tmp_path: Path) -> None:
    rows = strands.trades(1)
    rows[-1]["content"]["trade_summary"]["rr"] = "high"
    cli("import", str(write_lines(tmp_path / "strands.jsonl", rows)))
    assert "1 open dead letter" in cli("worker", "--drain")
    shown = cli("queue")
    assert "content.trade_summary.rr: expected a finite number" in " ".join(shown.split())
    db.execute(
        "update ad_strands set content = jsonb_set(content, '{trade_summary,rr}', '2') "
        "where kind = 'position_closed'"
    )
    assert "1 dead letter back on the queue" in cli("requeue")
    assert "0 open dead letters" in cli("worker", "--drain")
    assert "No dead letters" in cli("queue")
    assert "0 dead letters back on the queue" in cli("requeue")


def test_settings_are_checked_and_shown(cli: Cli) -> None:
    cli("settings", "set", "n_min=7", "strategy=most_specific", 'scope_dims=["chain"]', "max_dims=null")
    settings = json.loads(cli("settings", "show", "-o", "json"))
    assert (settings["n_min"], settings["strategy"], settings["scope_dims"], settings["max_dims"]) == (
        7,
        "most_specific",
        ["chain"],
        None,
    )
    assert "n_min: expected an integer from 1 to" in cli("settings", "set", "n_min=0", code=2)
    assert "unknown_one: expected one of" in cli("settings", "set", "unknown_one=1", code=2)
    assert "NAME=VALUE" in cli("settings", "set", "n_min", code=2)
    cli("settings", "set", "n_min=", "strategy=", "scope_dims=", "max_dims=")
    assert json.loads(cli("settings", "show", "-o", "json"))["n_min"] == 33


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("resolve", "--pattern-key", "p", "--action", "hodl"), 2),
        (("resolve", "--pattern-key", "p", "--action", "entry", "--scope", "[1]"), 2),
        (("resolve", "--pattern-key", "p", "--action", "entry", "--scope", "{"), 2),
        (("resolve", "--pattern-key", "p", "--action", "entry", "--scope", '{"a": NaN}'), 2),
        (("overrides", "--action", "hodl"), 2),
        (("overrides", "--pattern-key", "\udcff"), 2),
        (("learn", "--module", ""), 2),
        (("settings", "set", "--module", "m" * 101, "n_min=5"), 2),
        (("settings", "show", "--module", "\udcff"), 2),
        (("import", "/nowhere/at/all.jsonl"), 2),
        (("materialize",), 1),
    ],
)
def test_what_cannot_be_done_has_its_exit_code(cli: Cli, arguments: tuple[str, ...], code: int) -> None:
    cli(*arguments, code=code)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--scope", '{"a": 1e999}'),
        ("--scope", '{"a": "\\ud800"}'),
        ("--scope", '{"\udcff": 1}'),
        ("--scope", '{"a": ' + "[" * 20_000 + "]" * 20_000 + "}"),
        ("--pattern-key", "\udcff"),
    ],
    ids=["1e999", "escape", "bytes", "nested", "key"],
)
def test_what_cannot_be_sent_names_its_option(cli: Cli, option: str, value: str) -> None:
    options = {"--pattern-key": "p", "--action": "entry"} | {option: value}
    said = cli("resolve", *itertools.chain(*options.items()), code=2)
    assert option in said
    assert "expected" in said


def test_without_a_project_both_ways_are_named(tmp_path: Path) -> None:
    ended = run("queue", cwd=tmp_path)
    assert ended.returncode == 3
    said = " ".join(ended.stderr.split())
    assert "SUPABASE_URL and SUPABASE_SECRET_KEY" in said
    assert "pm-strength up" in said


def test_the_environment_and_dotenv_name_the_project(
    variables: dict[str, str], store: Store, tmp_path: Path
) -> None:
    url = variables["API_URL"]
    for key in ("SECRET_KEY", "SERVICE_ROLE_KEY"):
        name = f"SUPABASE_{key}"
        ended = run("queue", "-o", "json", cwd=tmp_path, **{"SUPABASE_URL": url, name: variables[key]})
        assert ended.returncode == 0, ended.stderr
    (tmp_path / ".env").write_text(f"SUPABASE_URL={url}\nSUPABASE_SECRET_KEY={variables['SECRET_KEY']}\n")
    assert run("queue", "-o", "json", cwd=tmp_path).returncode == 0
    half = run("queue", cwd=tmp_path, SUPABASE_SECRET_KEY="", SUPABASE_SERVICE_ROLE_KEY="")
    assert half.returncode == 3
    assert "SUPABASE_SECRET_KEY" in half.stderr


def test_a_key_without_rights_is_told_so(variables: dict[str, str], store: Store, tmp_path: Path) -> None:
    env = {"SUPABASE_URL": variables["API_URL"]}
    ended = run("queue", cwd=tmp_path, SUPABASE_SECRET_KEY=variables["PUBLISHABLE_KEY"], **env)
    assert ended.returncode == 1
    assert "secret (service_role) key" in " ".join(ended.stderr.split())
    ended = run("queue", cwd=tmp_path, SUPABASE_SECRET_KEY="sb_secret_wrong", **env)
    assert ended.returncode == 1
    assert "check SUPABASE_SECRET_KEY" in " ".join(ended.stderr.split())
    assert "sb_secret_wrong" not in ended.stderr


def test_status_of_the_stack(stack: Stack, variables: dict[str, str], tmp_path: Path) -> None:
    directory = str(stack.directory)
    assert json.loads(run("status", "-o", "json", "--dir", directory).stdout) == variables
    program = f"{shlex.quote(str(PROGRAM))} status -o env --dir {shlex.quote(directory)}"
    script = f'eval "$({program})"; echo "$API_URL $SECRET_KEY"'
    sourced = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert sourced.stdout.split() == [variables["API_URL"], variables["SECRET_KEY"]]
    assert run("status", "--dir", str(tmp_path / "none")).returncode == 3


def start_worker(stack: Stack, *arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(PROGRAM), "worker", "--dir", str(stack.directory), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=CLEAN_ENVIRONMENT | env,
    )


def wait_for_log(worker: subprocess.Popen[str], message: str) -> None:
    assert worker.stderr is not None
    for line in worker.stderr:
        if json.loads(line)["message"] == message:
            return
    raise AssertionError(f"the worker ended without saying {message!r}")


def wait_for_call(worker: subprocess.Popen[str]) -> None:
    """Until a call is in hand, on whatever connection."""
    end = time.monotonic() + 60
    process = psutil.Process(worker.pid)
    while not any(each.status == psutil.CONN_ESTABLISHED for each in process.net_connections("tcp")):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_worker_captures_and_stops_when_asked(
    stack: Stack, store: Store, db: Database, number: signal.Signals
) -> None:
    worker = start_worker(stack)
    wait_for_log(worker, "started")
    rows = strands.trades(3)
    store.insert_strands(rows)
    wait_for_log(worker, "captured")
    worker.send_signal(number)
    _, logged = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert json.loads(logged.splitlines()[-1])["message"] == "stopped"
    assert db.execute("select count(*) > 0 from pattern_trade_events").fetchone() == (True,)


@pytest.mark.parametrize(("host", "listens"), [(None, "127.0.0.1"), ("127.0.0.2", "127.0.0.2")])
def test_a_worker_answers_probes_where_it_is_told_to(stack: Stack, host: str | None, listens: str) -> None:
    worker = start_worker(stack, "--port", "0", **({} if host is None else {"PM_STRENGTH_HOST": host}))
    try:
        assert worker.stderr is not None
        said = next(line for line in map(json.loads, worker.stderr) if line["message"] == "listening")
        assert said["host"] == listens
        assert httpx.get(f"http://{listens}:{said['port']}/healthz").status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.3:{said['port']}/healthz")
    finally:
        worker.terminate()
        worker.communicate(timeout=30)


def test_a_second_signal_ends_at_once(stack: Stack, store: Store) -> None:
    gateway = json.loads((stack.directory / "state.json").read_text())["daemons"]["gateway"]["pid"]
    # nothing answers now, so that after the first signal the worker waits for the call in hand
    os.kill(gateway, signal.SIGSTOP)
    try:
        worker = start_worker(stack)
        wait_for_log(worker, "started")
        wait_for_call(worker)
        worker.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert worker.poll() is None, "the first signal lets it finish"
        worker.send_signal(signal.SIGINT)
        worker.communicate(timeout=10)
    finally:
        os.kill(gateway, signal.SIGCONT)
    assert worker.returncode == 130


def test_help_says_what_each_command_does() -> None:
    said = run("--help").stdout
    for command in ("up", "import", "worker", "learn", "overrides", "resolve", "settings", "queue", "demo"):
        assert command in said
        assert run(command, "--help").returncode == 0


def test_the_demo_runs_and_leaves_nothing(tmp_path: Path) -> None:
    ended = run("demo", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    for text in ("2,932 of 2,932", "11,088", "20,350", "One sizing decision", "multiplier", "Next"):
        assert text in ended.stdout
    assert list(tmp_path.iterdir()) == []
