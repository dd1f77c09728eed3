"""mine_lessons: events in, lessons out, and the rows in which lessons are stored."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..errors import LessonLimitError
from ..settings import LearningSettings
from .arrays import MISSING, NO_CODES, FloatArray
from .cube.iceberg import Slices, iceberg_cube
from .decay import STATES, fit_decay
from .edge import TIME_SCORE, compute_edge
from .encode import CodedEvents, encode_events
from .evidence.columns import EVIDENCE, GUARDED, evidence_columns
from .evidence.drift import read_claims
from .evidence.weigh import GroupEvidence, across_groups, weigh
from .memory import slice_bytes
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
    "p_value": "slope_p_value",
}
LEVERS = "Raise n_min, lower max_dims, list fewer scope_dims, or raise max_lessons."
COLUMNS = ("pattern_key", "action_category", "scope_subset", *_STATS, *_DECAY.values(), *EVIDENCE)


def mine_lessons(
    events: pd.DataFrame,
    settings: LearningSettings | None = None,
    *,
    progress: Callable[[float], None] = lambda share: None,
    threads: int = 1,
    memory: Callable[[], int] | None = None,
    published: Iterable[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """All lessons of the events: contract section 2, every slice with `n_min` distinct trades.

    `events` has a row for each event: pattern_key, action_category, scope (a mapping), trade_id,
    timestamp (time-zone aware, or ISO 8601; UTC where there is no offset) and the outcome: rr in R,
    rpnl_pct in percent or pnl_usd in USD, as `settings.outcome` says.

    The result has a row for each lesson, in an order that depends on the values alone: the columns
    of `COLUMNS`, NaN where a statistic is undefined. Scopes are held as codes; a dict is made where
    a row is looked at. `threads` is how many share the work. `progress` is told the share that is
    done some 20 times a second, and may raise to end the run. `memory` is asked once, when the events
    are read, how many bytes the result may take on its way; without it there is no such limit.
    `published` are the overrides that are live: the guarded profile holds them to what they claimed. The
    attrs are `baseline` (None without events), `events` and `trades` (with a finite outcome) and
    `warning` (text or None).

    Raises `EventsError` naming a column that is missing or holds something else, and `LessonLimitError`
    over `settings.max_lessons` or over the memory, as soon as so many are found.
    """
    settings = settings if settings is not None else LearningSettings()
    progress(0.0)
    coded = encode_events(events, settings)
    limit = settings.max_lessons
    if memory is not None:
        limit = min(limit, memory() // slice_bytes(coded.groups))
    cube = find_slices(coded, settings, limit, threads, progress)
    weighed = weigh(
        *(coded, cube, settings, read_claims(published), across_groups(coded.groups, settings)),
        *(threads, lambda: progress(1.0)),
    )
    lessons = lesson_frame(coded, cube, settings, weighed)
    lessons.attrs = {
        "baseline": coded.baseline if coded.events else None,
        "events": coded.events,
        "trades": coded.trades,
        "warning": _warning(len(lessons), coded, cube, settings),
    }
    return lessons


def find_slices(
    coded: CodedEvents,
    settings: LearningSettings,
    limit: int,
    threads: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Slices]:
    """The slices of each group that are lessons. Raises `LessonLimitError` if they are more than `limit`."""
    cube = iceberg_cube(
        coded.groups,
        settings.least_trades,
        settings.max_dims,
        max_slices=limit,
        threads=threads,
        watch=progress,
    )
    if sum(len(slices.n) for slices in cube) > limit:
        why = " (max_lessons)." if limit == settings.max_lessons else ", which is what the memory holds."
        raise LessonLimitError(f"More than {limit:,} lessons{why} {_levers(coded, cube, settings, limit)}")
    return cube


def lesson_rows(lessons: pd.DataFrame, start: int = 0, stop: int | None = None) -> list[dict[str, Any]]:
    """Rows of `learning_lessons` for lessons `start` to `stop`: JSON-compatible, null where undefined."""
    part = lessons.iloc[start:stop]
    texts = zip(part["pattern_key"], part["action_category"], part["scope_subset"], strict=True)
    all_stats = lesson_stats(part, (*_STATS, *EVIDENCE, *GUARDED))
    decays = lesson_stats(part, _DECAY.values())
    rows = []
    for (pattern_key, action_category, scope), stats, decay in zip(texts, all_stats, decays, strict=True):
        stats["decay_meta"] = {name: decay[column] for name, column in _DECAY.items()}
        rows.append(
            {
                "pattern_key": pattern_key,
                "action_category": action_category,
                "scope_subset": scope,
                "n": stats["n"],
                "stats": stats,
                "decay_halflife_hours": decay["half_life_hours"],
            }
        )
    return rows


def lesson_stats(part: pd.DataFrame, names: Iterable[str]) -> list[dict[str, Any]]:
    """Of each lesson the statistics of some names, as far as the frame has them; null where undefined."""
    columns = {name: _finite(part[name]) for name in names if name in part.columns}
    if not columns:
        return [{} for _ in range(len(part))]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def lesson_frame(
    coded: CodedEvents,
    cube: Sequence[Slices],
    settings: LearningSettings,
    weighed: Sequence[GroupEvidence | None],
    category_scores: Mapping[str, FloatArray] | None = None,
) -> pd.DataFrame:
    """The slices of all groups with their evidence, as the columns of `COLUMNS`."""
    evidence = [found for found in weighed if found is not None]
    groups = [(group, slices) for group, slices in zip(coded.groups, cube, strict=True) if len(slices.n)]
    lengths = [len(slices.n) for _, slices in groups]

    def joined(name: str, dtype: type) -> Any:
        return np.concatenate([getattr(slices, name) for _, slices in groups] or [np.empty(0, dtype)])

    n, avg_rr = joined("n", np.int64), joined("mean_y", np.float64)
    edge = compute_edge(n, avg_rr, joined("yy", np.float64), coded.baseline, settings.var_prior)
    sums = [joined(name, np.float64) for name in ("yy", "tt", "ty")]
    decay = fit_decay(n, sums[0], sums[1], sums[2], edge.delta_rr)
    sums.clear()
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
            "scope_subset": ScopeArray._concat_same_type(scopes or [ScopeArray.of_group([], [], NO_CODES)]),
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
            "slope_p_value": decay.p_value,
            **evidence_columns(evidence, scopes, settings, category_scores),
        },
        copy=False,
    )


def _category(codes: Any, categories: Sequence[str]) -> Any:
    categorical: Any = pd.Categorical
    return categorical.from_codes(codes, categories=list(categories))


def _labels(names: Sequence[str], lengths: Sequence[int]) -> Any:
    categories, codes = np.unique(np.array(names, dtype=object), return_inverse=True)
    return _category(np.repeat(codes, lengths), categories.tolist())


def _finite(values: Any) -> list[Any]:
    """A column for JSON: null for NaN, and for what is beyond all doubles."""
    column: list[Any] = values.tolist()
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return [value if math.isfinite(value) else None for value in column]
    return column


def _warning(
    count: int, coded: CodedEvents, cube: Sequence[Slices], settings: LearningSettings
) -> str | None:
    """What to say from half of the limit on."""
    limit = settings.max_lessons
    if count * 2 < limit:
        return None
    return f"{count:,} lessons, of at most {limit:,} (max_lessons). {_levers(coded, cube, settings, limit)}"


def _levers(coded: CodedEvents, cube: Sequence[Slices], settings: LearningSettings, limit: int) -> str:
    """What brings the number down, and the dimensions that are in most lessons."""
    text = LEVERS
    which = "Dimensions in most lessons"
    if sum(len(slices.n) for slices in cube) > limit:
        # a walk that was ended saw the first dimensions alone: count the pairs, which are few
        pairs = iceberg_cube(
            coded.groups, settings.least_trades, min(settings.max_dims or 2, 2), max_slices=limit
        )
        if sum(len(slices.n) for slices in pairs) <= limit:
            cube, which = pairs, "Dimensions in most lessons of at most two"
    counts: Counter[str] = Counter()
    for group, slices in zip(coded.groups, cube, strict=True):
        held = (slices.codes != MISSING).sum(axis=0).tolist()
        counts.update(dict(zip((group.dimensions[d] for d in slices.dimensions), held, strict=True)))
    names = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(3))
    return f"{text} {which}: {names}." if names else text
