"""The files that deploy the worker agree with the code and with each other."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pm_strength.metrics import Metrics

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "worker" / "requirements.lock").read_text()
MONITORING = ROOT / "worker" / "monitoring"


def test_the_lock_file_holds_all_that_the_worker_needs_with_hashes_and_no_address() -> None:
    locked = dict(re.findall(r"^([\w.-]+)==([\w.+-]+)", LOCK, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in (*project["dependencies"], *project["optional-dependencies"]["worker"]):
        wanted = Requirement(text)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), text
    entries = re.split(r"^(?=\S)", LOCK, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in LOCK


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


def test_the_image_needs_no_root_and_takes_no_secret_along() -> None:
    dockerfile = (ROOT / "worker" / "Dockerfile").read_text()
    stages = dockerfile.split("\nFROM ")[1:]
    assert len(stages) == 2
    assert re.search(r"^USER (?!0|root)", stages[1], re.MULTILINE)
    assert "--require-hashes" in stages[0]
    assert "HEALTHCHECK" in stages[1]
    assert 'ENTRYPOINT ["pm-strength"]' in stages[1], "a shell in between would keep SIGTERM to itself"
    assert re.search(r"^\s*PM_STRENGTH_HOST=0\.0\.0\.0$", stages[1], re.MULTILINE), "else no port reaches it"
    assert not re.search(r"SECRET|SERVICE_ROLE", re.sub(r"^#.*", "", dockerfile, flags=re.MULTILINE))
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert all(line.startswith(("!", "**/__pycache__")) for line in ignored[1:])


def test_every_kind_of_test_runs_before_a_merge() -> None:
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    run = set(re.findall(r"make ([a-z0-9-]+)", workflow))
    assert {"test", "lint", "test-functions", "test-faults", "test-pg15"} <= run <= targets
