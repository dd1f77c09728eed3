"""Mining by pieces in this process, made-up events for it, and what makes two mining runs equal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from pm_strength import LearningSettings, mine_lessons
from pm_strength.mining.cut.plan import Plan
from pm_strength.mining.cut.route import route
from pm_strength.mining.cut.rows import event_rows
from pm_strength.scopes import scope_key

TEXTS = ("sol", "Zürich", "日本", 'a "quoted" one', "1", "true", "a,b: {c}\n")
NUMBERS: tuple[Any, ...] = (1, 1.0, 2, 0.5, True, False, "1", -3, 1e12)


class Parts:
    """A runner that holds its parts."""

    def __init__(self, parts: list[pd.DataFrame]) -> None:
        self.parts = parts

    def each_part(self, look: Callable[[pd.DataFrame], Any], tell: Any) -> Iterator[Any]:
        return iter([look(part) for part in self.parts])

    def each_piece(self, plan: Plan, mine: Any, tell: Any) -> Iterator[pd.DataFrame]:
        rows = pd.concat([route(part, plan) for part in self.parts])
        for number, of_piece in rows.groupby("piece"):
            yield mine(plan.pieces[number], of_piece)


def parts_of(events: pd.DataFrame, settings: LearningSettings, rng: np.random.Generator) -> Parts:
    """Events in parts of any size and order."""
    rows = event_rows(events, settings, np.arange(len(events)))
    part = rng.integers(0, 4, len(rows))
    return Parts([rows[part == number].sample(frac=1, random_state=number) for number in range(4)])


def random_events(seed: int, trades: int = 300, groups: int = 4) -> pd.DataFrame:
    """Trades of one to five events in several groups, with gaps, look-alikes, rows that differ, and NaN."""
    rng = np.random.default_rng(seed)
    day = np.datetime64("2025-03-01T00:00:00", "us")
    rows = []
    for trade in range(trades):
        y = float(rng.choice([np.nan, np.inf])) if rng.random() < 0.05 else float(rng.normal(0.1, 1.0))
        when = pd.Timestamp(day + np.timedelta64(int(rng.integers(0, 200 * 86_400_000_000)), "us"), tz="UTC")
        base = scope(rng)
        trimmed, reached = (bool(rng.random() < 0.5) if rng.random() < 0.8 else None for _ in range(2))
        for _ in range(int(rng.integers(1, 6))):
            held = dict(base) if rng.random() < 0.6 else scope(rng)
            # the first group is much larger than the others
            group = int(rng.integers(0, groups)) if rng.random() < 0.3 else 0
            rows.append(
                {
                    "pattern_key": f"module=pm|pattern_key=p{group // 2}",
                    "action_category": "entry" if group % 2 == 0 else "trim",
                    "scope": held,
                    "trade_id": f"trade-{trade}",
                    "timestamp": when,
                    "rr": y,
                    "rpnl_pct": y * 7,
                    "pnl_usd": y * 1000 + 5,
                    "trimmed": trimmed,
                    "reached_s3": reached,
                }
            )
    order = rng.permutation(len(rows))
    return pd.DataFrame([rows[at] for at in order])


def scope(rng: np.random.Generator) -> dict[str, Any]:
    """Some of six dimensions, one without any value, and what makes none."""
    found: dict[str, Any] = {}
    for name in ("chain", "größe", "c", "d"):
        if rng.random() < 0.8:
            found[name] = TEXTS[int(rng.integers(0, len(TEXTS)) * rng.random())]
    if rng.random() < 0.8:
        found["number"] = NUMBERS[int(rng.integers(0, len(NUMBERS)))]
    if rng.random() < 0.5:
        found["day"] = int(rng.integers(0, 40))
    if rng.random() < 0.1:
        found |= {"empty": "", "none": None, "list": [1, {"chain": "sol"}]}
    return found


def assert_lessons_equal(
    got: pd.DataFrame, events: pd.DataFrame, settings: LearningSettings, cut: bool
) -> int:
    """The same slices with the same numbers as local mining; of a group that is cut, without evidence."""
    wanted = mine_lessons(events, settings, threads=1)
    assert {name: got.attrs[name] for name in ("baseline", "events", "trades")} == {
        name: wanted.attrs[name] for name in ("baseline", "events", "trades")
    }
    assert set(got.columns) == set(wanted.columns)
    mine, theirs = by_slice(got), by_slice(wanted)
    assert mine.keys() == theirs.keys()
    without = 0
    for key, row in theirs.items():
        bare = cut and np.isnan(mine[key]["own_design"])
        without += bare
        assert_row(mine[key], row, bare, str(key))
    return without


def by_slice(lessons: pd.DataFrame) -> dict[Any, dict[str, Any]]:
    """The rows of a frame of lessons by group and scope; none is there twice."""
    rows = lessons.to_dict("records")
    found = {
        (row["pattern_key"], row["action_category"], scope_key(row["scope_subset"])): row for row in rows
    }
    assert len(found) == len(rows)
    return found


# What each number may differ by where sums were made in another order: of its size, and of the outcomes'.
BARE = (
    *(
        "avg_rr",
        "variance",
        "delta_rr",
        "reliability_score",
        "support_score",
        "magnitude_score",
        "time_score",
    ),
    *(
        "stability_score",
        "edge_raw",
        "decay_multiplier",
        "half_life_hours",
        "doubling_hours",
        "slope_per_hour",
    ),
    "slope_p_value",
)


def assert_row(got: dict[str, Any], wanted: dict[str, Any], bare: bool, where: str) -> None:
    for name, value in wanted.items():
        if name == "scope_subset":
            assert json.dumps(got[name], sort_keys=True) == json.dumps(value, sort_keys=True)
        elif name in ("pattern_key", "action_category", "n", "decay_state", "claimed_at") or not bare:
            assert same(got[name], value), f"{where} {name}: {got[name]} is not {value}"
        elif name in BARE:
            close = np.isclose(got[name], value, rtol=1e-12, atol=1e-14, equal_nan=True)
            assert close, f"{where} {name}: {got[name]} is not {value}"
        elif name not in ("trimmed_n", "reached_s3_n"):
            assert np.isnan(got[name]), f"{where} {name}: {got[name]}"


def same(one: Any, other: Any) -> bool:
    return bool(one == other or (one is other) or (pd.isna(one) and pd.isna(other)))
