"""The evidence for each lesson of a run, and what the guarded profile makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ...settings import LearningSettings
from ..cube.iceberg import Slices
from ..encode import CodedEvents
from .groups import GroupEffect, group_effects
from .guarded import Fit, fit_group
from .shared_time import shared_variance
from .trades import distinct_trades
from .weighed import Weighed, weigh_group

SIZED = ("entry", "add")


@dataclass(frozen=True, slots=True)
class GroupEvidence:
    """What is known of a group's slices, in the cube's order; `fit` only where the group is sized."""

    category: str
    weighed: Weighed
    fit: Fit | None
    effect: GroupEffect


def weigh(
    coded: CodedEvents, cube: Sequence[Slices], settings: LearningSettings, threads: int = 1
) -> list[GroupEvidence | None]:
    """The evidence for each group's slices; None for a group without any."""
    rho = shared_variance(distinct_trades(coded.groups))
    effects = group_effects(coded.groups, rho, settings)

    def one(number: int) -> GroupEvidence | None:
        group, slices = coded.groups[number], cube[number]
        if not len(slices.n):
            return None
        weighed = weigh_group(group, slices, rho, settings)
        fit = None
        if settings.profile == "guarded" and group.action_category in SIZED:
            fit = fit_group(weighed, effects[number], settings)
        return GroupEvidence(group.action_category, weighed, fit, effects[number])

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(len(cube))))
