"""The evidence of a slice is what its formulas say, worked out trade by trade."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from pm_strength.mining import lesson_rows, mine_lessons
from pm_strength.mining.cube.iceberg import iceberg_cube
from pm_strength.mining.encode import encode_events
from pm_strength.mining.evidence.weigh import across_groups, weigh
from pm_strength.settings import LearningSettings

START = datetime(2024, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DIMS = ("a", "b", "c")


def made_up(seed: int, trades: int = 300, again: float = 0.2) -> pd.DataFrame:
    """Trades of two entry groups and one of adds; some have a second event in another scope."""
    rng = np.random.default_rng(seed)
    shock = rng.normal(0, 0.7, 200)
    rows = []
    for trade in range(trades):
        day = int(rng.integers(0, 90))
        y = float(rng.lognormal(0, 0.7) - 1.3 + shock[day] + 0.3 * shock[100 + day // 28])
        flags = {"trimmed": bool(rng.random() < 0.4), "reached_s3": bool(rng.random() < 0.2)}
        if rng.random() < 0.1:
            flags["trimmed"] = None  # type: ignore[assignment]
        for _ in range(2 if rng.random() < again else 1):
            scope = {name: int(rng.integers(0, 3)) for name in DIMS if rng.random() < 0.9}
            pattern, category = [("p", "entry"), ("q", "entry"), ("p", "add")][int(rng.integers(0, 3))]
            rows.append(
                {
                    "pattern_key": pattern,
                    "action_category": category,
                    "scope": scope,
                    "trade_id": f"t{trade}",
                    "timestamp": START + timedelta(days=day, hours=int(rng.integers(0, 24))),
                    "rr": y,
                    **flags,
                }
            )
    return pd.DataFrame(rows)


class Group:
    """A group's distinct trades, and which of its slices each is in."""

    def __init__(self, events: pd.DataFrame, pattern: str, category: str) -> None:
        inside = events[(events.pattern_key == pattern) & (events.action_category == category)]
        self.trades: dict[str, dict[str, Any]] = {}
        self.scopes: dict[str, list[dict[str, Any]]] = {}
        for row in inside.to_dict("records"):
            self.trades.setdefault(row["trade_id"], row)
            self.scopes.setdefault(row["trade_id"], []).append(row["scope"])
        self.y = clip({trade: row["rr"] for trade, row in self.trades.items()})
        self.mean = sum(self.y.values()) / len(self.y)
        self.s2 = float(np.var(list(self.y.values()), ddof=1))

    def members(self, subset: dict[str, Any]) -> set[str]:
        return {
            trade
            for trade, scopes in self.scopes.items()
            if any(subset.items() <= scope.items() for scope in scopes)
        }


def clip(y: dict[str, float]) -> dict[str, float]:
    low, high = np.quantile(list(y.values()), [0.01, 0.99])
    return {trade: float(min(high, max(low, value))) for trade, value in y.items()}


def block(row: dict[str, Any], days: int) -> int:
    return (row["timestamp"] - EPOCH).days // days


def correlations(events: pd.DataFrame) -> dict[int, float]:
    """rho by block length, from each trade once, less the mean of its first group."""
    first: dict[str, dict[str, Any]] = {}
    for row in events.sort_values(["pattern_key", "action_category"]).to_dict("records"):
        first.setdefault(row["trade_id"], row)
    y = clip({trade: row["rr"] for trade, row in first.items()})
    groups: dict[Any, list[str]] = {}
    for trade, row in first.items():
        groups.setdefault((row["pattern_key"], row["action_category"]), []).append(trade)
    residual = {
        trade: y[trade] - sum(y[other] for other in members) / len(members)
        for members in groups.values()
        for trade in members
    }
    rho, longest = {}, 0.0
    for days in (28, 7, 1):
        blocks: dict[int, list[float]] = {}
        for trade, row in first.items():
            blocks.setdefault(block(row, days), []).append(residual[trade])
        count, total = len(blocks), len(first)
        r = 0.0
        if count >= 6 and total > count:
            grand = sum(residual.values()) / total
            between = sum(len(v) * (np.mean(v) - grand) ** 2 for v in blocks.values()) / (count - 1)
            within = sum(sum((x - np.mean(v)) ** 2 for x in v) for v in blocks.values()) / (total - count)
            typical = (total - sum(len(v) ** 2 for v in blocks.values()) / total) / (count - 1)
            r = float((between - within) / (between + (typical - 1) * within))
        rho[days] = max(0.0, r - longest)
        longest = max(longest, r)
    return rho


