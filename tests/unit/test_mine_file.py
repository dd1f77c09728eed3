"""`pm-strength mine --events`: files in, files out, no project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from pm_strength import LearningSettings, mine_lessons
from pm_strength.cli import app
from pm_strength.errors import FileError
from pm_strength.files.events import read_events
from pm_strength.files.lessons import write_lessons
from pm_strength.mining import lesson_rows

TYPES = {"text": "1", "whole": 1, "flag": True, "part": 0.5}


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "pattern_key": "module=pm|pattern_key=uptrend.S1.buy_flag",
            "action_category": "entry",
            "scope": [{**TYPES, "half": i % 2} if i % 5 else {} for i in range(100)],
            "trade_id": [f"trade-{i // 2}" for i in range(100)],
            "timestamp": [f"2026-01-{1 + i // 10:02}T00:00:00Z" for i in range(100)],
            "rr": [float(i // 2 % 4) for i in range(100)],
            "note": "not looked at",
        }
    )


def written(tmp_path: Path, kind: str) -> Path:
    path, events = tmp_path / f"events.{kind.split('-')[0]}", frame()
    if kind != "parquet-struct":
        events["scope"] = events["scope"].map(json.dumps)
    if kind == "csv":
        events.to_csv(path, index=False)
    else:
        events.to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet-text", "parquet-struct"])
def test_a_file_has_the_lessons_of_its_frame(tmp_path: Path, kind: str) -> None:
    chosen = LearningSettings(n_min=10)
    wanted = lesson_rows(mine_lessons(frame(), chosen))
    got = lesson_rows(mine_lessons(read_events(written(tmp_path, kind), "rr"), chosen))
    assert got == wanted
    assert any(row["scope_subset"] == {"text": "1", "whole": 1, "flag": True} for row in got)


@pytest.mark.parametrize("index", ["part", "trade_id"])
def test_the_index_of_a_frame_in_a_file_makes_no_difference(tmp_path: Path, index: str) -> None:
    events = frame().assign(scope=lambda table: table["scope"].map(json.dumps))
    events = events.iloc[20:] if index == "part" else events.set_index("trade_id")
    events.to_parquet(tmp_path / "events.parquet")
    read = read_events(tmp_path / "events.parquet", "rr")
    wanted = frame().iloc[20:] if index == "part" else frame()
    assert len(read) == len(wanted)
    for name in ("trade_id", "scope", "rr"):
        assert read[name].tolist() == wanted[name].tolist()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["mine", *arguments])


def test_lessons_go_to_stdout_or_into_a_file(tmp_path: Path) -> None:
    events = str(written(tmp_path, "csv"))
    wanted = lesson_rows(mine_lessons(frame(), LearningSettings(n_min=10)))
    printed = run("--events", events, "--set", "n_min=10")
    assert json.loads(printed.stdout) == wanted
    assert f"{len(wanted)} lessons from 100 events of 50 trades" in printed.stderr

    for name in ("lessons.json", "lessons.parquet"):
        ended = run("--events", events, "--set", "n_min=10", "--lessons", str(tmp_path / name))
        assert (ended.exit_code, ended.stdout) == (0, "")
    assert json.loads((tmp_path / "lessons.json").read_text()) == wanted
    table = pd.read_parquet(tmp_path / "lessons.parquet")
    assert [json.loads(scope) for scope in table["scope_subset"]] == [row["scope_subset"] for row in wanted]
    assert table["edge_raw"].tolist() == [row["stats"]["edge_raw"] for row in wanted]
    assert table["half_life_hours"].isna().tolist() == [row["decay_halflife_hours"] is None for row in wanted]
    assert not list(tmp_path.glob("*.part"))


def test_a_file_without_events_has_no_lessons(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("pattern_key,action_category,scope,trade_id,timestamp,rr\n")
    ended = run("--events", str(path))
    assert json.loads(ended.stdout) == []
    assert "baseline none" in ended.stderr


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("pattern_key", "", "text"),
        ("trade_id", "", "text"),
        ("scope", "[1]", "a JSON object"),
        ("scope", "{", "a JSON object"),
        ("timestamp", "yesterday", "an ISO 8601 time"),
        ("rr", "much", "a number"),
    ],
)
def test_a_bad_value_is_named_by_row_and_column(
    tmp_path: Path, column: str, value: Any, expected: str
) -> None:
    events = frame().astype(object)
    events["scope"] = events["scope"].map(json.dumps)
    events.loc[7, column] = value
    events.to_csv(tmp_path / "events.csv", index=False)
    with pytest.raises(
        FileError, match=f"row 8: {column}: expected {expected}, got '{value}'".replace("[", r"\[")
    ):
        read_events(tmp_path / "events.csv", "rr")


def test_a_missing_column_and_a_strange_file_are_named(tmp_path: Path) -> None:
    frame().drop(columns="trade_id").to_parquet(tmp_path / "events.parquet")
    with pytest.raises(FileError, match="expected a column 'trade_id'"):
        read_events(tmp_path / "events.parquet", "rr")
    with pytest.raises(FileError, match="expected a column 'pnl_usd'"):
        read_events(written(tmp_path, "csv"), "pnl_usd")
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(FileError, match="not a Parquet file"):
        read_events(tmp_path / "broken.parquet", "rr")
    with pytest.raises(FileError, match=r"\.parquet or \.csv"):
        read_events(tmp_path / "events.xlsx", "rr")


def test_a_place_that_cannot_be_written_is_refused_before_mining(tmp_path: Path) -> None:
    events = str(written(tmp_path, "csv"))
    for name in ("lessons.txt", "nowhere/lessons.json"):
        assert isinstance(run("--events", events, "--lessons", str(tmp_path / name)).exception, FileError)
    assert run("--lessons", "lessons.json").exit_code == 2
    assert run("--events", events, "--dir", "x").exit_code == 2
    assert run("--events", events, "--module", "scout").exit_code == 2


def test_an_unfinished_file_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lessons.json"
    path.write_text("before")
    monkeypatch.setattr("pm_strength.files.lessons.lesson_rows", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_lessons(mine_lessons(frame(), LearningSettings(n_min=10)), path)
    assert path.read_text() == "before"


def test_one_of_each_is_told_in_the_singular(tmp_path: Path) -> None:
    events = frame().head(1)
    events["scope"] = "{}"
    events.to_csv(tmp_path / "one.csv", index=False)
    ended = CliRunner().invoke(app, ["mine", "--events", str(tmp_path / "one.csv"), "--set", "n_min=1"])
    assert "1 lesson from 1 event of 1 trade, baseline +0.0000" in ended.stderr
