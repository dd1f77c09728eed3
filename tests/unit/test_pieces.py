"""Mining by pieces: the lessons of local mining, whatever the parts and the cuts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_strength import LearningSettings
from pm_strength.engines.mine import mine_on
from pm_strength.errors import EngineError, EventsError, LessonLimitError
from pm_strength.mining.cut.exact_sum import exact_sum, mean_of
from pm_strength.mining.cut.plan import Plan
from tests.support.pieces import assert_lessons_equal, parts_of, random_events

CHOSEN: list[dict[str, Any]] = [
    {"n_min": 5, "max_dims": None},
    {"n_min": 8, "max_dims": 3, "outcome": "roi"},
    {"n_min": 5, "max_dims": 2, "outcome": "pnl_usd"},
    {"n_min": 3, "max_dims": None, "scope_dims": ["number", "chain", "größe"]},
    {"n_min": 5, "max_dims": 1},
    {"n_min": 5, "max_dims": 0},
]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64)), st.integers(0, 20))
def test_the_sum_of_parts_is_exact(values: list[float], at: int) -> None:
    total = exact_sum(np.array(values[:at])) + exact_sum(np.array(values[at:]))
    try:
        wanted = math.fsum(values) / len(values) if values else 0.0
    except OverflowError:
        assert math.isfinite(mean_of(total, len(values)))
        return
    assert mean_of(total, len(values)) == wanted


@pytest.mark.parametrize("seed", range(6))
def test_groups_that_are_not_cut_have_the_very_numbers_of_local_mining(seed: int) -> None:
    events, settings = random_events(seed), LearningSettings(**CHOSEN[seed])
    mined = mine_on(parts_of(events, settings, np.random.default_rng(seed)), settings)
    assert_lessons_equal(mined.frame(), events, settings, cut=False)


@pytest.mark.parametrize("limit", [1, 60, 250])
@pytest.mark.parametrize("seed", range(6))
def test_a_group_that_is_cut_has_the_same_slices(seed: int, limit: int) -> None:
    events, settings = random_events(10 + seed), LearningSettings(**CHOSEN[seed])
    mined = mine_on(parts_of(events, settings, np.random.default_rng(seed)), settings, rows=limit)
    without = assert_lessons_equal(mined.frame(), events, settings, cut=True)
    assert without > 0 or settings.max_dims == 0


def test_the_guarded_profile_runs_where_no_group_is_cut() -> None:
    events, settings = random_events(3), LearningSettings(profile="guarded", guarded_n_min=5)
    parts = parts_of(events, settings, np.random.default_rng(0))
    assert_lessons_equal(mine_on(parts, settings).frame(), events, settings, cut=False)
    with pytest.raises(EngineError, match=r"group module=pm\|pattern_key=p0, entry has more than 100 events"):
        mine_on(parts, settings, rows=100)


def test_a_cut_needs_one_outcome_a_trade() -> None:
    events, settings = random_events(4), LearningSettings(n_min=5)
    events["rr"] = np.arange(len(events), dtype=float)
    parts = parts_of(events, settings, np.random.default_rng(0))
    assert_lessons_equal(mine_on(parts, settings).frame(), events, settings, cut=False)
    with pytest.raises(EventsError, match="expected one outcome and time a trade"):
        mine_on(parts, settings, rows=100)


def test_a_piece_has_no_more_rows_than_the_limit_but_for_single_slices() -> None:
    events, settings = random_events(5), LearningSettings(n_min=5, max_dims=None)
    sizes: list[int] = []
    parts = parts_of(events, settings, np.random.default_rng(0))
    inner = parts.each_piece

    def watched(plan: Plan, mine: Any, tell: Any) -> Any:
        def measured(piece: Any, rows: pd.DataFrame) -> pd.DataFrame:
            assert len(rows) == piece.rows
            sizes.extend([len(rows)] if piece.dimensions != () else [])
            return mine(piece, rows)

        return inner(plan, measured, tell)

    parts.each_piece = watched  # type: ignore[method-assign]
    mine_on(parts, settings, rows=80).frame()
    assert max(sizes) <= 80


def test_too_many_lessons_are_an_error() -> None:
    events, settings = random_events(6), LearningSettings(n_min=2, max_dims=None, max_lessons=50)
    parts = parts_of(events, settings, np.random.default_rng(0))
    with pytest.raises(LessonLimitError, match="max_lessons"):
        mine_on(parts, settings).frame()


def test_without_events_there_are_no_lessons() -> None:
    events, settings = random_events(7).iloc[:0], LearningSettings()
    mined = mine_on(parts_of(events, settings, np.random.default_rng(0)), settings).frame()
    assert len(mined) == 0
    assert mined.attrs == {"baseline": None, "events": 0, "trades": 0, "warning": None}