def squares(trades: set[str], group: Group, days: int) -> dict[int, int]:
    counted: dict[int, int] = {}
    for trade in trades:
        key = block(group.trades[trade], days)
        counted[key] = counted.get(key, 0) + 1
    return counted


@pytest.mark.parametrize("seed", range(6))
def test_a_slice_is_weighed_by_the_formulas(seed: int) -> None:
    events = made_up(seed, again=0.0 if seed == 5 else 0.2)
    settings = LearningSettings(n_min=5, tau=0.3)
    rho = correlations(events)
    assert sum(value > 0 for value in rho.values()) >= 1
    rows = lesson_rows(mine_lessons(events, settings))
    seen = 0
    for row in rows:
        stats, group = row["stats"], Group(events, row["pattern_key"], row["action_category"])
        inside, everyone = group.members(row["scope_subset"]), set(group.trades)
        n, total = len(inside), len(everyone)
        assert stats["n"] == n
        own = 1 - sum(rho.values())
        design = own
        for days, share in rho.items():
            of_slice, of_all = squares(inside, group, days), squares(everyone, group, days)
            own += share * sum(v**2 for v in of_slice.values()) / n
            if n < total:
                k = (
                    sum(v**2 for v in of_slice.values()) / n**2
                    - 2 * sum(v * of_all[key] for key, v in of_slice.items()) / (n * total)
                    + sum(v**2 for v in of_all.values()) / total**2
                )
                design += share * k / (1 / n - 1 / total)
        effective = n / own
        y = [group.trades[trade]["rr"] for trade in inside]
        half = scipy.stats.t.ppf(0.975, max(effective - 1, 1)) * math.sqrt(np.var(y, ddof=1) / effective)
        assert stats["avg_rr_low"] == pytest.approx(np.mean(y) - half, rel=1e-9, abs=1e-9)
        assert stats["avg_rr_high"] == pytest.approx(np.mean(y) + half, rel=1e-9, abs=1e-9)
        assert_rates(stats, [group.trades[trade] for trade in inside], own)
        if not row["scope_subset"]:
            continue
        if n == total:
            assert stats["bayes_factor"] is None
            continue
        seen += 1
        weight = n * (1 - n / total) / design
        mean = sum(group.y[trade] for trade in inside) / n
        others = sum(group.y[trade] for trade in everyone - inside) / (total - n)
        d, q = mean - others, 0.09 * weight
        factor = math.exp(d * d * weight / group.s2 * q / (1 + q) / 2) / math.sqrt(1 + q)
        assert stats["design_effect"] == pytest.approx(design, rel=1e-9)
        assert stats["n_effective"] == pytest.approx(n / design, rel=1e-9)
        assert stats["bayes_factor"] == pytest.approx(factor, rel=1e-8)
        assert stats["p_value"] == pytest.approx(
            2 * scipy.stats.norm.sf(abs(d) * math.sqrt(weight / group.s2)), rel=1e-8
        )
    assert seen > 50


def assert_rates(stats: dict[str, Any], trades: list[dict[str, Any]], own: float) -> None:
    for name in ("trimmed", "reached_s3"):
        known = [trade[name] for trade in trades if trade[name] is not None]
        rate = sum(known) / len(known)
        assert stats[f"{name}_rate"] == pytest.approx(rate, rel=1e-9, abs=1e-12)
        count = len(known) / own
        z = scipy.stats.norm.ppf(0.975)
        centre, spread = (
            (rate + z * z / (2 * count)),
            z * math.sqrt(rate * (1 - rate) / count + z * z / (4 * count * count)),
        )
        for side, sign in (("low", -1), ("high", 1)):
            wanted = (centre + sign * spread) / (1 + z * z / count)
            assert stats[f"{name}_{side}"] == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_without_flags_rates_and_scores_are_null() -> None:
    events = made_up(1).drop(columns=["trimmed", "reached_s3"])
    for row in lesson_rows(mine_lessons(events, LearningSettings(n_min=20))):
        for name in ("trimmed_rate", "trimmed_low", "reached_s3_high", "a_score", "e_score"):
            assert row["stats"][name] is None


