"""mine_lessons: events in, lessons out, and the rows in which lessons are stored."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ..errors import LessonLimitError
from ..settings import LearningSettings
from .cube import Slices, iceberg_cube
from .decay import STATES, fit_decay
from .edge import TIME_SCORE, compute_edge
from .encode import CodedEvents, CodedGroup, encode_events

_STATS = (
    "n",
    "avg_rr",
    "variance",
    "delta_rr",
    "reliability_score",
    "support_score",
    "magnitude_score",
    "time_score",
    "stability_score",
    "edge_raw",
)
_DECAY = {
    "state": "decay_state",
    "multiplier": "decay_multiplier",
    "half_life_hours": "half_life_hours",
    "doubling_hours": "doubling_hours",
    "slope_per_hour": "slope_per_hour",
    "p_value": "p_value",
}
COLUMNS = ("pattern_key", "action_category", "scope_subset", *_STATS, *_DECAY.values())


def mine_lessons(
    events: pd.DataFrame,
    settings: LearningSettings | None = None,
    *,
    progress: Callable[[float], None] = lambda share: None,
) -> pd.DataFrame:
    """All lessons of the events: contract section 2, every slice with `n_min` distinct trades.

    `events` has a row for each event: pattern_key, action_category, scope (a mapping), trade_id,
    timestamp (time-zone aware, or ISO 8601; UTC where there is no offset) and the outcome: rr in R,
    rpnl_pct in percent or pnl_usd in USD, as `settings.outcome` says.

    The result has a row for each lesson, ordered by group, number of dimensions and scope: the
    columns of `COLUMNS`, NaN where a statistic is undefined. Its attrs are `baseline` (None without
    events), `events` and `trades` (with a finite outcome) and `warning` (text or None).

    Raises ValueError naming a missing column, `LessonLimitError` over `settings.max_lessons`.
    """
    settings = settings if settings is not None else LearningSettings()
    coded = encode_events(events, settings)
    counter = _LessonCount(settings.max_lessons)
    frames = []
    for number, group in enumerate(coded.groups):
        progress(number / len(coded.groups))
        found: list[Slices] = []
        for slices in iceberg_cube(group, settings.n_min, settings.max_dims):
            counter.add(group, slices)
            found.append(slices)
            progress(number / len(coded.groups))
        if found:
            frames.append(_group_frame(group, found, coded, settings))
    lessons = pd.concat(frames, ignore_index=True) if frames else _empty_frame()
    lessons.attrs = {
        "baseline": coded.baseline if coded.events else None,
        "events": coded.events,
        "trades": coded.trades,
        "warning": counter.warning(),
    }
    return lessons


def lesson_rows(lessons: pd.DataFrame, start: int = 0, stop: int | None = None) -> list[dict[str, Any]]:
    """Rows of `learning_lessons` for lessons `start` to `stop`: JSON-compatible, null for NaN."""
    part = lessons.iloc[start:stop]
    columns = {name: part[name].tolist() for name in COLUMNS}
    rows = []
    for index in range(len(part)):
        stats = {name: columns[name][index] for name in _STATS}
        stats["decay_meta"] = {name: _null(columns[column][index]) for name, column in _DECAY.items()}
        rows.append(
            {
                "pattern_key": columns["pattern_key"][index],
                "action_category": columns["action_category"][index],
                "scope_subset": columns["scope_subset"][index],
                "n": stats["n"],
                "stats": stats,
                "decay_halflife_hours": _null(columns["half_life_hours"][index]),
            }
        )
    return rows


def _group_frame(
    group: CodedGroup, found: list[Slices], coded: CodedEvents, settings: LearningSettings
) -> pd.DataFrame:
    # depth first to fewest dimensions first; within a combination slices are in order of their values
    found.sort(key=lambda slices: (len(slices.dimensions), slices.dimensions))
    n = np.concatenate([slices.n for slices in found])
    avg_rr = np.concatenate([slices.mean_y for slices in found])
    yy = np.concatenate([slices.yy for slices in found])
    tt = np.concatenate([slices.tt for slices in found])
    ty = np.concatenate([slices.ty for slices in found])
    edge = compute_edge(n, avg_rr, yy, coded.baseline, settings.var_prior)
    decay = fit_decay(n, yy, tt, ty, edge.delta_rr)
    return pd.DataFrame(
        {
            "pattern_key": group.pattern_key,
            "action_category": group.action_category,
            "scope_subset": _scope_subsets(group, found),
            "n": n,
            "avg_rr": avg_rr,
            "variance": edge.variance,
            "delta_rr": edge.delta_rr,
            "reliability_score": edge.reliability_score,
            "support_score": edge.support_score,
            "magnitude_score": edge.magnitude_score,
            "time_score": TIME_SCORE,
            "stability_score": edge.stability_score,
            "edge_raw": edge.edge_raw(decay.multiplier),
            "decay_state": np.array(STATES, dtype=object)[decay.state],
            "decay_multiplier": decay.multiplier,
            "half_life_hours": decay.half_life_hours,
            "doubling_hours": decay.doubling_hours,
            "slope_per_hour": decay.slope_per_hour,
            "p_value": decay.p_value,
        }
    )


def _scope_subsets(group: CodedGroup, found: list[Slices]) -> list[dict[str, Any]]:
    subsets: list[dict[str, Any]] = []
    for slices in found:
        named = [(group.dimensions[d], group.values[d]) for d in slices.dimensions]
        for codes in group.codes[slices.row][:, list(slices.dimensions)].tolist():
            subsets.append({name: values[code] for (name, values), code in zip(named, codes, strict=True)})
    return subsets


def _empty_frame() -> pd.DataFrame:
    text = ("pattern_key", "action_category", "scope_subset", "decay_state")
    return pd.DataFrame(
        {
            name: np.array([], dtype=object if name in text else np.int64 if name == "n" else np.float64)
            for name in COLUMNS
        }
    )


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


class _LessonCount:
    """Counts lessons while they are found, so that a run over the limit stops before memory does."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._by_dimension: Counter[str] = Counter()

    def add(self, group: CodedGroup, slices: Slices) -> None:
        self._count += len(slices.n)
        for dimension in slices.dimensions:
            self._by_dimension[group.dimensions[dimension]] += len(slices.n)
        if self._count > self._limit:
            raise LessonLimitError(f"More than {self._limit:,} lessons (max_lessons). {self._levers()}")

    def warning(self) -> str | None:
        if self._count * 2 < self._limit:
            return None
        return f"{self._count:,} lessons, of at most {self._limit:,} (max_lessons). {self._levers()}"

    def _levers(self) -> str:
        most = ", ".join(f"{name} ({count:,})" for name, count in self._by_dimension.most_common(3))
        return "Raise n_min, lower max_dims, list fewer scope_dims, or raise max_lessons." + (
            f" Dimensions in most lessons: {most}." if most else ""
        )
