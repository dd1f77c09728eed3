"""evaluate: candidates on a project's own trades, walk-forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from ..errors import EventsError, SettingsError
from ..settings import LearningSettings
from .actions import SIZED, US_PER_DAY, Actions, FloatArray, IntArray, read_actions
from .candidates import Candidate, checked_candidates, default_candidates
from .measures import Bin, Curve, calibration, equal_exposure, profit_curve
from .uplift import classes_of, resampled, shuffled, time_blocks, uplift
from .verdict import verdict
from .walk_forward import Learned, Progress, Walked, walk_forward

MAX_STEPS = 200
RESAMPLED, SHUFFLED = 2000, 200
# The interval holds with this probability; with more candidates each gets a wider one.
LEVEL = 0.95
# About so many blocks of time, each no shorter than trades are held.
BLOCKS = 40
SHOWN_OVERRIDES = 12


@dataclass(frozen=True, slots=True)
class Placebo:
    """The same multipliers, shuffled: the mean uplift and its 5 and 95 % quantiles."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a candidate was worth on actions that it had not learned from.

    `uplift` is in the unit of the outcome per action, at equal exposure, `low` and `high` its interval.
    `shuffled` gives the multipliers of a category and step to others of them (0 on average: chance),
    `shuffled_within_day` to others of the same group, step and day (what is left of it is timing, the rest
    skill in context). `spread` is the mean abs(m - 1); `overrides` are the strongest of the last step.
    """

    name: str
    verdict: str
    why: str
    uplift: float
    low: float
    high: float
    by_category: dict[str, float]
    by_step: list[float]
    shuffled: Placebo
    shuffled_within_day: Placebo
    mean: float
    spread: float
    deviation: float
    turnover: float | None
    calibration: list[Bin]
    curve: Curve
    override_count: int
    overrides: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The report: what was evaluated, and the result of each candidate.

    `plain` is the curve of all sizes unchanged. `without_time` actions could not be placed in time.
    `differences` has for each pair of candidates the difference of their uplifts and its interval.
    """

    outcome: str
    actions: int
    trades: int
    without_time: int
    steps: list[dict[str, Any]]
    blocks: int
    block_days: float
    level: float
    settings_tried: int
    plain: Curve
    results: list[Result]
    differences: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-compatible values."""
        return asdict(self)


def evaluate(
    events: pd.DataFrame,
    candidates: Sequence[Candidate] | None = None,
    *,
    steps: int = 6,
    embargo_hours: float = 0.0,
    window_days: float | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: Progress = lambda what, share: None,
) -> Evaluation:
    """Learn from the trades that had closed before each of `steps` times, and size what came next.

    `events` is a frame as `mine_lessons` takes it, with `action_at`: when each action was taken. Only
    entries and adds are sized. The result depends on the events and the seed alone. Raises `EventsError`
    where a column is missing or too few actions have a time, `SettingsError` for an argument out of range.
    """
    chosen = checked_candidates(default_candidates() if candidates is None else candidates)
    for name, value, good in (
        ("steps", steps, isinstance(steps, int) and 1 <= steps <= MAX_STEPS),
        ("embargo_hours", embargo_hours, 0 <= embargo_hours <= 1e6),
        ("window_days", window_days, window_days is None or 0 < window_days <= 1e6),
    ):
        if not good:
            expected = {"steps": f"an integer from 1 to {MAX_STEPS}"}.get(name, "a number from 0 to 1000000")
            raise SettingsError(name, expected, value)
    outcome = chosen[0].settings.outcome
    actions = read_actions(events, outcome)
    if len(actions) <= steps:
        why = f"{actions.without_time:,} have no time before their close" if actions.without_time else "few"
        raise EventsError(
            f"events: expected more than {steps} entries and adds with an outcome and action_at, "
            f"got {len(actions)} ({why}): give action_at, or fewer steps."
        )
    walked = walk_forward(
        events,
        actions,
        chosen,
        steps=steps,
        embargo_hours=embargo_hours,
        window_days=window_days,
        threads=threads,
        progress=progress,
    )
    return _report(events, actions, chosen, walked, outcome, seed)


def evaluate_given(
    events: pd.DataFrame,
    rows: IntArray,
    given: Mapping[str, FloatArray],
    *,
    outcome: str = "rr",
    seed: int = 0,
) -> Evaluation:
    """What multipliers that were given at the time were worth: `rows` of the events, by candidate.

    For what a live and a shadow profile said of the same actions. Raises `EventsError` where there are none.
    """
    actions = read_actions(events, outcome)
    place = {int(row): at for at, row in enumerate(actions.row)}
    known = [at for at, row in enumerate(rows.tolist()) if row in place]
    if not known:
        raise EventsError("events: expected entries and adds whose multipliers are known, got none.")
    applied = np.array([place[int(rows[at])] for at in known], np.int64)
    order = np.argsort(applied, kind="stable")
    multiplier = np.stack([values[known][order] for values in given.values()])
    applied = applied[order]
    step = np.zeros(len(applied), np.int64)
    walked = Walked(
        applied, step, actions.taken[applied][:1], multiplier, np.full((len(given), 1), np.nan), [0], []
    )
    settings = LearningSettings(outcome=outcome)
    return _report(events, actions, [Candidate(name, settings) for name in given], walked, outcome, seed)


def _report(
    events: pd.DataFrame,
    actions: Actions,
    candidates: Sequence[Candidate],
    walked: Walked,
    outcome: str,
    seed: int,
) -> Evaluation:
    place = walked.applied
    taken, closed, y = actions.taken[place], actions.closed[place], actions.y[place]
    category, group = actions.category[place], actions.group[place]
    days = block_days(taken, closed)
    block = time_blocks(taken, days)
    blocks = int(block.max()) + 1
    drawn = resampled(walked.multiplier, y, category, block, RESAMPLED, seed)
    # each candidate's interval is wider the more there are, so that the best of many is not luck (Bonferroni)
    tail = (1.0 - LEVEL) / 2 / len(candidates)
    by_step = classes_of(category, walked.step)
    by_day = classes_of(group, walked.step, taken // US_PER_DAY)
    results = []
    for at, candidate in enumerate(candidates):
        m = walked.multiplier[at]
        gain = uplift(m, y, category)
        low, high = _bounds(drawn[:, at], tail)
        mixed = shuffled(m, y, category, by_step, SHUFFLED, seed + 1)
        spread = float(np.abs(m - 1.0).mean())
        chance_low, chance_high = _bounds(mixed, 0.05)
        word, why = verdict(low, high, gain, chance_high, chance_low, blocks, spread)
        # multipliers that were given were not learned here
        learned = walked.last[at] if walked.last else None
        changes = walked.turnover[at][np.isfinite(walked.turnover[at])]
        results.append(
            Result(
                name=candidate.name,
                verdict=word,
                why=why,
                uplift=gain,
                low=low,
                high=high,
                by_category=_by_category(m, y, category),
                by_step=[
                    uplift(m[here], y[here], category[here])
                    for here in (walked.step == number for number in range(len(walked.begins)))
                ],
                shuffled=_placebo(mixed),
                shuffled_within_day=_placebo(shuffled(m, y, category, by_day, SHUFFLED, seed + 2)),
                mean=float(m.mean()),
                spread=spread,
                deviation=float(m.std()),
                turnover=float(changes.mean()) if len(changes) else None,
                calibration=calibration(m, y, category),
                curve=profit_curve(equal_exposure(m, category) * y, closed),
                override_count=len(learned.overrides) if learned is not None else 0,
                overrides=_strongest(learned) if learned is not None else [],
            )
        )
    return Evaluation(
        outcome=outcome,
        actions=len(place),
        trades=int(events["trade_id"].iloc[actions.row[place]].nunique()),
        without_time=actions.without_time,
        steps=[
            {
                "begins": datetime.fromtimestamp(begin / 1e6, UTC).isoformat(),
                "learned_from": trades,
                "actions": int((walked.step == number).sum()),
            }
            for number, (begin, trades) in enumerate(zip(walked.begins.tolist(), walked.trades, strict=True))
        ],
        blocks=blocks,
        block_days=days,
        level=1.0 - 2 * tail,
        settings_tried=len(candidates),
        plain=profit_curve(y, closed),
        results=results,
        differences=[
            {
                "candidate": candidates[one].name,
                "against": candidates[other].name,
                "difference": results[one].uplift - results[other].uplift,
                **dict(zip(("low", "high"), _bounds(drawn[:, one] - drawn[:, other], tail), strict=True)),
            }
            for one in range(len(candidates))
            for other in range(one)
        ],
    )


def block_days(taken: IntArray, closed: IntArray) -> float:
    """The length of a block: no shorter than 95 % of the trades are held, nor than a day."""
    held = float(np.quantile(closed - taken, 0.95)) / US_PER_DAY
    return max(1.0, held, float(taken.max() - taken.min()) / US_PER_DAY / BLOCKS)


def _bounds(values: FloatArray, tail: float) -> tuple[float, float]:
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def _placebo(values: FloatArray) -> Placebo:
    return Placebo(float(values.mean()), *_bounds(values, 0.05))


def _by_category(m: FloatArray, y: FloatArray, category: IntArray) -> dict[str, float]:
    return {
        name: uplift(m[category == value], y[category == value], category[category == value])
        for value, name in enumerate(SIZED)
        if (category == value).any()
    }


def _strongest(learned: Learned) -> list[dict[str, Any]]:
    """The overrides of sized actions that move a size most, each with its evidence where there is some."""
    overrides = learned.overrides[learned.overrides["action_category"].isin(SIZED)]
    order = (overrides["multiplier"] - 1.0).abs().sort_values(ascending=False, kind="stable").index
    names = ("pattern_key", "action_category", "scope_subset", "multiplier", "confidence_score", "stats")
    return [
        {name: row[name] for name in names if name in row}
        for row in overrides.loc[order[:SHOWN_OVERRIDES]].to_dict("records")
    ]
