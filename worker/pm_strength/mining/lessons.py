"""mine_lessons: events in, lessons out, and the rows in which lessons are stored."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..errors import LessonLimitError
from ..settings import LearningSettings
from .cube import Slices, iceberg_cube
from .decay import STATES, fit_decay
from .edge import TIME_SCORE, compute_edge
from .encode import MISSING, CodedEvents, CodedGroup, encode_events
from .scope_array import ScopeArray

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
    threads: int | None = None,
) -> pd.DataFrame:
    """All lessons of the events: contract section 2, every slice with `n_min` distinct trades.

    `events` has a row for each event: pattern_key, action_category, scope (a mapping), trade_id,
    timestamp (time-zone aware, or ISO 8601; UTC where there is no offset) and the outcome: rr in R,
    rpnl_pct in percent or pnl_usd in USD, as `settings.outcome` says.

    The result has a row for each lesson, in an order that depends on the values alone: the columns
    of `COLUMNS`, NaN where a statistic is undefined. Scopes are held as codes; a dict is made where
    a row is looked at. `threads` is how many share the work (all cores without it); `progress` is
    told the share that is done some 20 times a second, and may raise to end the run. The attrs are
    `baseline` (None without events), `events` and `trades` (with a finite outcome) and `warning`
    (text or None).

    Raises ValueError naming a missing column, `LessonLimitError` over `settings.max_lessons`.
    """
    settings = settings if settings is not None else LearningSettings()
    threads = threads if threads is not None else os.cpu_count() or 1
    progress(0.0)
    coded = encode_events(events, settings)
    cube = iceberg_cube(
        coded.groups,
        settings.n_min,
        settings.max_dims,
        most=settings.max_lessons,
        threads=threads,
        watch=progress,
    )
    count = sum(len(slices.n) for slices in cube)
    if count > settings.max_lessons:
        limit = f"More than {settings.max_lessons:,} lessons (max_lessons)."
        raise LessonLimitError(f"{limit} {_levers(cube, coded.groups)}")
    lessons = _frame(coded, cube, settings)
    lessons.attrs = {
        "baseline": coded.baseline if coded.events else None,
        "events": coded.events,
        "trades": coded.trades,
        "warning": _warning(count, settings.max_lessons, cube, coded.groups),
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


def _frame(coded: CodedEvents, cube: Sequence[Slices], settings: LearningSettings) -> pd.DataFrame:
    groups = [(group, slices) for group, slices in zip(coded.groups, cube, strict=True) if len(slices.n)]
    lengths = [len(slices.n) for _, slices in groups]

    def joined(name: str, dtype: type) -> Any:
        return np.concatenate([getattr(slices, name) for _, slices in groups] or [np.empty(0, dtype)])

    n, avg_rr = joined("n", np.int64), joined("mean_y", np.float64)
    edge = compute_edge(n, avg_rr, joined("yy", np.float64), coded.baseline, settings.var_prior)
    yy, tt, ty = (joined(name, np.float64) for name in ("yy", "tt", "ty"))
    decay = fit_decay(n, yy, tt, ty, edge.delta_rr)
    scopes = [
        ScopeArray.of_group(
            [group.dimensions[d] for d in slices.dimensions],
            [group.values[d] for d in slices.dimensions],
            slices.codes,
        )
        for group, slices in groups
    ]
    return pd.DataFrame(
        {
            "pattern_key": _labels([group.pattern_key for group, _ in groups], lengths),
            "action_category": _labels([group.action_category for group, _ in groups], lengths),
            "scope_subset": ScopeArray._concat_same_type(scopes) if scopes else np.empty(0, dtype=object),
            "n": n,
            "avg_rr": avg_rr,
            "variance": edge.variance,
            "delta_rr": edge.delta_rr,
            "reliability_score": edge.reliability_score,
            "support_score": edge.support_score,
            "magnitude_score": edge.magnitude_score,
            "time_score": np.full(len(n), TIME_SCORE),
            "stability_score": edge.stability_score,
            "edge_raw": edge.edge_raw(decay.multiplier),
            "decay_state": _category(decay.state, STATES),
            "decay_multiplier": decay.multiplier,
            "half_life_hours": decay.half_life_hours,
            "doubling_hours": decay.doubling_hours,
            "slope_per_hour": decay.slope_per_hour,
            "p_value": decay.p_value,
        },
        copy=False,
    )


def _category(codes: Any, categories: Sequence[str]) -> Any:
    categorical: Any = pd.Categorical
    return categorical.from_codes(codes, categories=list(categories))


def _labels(names: Sequence[str], lengths: Sequence[int]) -> Any:
    categories, codes = np.unique(np.array(names, dtype=object), return_inverse=True)
    return _category(np.repeat(codes, lengths), categories.tolist())


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _warning(count: int, most: int, cube: Sequence[Slices], groups: Sequence[CodedGroup]) -> str | None:
    """What to say from half of the limit on."""
    if count * 2 < most:
        return None
    return f"{count:,} lessons, of at most {most:,} (max_lessons). {_levers(cube, groups)}"


def _levers(cube: Sequence[Slices], groups: Sequence[CodedGroup]) -> str:
    counts: Counter[str] = Counter()
    for group, slices in zip(groups, cube, strict=True):
        held = (slices.codes != MISSING).sum(axis=0).tolist()
        counts.update(dict(zip((group.dimensions[d] for d in slices.dimensions), held, strict=True)))
    most = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(3))
    return "Raise n_min, lower max_dims, list fewer scope_dims, or raise max_lessons." + (
        f" Dimensions in most lessons: {most}." if most else ""
    )
