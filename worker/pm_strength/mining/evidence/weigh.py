"""The evidence for each lesson of a run, and what the guarded profile makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...scopes import ScopeKey
from ...settings import LearningSettings
from ..arrays import MISSING, FloatArray
from ..cube.iceberg import POLL_SECONDS, Slices
from ..encode import CodedEvents, CodedGroup
from .drift import Claim, GroupKey
from .groups import GroupEffect, group_effects
from .guarded import Fit, fit_group
from .shared_time import shared_variance
from .statistics import slice_statistics
from .trades import distinct_trades
from .weighed import Weighed, weigh_group

SIZED = ("entry", "add")


@dataclass(frozen=True, slots=True)
class GroupEvidence:
    """What is known of a group's slices, in the cube's order; `fit` only where the group is sized.

    `columns` are those of `statistics.slice_statistics`. `scores` are the sums of `scores.score_columns` over
    its `trades`; none where nothing is known.
    """

    category: str
    columns: dict[str, FloatArray]
    scores: FloatArray
    trades: int
    fit: Fit | None


@dataclass(frozen=True, slots=True)
class Across:
    """What the evidence for a group takes from all groups: it needs no dimension of theirs.

    `rho` is `shared_time.shared_variance` of all trades; `effects` are of each group within its category.
    """

    rho: FloatArray
    effects: Sequence[GroupEffect]


def across_groups(groups: Sequence[CodedGroup], settings: LearningSettings) -> Across:
    """What the trades of all groups say; a row a trade of a group will do."""
    rho = shared_variance(distinct_trades(groups))
    return Across(rho, group_effects(groups, rho, settings))


def weigh(
    coded: CodedEvents,
    cube: Sequence[Slices],
    settings: LearningSettings,
    claims: Mapping[GroupKey, Mapping[ScopeKey, Claim]],
    across: Across,
    threads: int = 1,
    watch: Callable[[], None] = lambda: None,
) -> list[GroupEvidence | None]:
    """The evidence for each group's slices; None for a group without any.

    `claims` are those of the overrides that are live, by group and scope. `watch` is called some 20 times a
    second, and may raise to end the work.
    """
    stop = np.zeros(1, np.int64)
    rho, effects = across.rho, across.effects

    def one(number: int) -> GroupEvidence | None:
        group, slices = coded.groups[number], cube[number]
        if not len(slices.n):
            return None
        weighed = weigh_group(group, slices, rho, settings, stop)
        fit = None
        if settings.profile == "guarded" and group.action_category in SIZED:
            key = group.pattern_key, group.action_category
            scope_of = partial(_scope_of, group, slices, weighed)
            fit = fit_group(weighed, effects[number], settings, claims.get(key, {}), scope_of)
        columns = slice_statistics(weighed, slices, effects[number], settings)
        return GroupEvidence(group.action_category, columns, weighed.more[0], len(weighed.trades), fit)

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(one, number) for number in range(len(cube))]
        try:
            pending: Any = set(futures)
            while pending:
                pending = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_EXCEPTION).not_done
                watch()
                if any(future.done() and future.exception() is not None for future in futures):
                    break
        except BaseException:
            # the compiled walks end at once, those that wait never begin
            stop[0] = 1
            for future in futures:
                future.cancel()
            raise
        return [future.result() for future in futures]


def _scope_of(group: CodedGroup, slices: Slices, weighed: Weighed, number: int) -> dict[str, Any]:
    """The scope of a slice of the lattice."""
    codes = slices.codes[weighed.place[number]].tolist()
    return {
        group.dimensions[d]: group.values[d][code]
        for d, code in zip(slices.dimensions, codes, strict=True)
        if code != MISSING
    }
