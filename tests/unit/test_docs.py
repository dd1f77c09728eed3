"""What the documents name exists, and what they say of the demo's trades is so."""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer.main

from pm_strength import LearningSettings, OverrideBook, evaluate, materialize_overrides, mine_lessons
from pm_strength.capture.trade import BadStrand, Strand, capture_trade, group_by_trade
from pm_strength.cli import app
from pm_strength.service.metrics import Metrics
from tests.support.documents import (
    PAGES,
    ROOT,
    RUN,
    SHOWN,
    anchors,
    blocks,
    code_spans,
    links,
    page_name,
    prose,
)

DRAWN = ("mermaid",)
PACKAGE = ROOT / "worker" / "pm_strength"
FILE = re.compile(r"[\w./*-]+\.(?:py|sql|ts|md|ya?ml|toml|lock|jsonl?)")
FOLDER = re.compile(r"[\w.-]+/(?:[\w.-]+/)*")
# Files of the reader's own.
YOURS = {"strands.jsonl", "saved.jsonl"}

pages = pytest.mark.parametrize("page", PAGES, ids=page_name)


@pages
def test_links_and_anchors_resolve(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pages
def test_files_and_folders_that_are_named_exist(page: Path) -> None:
    for span in code_spans(page):
        if FILE.fullmatch(span) and span not in YOURS:
            # below a folder that the page is about, a shorter path will do
            found = (ROOT / span).exists() or any(
                next(folder.rglob(span), None) for folder in (PACKAGE, ROOT / "supabase", ROOT / "worker")
            )
            assert found, span
        elif FOLDER.fullmatch(span):
            assert (ROOT / span).is_dir(), span


@pages
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"^make ([a-z][a-z0-9-]*)|`make ([a-z][a-z0-9-]*)", page.read_text(), re.MULTILINE)
    assert {first or second for first, second in named} <= targets


@pages
def test_commands_and_options_that_are_named_exist(page: Path) -> None:
    for call in re.findall(r"\bpm-strength((?: +[\w.=-]+)+)", page.read_text()):
        command: Any = typer.main.get_command(app)
        for before, word in pairwise(["", *call.split()]):
            if word.startswith("-"):
                names = {name for option in command.params for name in option.opts} | {"--help", "-h"}
                assert word in names, call
            # after an option there may be its value
            elif hasattr(command, "commands") and not before.startswith("-"):
                assert word in command.commands, call
                command = command.commands[word]


@pages
def test_functions_of_the_database_and_metrics_that_are_named_exist(page: Path) -> None:
    schema = "\n".join(path.read_text() for path in (ROOT / "supabase" / "migrations").glob("*.sql"))
    known = schema + Metrics().text().decode()
    for name in re.findall(r"\b(?:resolve_)?pm_strength_\w+", page.read_text()):
        assert name in known, name


def test_messages_that_are_explained_are_said() -> None:
    code = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    page = prose(ROOT / "docs" / "troubleshooting.md")
    messages = re.findall(r"^(?:\| |- )`([A-Za-z][^`|]* [^`|]*)`", page, re.MULTILINE)
    assert len(messages) > 3
    for message in (message for message in messages if not message.startswith("pm-strength ")):
        for part in message.split(" ... "):
            assert part.removesuffix(" ...") in code, message


@pages
def test_every_block_of_code_is_of_a_kind_that_is_looked_at(page: Path) -> None:
    for block in blocks(page):
        assert block.language in (*RUN, *SHOWN, *DRAWN), block
        if block.language == "json":
            json.loads(block.code)


def test_what_is_shown_is_what_a_block_prints_or_is_compared_below() -> None:
    every = [block for page in PAGES for block in blocks(page)]
    printed = {block.shown for block in every}
    alone = [
        block for block in every if block.language in SHOWN and (block.language, block.code) not in printed
    ]
    assert [block.page for block in alone] == ["README.md", "docs/architecture.md"]


