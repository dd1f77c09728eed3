"""What each piece must know of all events, from their survey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...scopes import ScopeKey
from ...settings import LearningSettings
from ..arrays import FloatArray
from ..encode import CodedGroup, code_group
from ..evidence.columns import mean_scores
from ..evidence.drift import Claim
from ..evidence.groups import GroupEffect
from ..evidence.scores import score_columns, total_scores
from ..evidence.trades import group_trades
from ..evidence.weigh import across_groups
from .exact_sum import mean_of
from .rows import GroupKey
from .survey import Survey


@dataclass(frozen=True, slots=True)
class Known:
    """The baseline, when each group begins, and what the evidence takes from all groups.

    `claims` are those of the overrides that are live, for the guarded profile.
    """

    baseline: float
    begins: Mapping[GroupKey, int]
    rho: FloatArray
    effects: Mapping[GroupKey, GroupEffect]
    category_scores: Mapping[str, FloatArray]
    claims: Mapping[GroupKey, Mapping[ScopeKey, Claim]]


def known_of(
    survey: Survey,
    settings: LearningSettings,
    claims: Mapping[GroupKey, Mapping[ScopeKey, Claim]],
) -> Known:
    """What the survey of all rows tells."""
    groups = trade_groups(survey)
    across = across_groups(groups, settings)
    keys = [(group.pattern_key, group.action_category) for group in groups]
    totals = []
    for group in groups:
        trades = group_trades(group)
        if len(trades) >= settings.least_trades:
            scores = score_columns(group, trades.first)
            totals.append((group.action_category, total_scores(scores), len(trades)))
    return Known(
        baseline=mean_of(survey.total, survey.events),
        begins=survey.begins,
        rho=across.rho,
        effects=dict(zip(keys, across.effects, strict=True)),
        category_scores=mean_scores(totals),
        claims=claims,
    )


def trade_groups(survey: Survey) -> list[CodedGroup]:
    """The groups with a row a trade and no dimensions."""
    trades = survey.trades
    # the rows are in their order, so trades are numbered as they come up
    number = pd.factorize(trades["trade_id"])[0].astype(np.int64)
    groups: Any = trades.groupby(["pattern_key", "action_category"], sort=True).indices
    found = []
    for key, index in sorted(groups.items()):
        at = np.sort(np.asarray(index, np.int64))
        of_group = trades.iloc[at]
        found.append(
            code_group(
                key,
                ((), (), np.empty((len(at), 0), np.int16)),
                trade=number[at],
                y=of_group["outcome"].to_numpy(),
                ended=of_group["timestamp"].to_numpy(),
                trimmed=of_group["trimmed"].to_numpy(),
                reached_s3=of_group["reached_s3"].to_numpy(),
                begin=survey.begins[key],
            )
        )
    return found


def trades_of(survey: Survey) -> int:
    """How many distinct trades there are."""
    return int(survey.trades["trade_id"].nunique())
