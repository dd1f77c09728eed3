"""Made-up trades whose true edges are known, and what multipliers are worth on them.

Nothing here comes from the package: `true` of a trade is its expected outcome in R, which no method sees.
A trade has one entry, and some have an add; the outcome is its true mean, noise of one R with a long right
tail, and a shock that the trades of a day share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]

PAIRS = ("ADA", "LTC", "XLM", "TRX", "DASH", "ETC", "NXT", "EOS")
VALUES: dict[str, tuple[Any, ...]] = {
    "pair": PAIRS,
    "timeframe": ("5m", "15m", "1h", "4h"),
    "state": ("S1", "S2", "S3"),
    "trend": ("up", "flat", "down"),
    "volatility": ("low", "mid", "high"),
    "session": ("asia", "europe", "us"),
    "bucket": ("nano", "micro", "small", "mid", "large"),
    "rank": (1, 2, 3, 4, 5, 6),
    "fresh": (True, False),
    "weekday": ("mo", "tu", "we", "th", "fr", "sa", "su"),
}
DAYS = 180.0


@dataclass(frozen=True)
class Effect:
    """In the scopes that hold `scope`, trades of `pattern` end `size` R better from `start` to `end`.

    Times are shares of the whole time.
    """

    pattern: str
    scope: dict[str, Any]
    size: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True)
class Planted:
    """Events, their true expected outcome (R, one an event), and what was planted."""

    events: pd.DataFrame
    true: FloatArray
    effects: tuple[Effect, ...]


def few_strong(seed: int, trades: int = 6000) -> Planted:
    """Five edges of 0.3 to 0.6 R in slices of 3 to 20 % of a pattern's trades."""
    rng = np.random.default_rng(seed)
    return _plant(rng, trades, _effects(rng, 5, (0.3, 0.6), (0.03, 0.20)))


def many_weak(seed: int, trades: int = 6000) -> Planted:
    """Forty edges of 0.05 to 0.2 R."""
    rng = np.random.default_rng(seed)
    return _plant(rng, trades, _effects(rng, 40, (0.05, 0.2), (0.03, 0.35)))


def come_and_go(seed: int, trades: int = 6000) -> Planted:
    """Eight edges of 0.3 to 0.7 R, each for a third to two thirds of the time."""
    rng = np.random.default_rng(seed)
    effects = []
    for effect in _effects(rng, 8, (0.3, 0.7), (0.03, 0.20)):
        length = rng.uniform(0.33, 0.67)
        start = rng.uniform(-0.1, 1.1 - length)
        effects.append(Effect(effect.pattern, effect.scope, effect.size, start, start + length))
    return _plant(rng, trades, effects)


def noise(seed: int, trades: int = 6000, shared: float = 0.0) -> Planted:
    """No edge at all; `shared` is the share of the variance that the trades of one day have in common."""
    rng = np.random.default_rng(seed)
    return _plant(rng, trades, [], shared)


def _effects(
    rng: np.random.Generator, count: int, sizes: tuple[float, float], shares: tuple[float, float]
) -> list[Effect]:
    """Edges of one to three dimensions, in slices of a size, some of them bad."""
    weights = _weights()
    effects: list[Effect] = []
    while len(effects) < count:
        names = rng.choice(list(VALUES), size=rng.integers(1, 4), replace=False).tolist()
        scope = {name: VALUES[name][rng.integers(len(VALUES[name]))] for name in sorted(names)}
        share = float(np.prod([weights[name][VALUES[name].index(value)] for name, value in scope.items()]))
        if shares[0] <= share <= shares[1]:
            size = float(rng.uniform(*sizes) * rng.choice([-1.0, 1.0]))
            effects.append(Effect(("entry", "add")[int(rng.random() < 0.3)], scope, size))
    return effects


def _weights() -> dict[str, FloatArray]:
    """How often each value comes: the first ones more often."""
    made = {}
    for name, values in VALUES.items():
        weight = 1.0 / np.arange(1, len(values) + 1) ** 0.6
        made[name] = weight / weight.sum()
    return made


def _plant(rng: np.random.Generator, trades: int, effects: list[Effect], shared: float = 0.0) -> Planted:
    weights = _weights()
    codes = {name: rng.choice(len(VALUES[name]), size=trades, p=weights[name]) for name in VALUES}
    when = np.sort(rng.uniform(0.0, DAYS, trades))
    # the trend is that of the day, the volatility that of the week: what makes noise look like an edge
    for name, days in (("trend", 1), ("volatility", 7)):
        of_block = rng.choice(len(VALUES[name]), size=int(DAYS) + 1, p=weights[name])
        codes[name] = of_block[(when // days).astype(int)]
    held = rng.exponential(0.25, trades)
    has_add = rng.random(trades) < 0.4
    # the add is made in another context: the state and the rank have moved on
    add_codes = dict(codes)
    for name in ("state", "rank"):
        fresh = rng.choice(len(VALUES[name]), size=trades, p=weights[name])
        add_codes[name] = np.where(rng.random(trades) < 0.5, fresh, codes[name])

    def gain(pattern: str, of: dict[str, Any]) -> FloatArray:
        total = np.zeros(trades)
        for effect in effects:
            if effect.pattern == pattern:
                inside = (when >= effect.start * DAYS) & (when < effect.end * DAYS)
                for name, value in effect.scope.items():
                    inside = inside & (of[name] == VALUES[name].index(value))
                total += effect.size * inside
        return total

    true = -0.1 + gain("entry", codes) + has_add * gain("add", add_codes)
    tail = rng.lognormal(0.0, 0.6, trades)
    tail = (tail - np.exp(0.18)) / np.sqrt((np.exp(0.36) - 1) * np.exp(0.36))
    day = np.floor(when).astype(int)
    shock = rng.standard_normal(int(DAYS) + 1)[day]
    y = true + np.sqrt(1.0 - shared) * tail + np.sqrt(shared) * shock

    start = pd.Timestamp("2024-01-01", tz="UTC")
    closes = start + pd.to_timedelta(when + held, unit="D")
    entries = start + pd.to_timedelta(when, unit="D")
    adds = start + pd.to_timedelta(when + held / 2, unit="D")
    ids = [f"00000000-0000-0000-0000-{number:012d}" for number in range(trades)]
    rows, truth = [], []
    names = list(VALUES)
    for number in range(trades):
        for pattern, of, at in (("entry", codes, entries), ("add", add_codes, adds)):
            if pattern == "add" and not has_add[number]:
                continue
            scope = {name: VALUES[name][of[name][number]] for name in names}
            rows.append(
                (f"planted.{pattern}", pattern, scope, ids[number], closes[number], at[number], y[number])
            )
            truth.append(true[number])
    columns = ("pattern_key", "action_category", "scope", "trade_id", "timestamp", "action_at", "rr")
    return Planted(pd.DataFrame(rows, columns=columns), np.array(truth), tuple(effects))


def uplift(multiplier: FloatArray, true: FloatArray) -> float:
    """R that an action gains by its size, at the exposure of all multipliers 1."""
    return float((multiplier * true).sum() / multiplier.sum() - true.mean())


def oracle(true: FloatArray, gain: float = 2.0) -> FloatArray:
    """The multipliers of one who knows the truth, within the default limits."""
    return np.clip(1.0 + gain * (true - true.mean()), 0.3, 3.0)
