"""The files that deploy the worker agree with the code and with each other."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pm_strength.service.metrics import Metrics

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "worker" / "requirements.lock").read_text()
DOCKERFILE = (ROOT / "worker" / "Dockerfile").read_text()
MONITORING = ROOT / "worker" / "monitoring"


def test_the_lock_file_holds_all_that_the_worker_needs_with_hashes_and_no_address() -> None:
    locked = dict(re.findall(r"^([\w.-]+)==([\w.+-]+)", LOCK, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["worker"]):
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), text
    assert_locked(LOCK)


def test_what_builds_the_image_is_locked_too() -> None:
    lock = (ROOT / "worker" / "build.lock").read_text()
    assert_locked(lock)
    locked = dict(re.findall(r"^([\w.-]+)==([\w.+-]+)", lock, re.MULTILINE))
    for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), text
    for install in re.findall(r"pip (?:install|wheel) .*", DOCKERFILE):
        by_lock = "--require-hashes" in install
        fetches_nothing = "--no-deps" in install and (
            "--no-build-isolation" in install or "--no-index" in install
        )
        assert by_lock or fetches_nothing, install


def assert_locked(lock: str) -> None:
    entries = re.split(r"^(?=\S)", lock, flags=re.MULTILINE)[1:]
    assert entries
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
    assert "://" not in lock


def test_dashboard_and_alerts_name_metrics_that_exist() -> None:
    text = Metrics().text().decode()
    metrics = {name for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE) if "_created" not in name}
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += re.findall(r"expr: (.*)", (MONITORING / "alerts.yml").read_text())
    named = {name for text in expressions for name in re.findall(r"pm_strength_\w+", text)}
    named -= {"pm_strength_trades"}
    assert len(named) > 8
    plain = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named}
    assert plain <= metrics | {re.sub(r"_total$", "", name) for name in metrics}
    used = {re.sub(r"_total$", "", name) for name in plain}
    assert {re.sub(r"_total$", "", name) for name in metrics} - used == set(), "a metric that nobody looks at"
    of_modules = re.compile(r"pm_strength_(lessons|overrides|book_age_seconds)\b")
    mixed = [text for text in expressions if of_modules.search(text) and "by (module)" not in text]
    assert mixed == [], "one module that learns would hide another that does not"


def test_the_image_needs_no_root_and_takes_no_secret_along() -> None:
    stages = DOCKERFILE.split("\nFROM ")[1:]
    assert len(stages) == 2
    assert re.search(r"^USER (?!0|root)", stages[1], re.MULTILINE)
    assert "--require-hashes" in stages[0]
    assert "HEALTHCHECK" in stages[1]
    assert 'ENTRYPOINT ["pm-strength"]' in stages[1], "a shell in between would keep SIGTERM to itself"
    assert re.search(r"^\s*PM_STRENGTH_HOST=0\.0\.0\.0$", stages[1], re.MULTILINE), "else no port reaches it"
    assert not re.search(r"SECRET|SERVICE_ROLE", re.sub(r"^#.*", "", DOCKERFILE, flags=re.MULTILINE))
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert all(line.startswith(("!", "**/__pycache__")) for line in ignored[1:])


def test_the_base_image_can_be_pinned_by_its_digest_for_both_stages() -> None:
    assert re.search(r"^ARG BASE=python:[\w.-]+$", DOCKERFILE, re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert "BASE: ${PM_STRENGTH_BASE:-" in (ROOT / "compose.yaml").read_text()


def test_one_worker_cannot_take_the_whole_machine() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    for limit in (
        "mem_limit: [1-9]",
        "pids_limit: [1-9]",
        "cpus: [1-9]",
        "read_only: true",
        r"cap_drop: \[ALL\]",
    ):
        assert re.search(f"^    {limit}", compose, re.MULTILINE), limit


def test_what_the_checks_use_of_others_is_named_by_its_commit() -> None:
    used = [
        line
        for path in (ROOT / ".github" / "workflows").glob("*.yml")
        for line in re.findall(r"uses: (.*)", path.read_text())
    ]
    assert used
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", line) for line in used), used


def test_every_kind_of_test_runs_before_a_merge() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE)
    (steps,) = re.findall(r"^CHECKS := (.*)", makefile, re.MULTILINE)
    wanted = {"lint", *(name for name in targets if re.match(r"test(-|$)", name))} - {"test-all"}
    assert wanted <= set(steps.split()) <= set(targets)
    assert steps.split()[0] == "test", "what a newcomer runs"
    assert (ROOT / ".ci" / "run").read_text().endswith("\nexec make check\n")
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text()
    assert re.findall(r"run: (.*)", workflow) == [".ci/run", "make test"]