def test_the_rooms_are_those_that_the_linter_keeps() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (rooms,) = (rule for rule in project["tool"]["importlinter"]["contracts"] if rule["id"] == "rooms")
    page = ROOT / "docs" / "architecture.md"
    (drawn,) = (block.code for block in blocks(page) if block.language == "text")
    assert drawn.splitlines() == rooms["layers"]
    listed = set(re.findall(r"^\| .*`worker/pm_strength/.*", page.read_text(), re.MULTILINE))
    named = set(re.findall(r"`worker/pm_strength/(\w+)", "".join(listed)))
    assert named == set(re.findall(r"\w+", " ".join(rooms["layers"])))


def test_every_setting_is_explained_with_its_default() -> None:
    text = prose(ROOT / "docs" / "learning.md")
    section = text[text.index("| setting | default |") :]
    rows = dict(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|", section, re.MULTILINE))
    told: dict[str, str] = {}
    for names, defaults in rows.items():
        values = re.split(r", (?!\d{3})", defaults)
        told |= dict(zip(re.findall(r"\w+", names), values, strict=False))
    for name, default in LearningSettings().to_dict().items():
        plain = told[name].strip("` ").replace(",", "")
        assert default == (plain if isinstance(default, str) else json.loads(plain)), name


def test_the_license_is_one_and_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["license"], project["license-files"]) == ("MIT", ["LICENSE"])
    license_text = (ROOT / "LICENSE").read_text()
    assert license_text.startswith("MIT License\n")
    assert project["authors"] == [{"name": "PM Strength contributors"}]
    assert "PM Strength contributors\n" in license_text
    for path in ("worker/Dockerfile", ".dockerignore"):
        assert "LICENSE" in (ROOT / path).read_text(), f"{path}: the wheel needs it"


def test_the_demos_trades_are_what_is_said_of_them() -> None:
    strands = demo_strands()
    closed = [strand for strand in strands if strand["kind"] == "position_closed"]
    trades, pairs = len({strand["trade_id"] for strand in closed}), len({row["symbol"] for row in strands})
    said = f"{trades:,} simulated trades on real candles of {pairs} pairs"
    for path in ("README.md", "Makefile", "worker/pm_strength/cli/demo.py"):
        assert said in (ROOT / path).read_text(), path


@pytest.mark.slow
def test_what_the_readme_shows_of_the_demo_is_what_comes_out() -> None:
    shown = next(block.code for block in blocks(ROOT / "README.md") if "One sizing decision" in block.code)
    strands = demo_strands()
    events = demo_events(strands)
    lessons = mine_lessons(events)
    overrides = materialize_overrides(lessons)
    counts = {
        "strands loaded": f"{len(strands):,}",
        "events": f"{len(events):,}",
        "mean outcome (baseline)": f"{lessons.attrs['baseline']:+.4f} R",
        "lessons": f"{len(lessons):,}",
        "overrides": f"{len(overrides):,}",
    }
    for name, value in counts.items():
        assert re.search(rf"^{re.escape(name)} +{re.escape(value)}$", shown, re.MULTILINE), (name, value)

    book = OverrideBook({**row, "id": at} for at, row in enumerate(overrides.to_dict("records")))
    last = events[events["action_category"] == "entry"].iloc[-1]
    resolution = book.resolve(last["pattern_key"], "entry", last["scope"])
    assert f"multiplier {resolution.multiplier:.4f} (matched" in shown
    assert f"-> {0.35 * resolution.multiplier:.4f}\n{resolution.matched} overrides hold" in shown
    for result in evaluate(events).results:
        assert f"{result.name}: {result.verdict} ({result.why})" in shown


def demo_strands() -> list[dict[str, Any]]:
    file = resources.files("pm_strength").joinpath("data", "strands_btc_pairs.jsonl.gz")
    return [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]


def demo_events(strands: list[dict[str, Any]]) -> pd.DataFrame:
    read = [Strand.from_row(row | {"content": json.dumps(row["content"])}) for row in strands]
    trades, bad = group_by_trade(strand for strand in read if not isinstance(strand, BadStrand))
    assert not bad
    rows = [
        event.to_row()
        for trade_id, (closes, actions) in trades.items()
        for event in capture_trade(trade_id, closes, actions).events
    ]
    return pd.DataFrame(rows).drop(columns=["strand_id", "closed_by"])
