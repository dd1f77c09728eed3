"""What `pm-strength resolve` says of a multiplier: the strategy that made it, and the override it used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from typer.testing import CliRunner

from pm_strength.cli import app
from pm_strength.cli.resolve import explain
from pm_strength.runtime.resolution import REASONS
from pm_strength.settings import STRATEGIES

MATCHES = [
    {"id": id, "scope_subset": {"a": 1}, "multiplier": 2.0, "confidence_score": 0.9, "weight": 2.5}
    for id in range(30)
]
# Lighter than all others, and more specific.
MATCHES.append(
    {"id": 30, "scope_subset": {"a": 1, "b": 2}, "multiplier": 0.75, "confidence_score": 0.01, "weight": 0.05}
)


class Answers:
    """A project with these overrides and a strategy."""

    def __init__(self, strategy: str) -> None:
        self._strategy = strategy

    def resolve(
        self,
        key: str,
        category: str,
        scope: dict[str, Any],
        limit: int | None,
        module: str,
        trade_id: str | None = None,
    ) -> dict[str, Any]:
        return {
            **{"multiplier": 0.75, "reason": "matched", "matched": len(MATCHES), "matches": MATCHES[:limit]},
            **{"run_id": None, "as_of": None, "strategy": self._strategy},
        }


def said(monkeypatch: pytest.MonkeyPatch, answers: Answers, action: str = "entry") -> str:
    @contextmanager
    def open_store(*_: object) -> Iterator[Answers]:
        yield answers

    monkeypatch.setattr("pm_strength.cli.resolve.open_store", open_store)
    ended = CliRunner().invoke(app, ["resolve", "--pattern-key", "p", "--action", action])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_every_reason_is_explained_by_every_strategy() -> None:
    for strategy in STRATEGIES:
        assert all(explain(reason, strategy) for reason in REASONS)
    assert len({explain("matched", strategy) for strategy in STRATEGIES}) == len(STRATEGIES)


def test_the_strategy_of_the_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "weighted blend of the overrides" in said(monkeypatch, Answers("blend"))
    assert "most specific of the overrides" in said(monkeypatch, Answers("most_specific"))


def test_the_override_that_was_used_is_shown_first(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = said(monkeypatch, Answers("most_specific")).splitlines()
    title = next(place for place, line in enumerate(lines) if "31 overrides hold here" in line)
    assert "the 20 most specific" in lines[title]
    assert lines[title + 2].split() == ["0.7500", "0.0500", "0.010", "a=1", "b=2"]
    assert "b=2" not in said(monkeypatch, Answers("blend"))


def test_of_trims_and_exits_it_is_told_that_they_are_never_sized(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "never sized" in said(monkeypatch, Answers("blend"), "panic_exit")
    assert "never sized" not in said(monkeypatch, Answers("blend"))