def test_scores_follow_the_table() -> None:
    """A group with one slice that reaches S3 in profit, among trades that lose."""
    rows = []
    for trade in range(200):
        good = trade % 2 == 0
        rows.append(
            {
                **{"pattern_key": "p", "action_category": "entry", "scope": {"a": "x" if good else "y"}},
                **{"trade_id": f"t{trade}", "timestamp": START + timedelta(hours=trade)},
                **{"rr": 2.0 if good else -1.0, "trimmed": trade % 4 == 1, "reached_s3": good},
            }
        )
    lessons = lesson_rows(mine_lessons(pd.DataFrame(rows), LearningSettings(n_min=20)))
    stats = {json_key(row["scope_subset"]): row["stats"] for row in lessons}
    good, bad = stats["a=x"], stats["a=y"]
    # the losing half: half of it trimmed
    losing_a, losing_e = (-0.25 - 1.0) / 2, (0.5 + 1.0) / 2
    for stat, name, mine, other in (
        *((good, "a_score", 1.0, losing_a), (good, "e_score", -1.0, losing_e)),
        *((bad, "a_score", losing_a, 1.0), (bad, "e_score", losing_e, -1.0)),
    ):
        n = stat["n_effective"]
        wanted = 0.2 * (mine - (mine + other) / 2) * n / (n + 33)
        assert stat[name] == pytest.approx(wanted, rel=1e-9)
    assert stats[""]["a_score"] == pytest.approx(0, abs=1e-12)


def json_key(scope: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(scope.items()))


def test_a_group_is_weighed_against_the_others_of_its_category() -> None:
    events = made_up(3, again=0.0)
    rho = correlations(events)
    entries = events[events.action_category == "entry"]
    y = clip(dict(zip(entries.trade_id, entries.rr, strict=True)))
    s2 = float(np.var(list(y.values()), ddof=1))
    rows = {
        row["pattern_key"]: row["stats"]
        for row in lesson_rows(mine_lessons(events, LearningSettings(n_min=20)))
        if row["action_category"] == "entry" and not row["scope_subset"]
    }
    inside = entries[entries.pattern_key == "p"]
    n, total = len(inside), len(entries)
    design = 1 - sum(rho.values())
    for days, share in rho.items():
        of_slice = inside.timestamp.map(lambda at, days=days: (at - EPOCH).days // days).value_counts()
        of_all = entries.timestamp.map(lambda at, days=days: (at - EPOCH).days // days).value_counts()
        k = (
            (of_slice**2).sum() / n**2
            - 2 * (of_slice * of_all.reindex(of_slice.index)).sum() / (n * total)
            + (of_all**2).sum() / total**2
        )
        design += share * k / (1 / n - 1 / total)
    weight = n * (1 - n / total) / design
    mean = np.mean([y[trade] for trade in inside.trade_id])
    others = np.mean([y[trade] for trade in set(y) - set(inside.trade_id)])
    d, q = mean - others, 0.04 * weight
    assert rows["p"]["design_effect"] == pytest.approx(design, rel=1e-9)
    assert rows["p"]["bayes_factor"] == pytest.approx(
        math.exp(d * d * weight / s2 * q / (1 + q) / 2) / math.sqrt(1 + q), rel=1e-8
    )
    # both groups say the same of each other
    assert rows["q"]["bayes_factor"] == pytest.approx(rows["p"]["bayes_factor"], rel=1e-8)


def test_outcomes_without_spread_are_no_evidence() -> None:
    rows = [
        {
            **{"pattern_key": "p", "action_category": "entry", "scope": {"a": trade % 2}},
            **{"trade_id": f"t{trade}", "timestamp": START + timedelta(hours=trade), "rr": 1e6 + 0.1},
        }
        for trade in range(100)
    ]
    for profile, n_min in itertools.product(("source", "guarded"), (20,)):
        settings = LearningSettings(profile=profile, n_min=n_min)
        for row in lesson_rows(mine_lessons(pd.DataFrame(rows), settings)):
            if row["scope_subset"]:
                assert (row["stats"]["bayes_factor"], row["stats"]["p_value"]) == (1.0, None)
            assert row["stats"].get("effect", 0.0) == 0.0


def test_whoever_watches_can_end_it() -> None:
    coded = encode_events(made_up(1), LearningSettings())
    cube, across = iceberg_cube(coded.groups, 20, 3), across_groups(coded.groups, LearningSettings())

    def watch() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weigh(coded, cube, LearningSettings(n_min=20), {}, across, watch=watch)
    with pytest.raises(KeyboardInterrupt):
        weigh(coded, cube, LearningSettings(profile="guarded"), {}, across, threads=2, watch=watch)
