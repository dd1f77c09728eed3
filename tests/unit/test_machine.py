"""Mining uses all cores of the machine, and no more than its free memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pandas as pd
import pytest
from typer.testing import CliRunner

import pm_strength
import pm_strength.mining
from pm_strength.cli import app
from pm_strength.errors import LessonLimitError
from pm_strength.project.store import Store
from pm_strength.service import machine
from pm_strength.service import runs as learning

from ..support.packed import pack_events

EVENTS = [
    {
        **{"id": number, "trade_id": str(UUID(int=number)), "pattern_key": "p", "action_category": "entry"},
        **{"scope": {"rank": 1}, "rr": 1.0, "pnl_usd": None, "rpnl_pct": None},
        "timestamp": "2026-01-01T00:00:00Z",
    }
    for number in range(1, 41)
]


class EventStore:
    """A project with events, which fails every run that it is told to fail."""

    def settings_row(self, module: str) -> dict[str, Any]:
        return {}

    def begin_run(self, *_: Any) -> dict[str, Any]:
        return {"run_id": 1, "horizon": len(EVENTS), "epoch": 0}

    def read_events(self, *_: Any) -> list[dict[str, Any]]:
        return [pack_events(EVENTS)]

    def fail_run(self, *_: Any) -> None:
        pass


def mine_a_project(tmp_path: Path) -> None:
    learning.mine(cast(Store, EventStore()))


def mine_a_file(tmp_path: Path) -> None:
    events = pd.DataFrame(EVENTS)
    events["scope"] = events["scope"].map(json.dumps)
    events.to_csv(tmp_path / "events.csv")
    CliRunner().invoke(app, ["mine", "--events", str(tmp_path / "events.csv")], catch_exceptions=False)


def mine_a_table(tmp_path: Path) -> None:
    pm_strength.mine_lessons(pd.DataFrame(EVENTS))


each_way = pytest.mark.parametrize("mine", [mine_a_project, mine_a_file, mine_a_table])


@each_way
def test_mining_uses_all_cores(
    mine: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, threads: int = 1, **__: Any) -> None:
        raise KeyError(threads)

    monkeypatch.setattr(machine, "cores", lambda: 7)
    monkeypatch.setattr(pm_strength.mining, "mine_lessons", stop)
    with pytest.raises(KeyError, match="7"):
        mine(tmp_path)


@each_way
def test_mining_ends_where_the_memory_does(
    mine: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "free_bytes", lambda: 1)
    with pytest.raises(LessonLimitError, match="the memory holds"):
        mine(tmp_path)
