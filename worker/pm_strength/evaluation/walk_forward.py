"""Walk-forward: learn from the trades that had closed, size the actions that came next, again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..mining import mine_lessons
from ..overrides.materialize import materialize_overrides
from ..runtime.book import OverrideBook
from ..settings import LearningSettings
from .actions import US_PER_DAY, Actions, FloatArray, IntArray, close_times
from .candidates import Candidate

# Called with what is done and the share that is done, 0 to 1; may raise to end the evaluation.
Progress = Callable[[str, float], None]

US_PER_HOUR = 3_600_000_000
# Turnover is told by so many actions a step.
TURNOVER_ACTIONS = 300


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned from some events: how many overrides, the book, and the strongest of them."""

    book: OverrideBook
    overrides: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Walked:
    """Multipliers of the applied actions: `multiplier` is candidates x actions.

    `applied` are the places of the applied actions, `step` is the step of each (from 0) and `begins` when
    each step begins, in microseconds since 1970. `turnover` (candidates x steps) is the mean absolute change
    of the multiplier of the same actions from the book before, NaN for the first step. `trades` is how many
    closed trades each step learned from; `last` is what each candidate learned last.
    """

    applied: IntArray
    step: IntArray
    begins: IntArray
    multiplier: FloatArray
    turnover: FloatArray
    trades: list[int]
    last: list[Learned]


def learn(events: pd.DataFrame, settings: LearningSettings, threads: int) -> Learned:
    """Overrides of the events by the same road as a run's, as a book."""
    overrides = materialize_overrides(mine_lessons(events, settings, threads=threads), settings)
    rows = (
        {"id": number, **{str(name): value for name, value in row.items()}}
        for number, row in enumerate(overrides.to_dict("records"), start=1)
    )
    return Learned(OverrideBook(rows, settings), overrides)


def step_begins(actions: Actions, steps: int) -> IntArray:
    """When each step begins: equal shares of the actions, after a first one to learn from alone."""
    at = (np.arange(1, steps + 1) * len(actions)) // (steps + 1)
    return np.unique(actions.taken[at])


def walk_forward(
    events: pd.DataFrame,
    actions: Actions,
    candidates: Sequence[Candidate],
    *,
    steps: int,
    embargo_hours: float,
    window_days: float | None,
    threads: int,
    progress: Progress,
) -> Walked:
    """Size the actions of each step by what trades that had closed before it teach.

    A trade that closed less than `embargo_hours` before a step is not learned from, nor is one that closed
    more than `window_days` before it.
    """
    begins = step_begins(actions, steps)
    closed = close_times(events)
    applied = np.flatnonzero(actions.taken >= begins[0])
    step = np.searchsorted(begins, actions.taken[applied], side="right") - 1
    asked = _asked(events, actions.row[applied])
    multiplier = np.ones((len(candidates), len(applied)))
    turnover = np.full((len(candidates), len(begins)), np.nan)
    books: list[Learned | None] = [None] * len(candidates)
    trades: list[int] = []
    done, total = 0, len(begins) * len(candidates)
    for number, begin in enumerate(begins.tolist()):
        known = closed < begin - round(embargo_hours * US_PER_HOUR)
        if window_days is not None:
            known &= closed >= begin - round(window_days * US_PER_DAY)
        past = events[known]
        trades.append(int(past["trade_id"].nunique()))
        here = np.flatnonzero(step == number)
        for at, candidate in enumerate(candidates):
            progress(candidate.name, done / total)
            done += 1
            learned = learn(past, candidate.settings, threads)
            multiplier[at, here] = [_resolve(learned, asked[place]) for place in here]
            before = books[at]
            if before is not None and len(here):
                some = here[:: max(1, len(here) // TURNOVER_ACTIONS)]
                old = np.array([_resolve(before, asked[place]) for place in some])
                turnover[at, number] = float(np.abs(multiplier[at, some] - old).mean())
            books[at] = learned
    progress("measuring", 1.0)
    return Walked(applied, step, begins, multiplier, turnover, trades, [book for book in books if book])


def _asked(events: pd.DataFrame, rows: IntArray) -> list[tuple[Any, ...]]:
    chosen = events.iloc[rows]
    return list(zip(chosen["pattern_key"], chosen["action_category"], chosen["scope"], strict=True))


def _resolve(learned: Learned, asked: tuple[Any, ...]) -> float:
    return learned.book.resolve(*asked).multiplier
