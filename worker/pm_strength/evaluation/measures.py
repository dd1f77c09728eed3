"""What else a report says of multipliers: calibration, and the curve of profits at equal exposure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .actions import FloatArray, IntArray

BINS = 5


@dataclass(frozen=True, slots=True)
class Bin:
    """Actions with like multipliers: their mean outcome against that of their category, in its deviations."""

    actions: int
    multiplier: float
    outcome: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """The profits of a way of sizing at equal exposure, in order of the closes, in the unit of the outcome.

    `drawdown` is the largest fall from a high; `sqn` the square root of the number of actions times mean
    over deviation (Tharp's system quality number); `points` a hundred points of the running sum.
    """

    total: float
    drawdown: float
    sqn: float
    points: list[float]


def calibration(multiplier: FloatArray, y: FloatArray, category: IntArray) -> list[Bin]:
    """Actions in five classes of equal size by multiplier, 90 % intervals by the normal distribution.

    Actions with the same multiplier are in the same class.
    """
    scaled = np.zeros(len(y))
    for value in np.unique(category):
        chosen = category == value
        spread = float(y[chosen].std())
        scaled[chosen] = (y[chosen] - y[chosen].mean()) / spread if spread > 0 else 0.0
    if not len(y):
        return []
    edges = np.unique(np.quantile(multiplier, np.linspace(0, 1, BINS + 1)[1:-1]))
    number = np.searchsorted(edges, multiplier, side="left")
    bins = []
    for place in np.unique(number):
        inside = number == place
        outcome, count = float(scaled[inside].mean()), int(inside.sum())
        half = 1.645 * float(scaled[inside].std()) / math.sqrt(count)
        bins.append(Bin(count, float(multiplier[inside].mean()), outcome, outcome - half, outcome + half))
    return bins


def equal_exposure(multiplier: FloatArray, category: IntArray) -> FloatArray:
    """The multipliers scaled to a mean of 1 within each category."""
    scaled = np.ones(len(multiplier))
    for value in np.unique(category):
        chosen = category == value
        mean = float(multiplier[chosen].mean())
        scaled[chosen] = multiplier[chosen] / mean if mean > 0 else 1.0
    return scaled


def profit_curve(profit: FloatArray, closed: IntArray) -> Curve:
    """The curve of profits by the time of the closes."""
    if not len(profit):
        return Curve(0.0, 0.0, 0.0, [])
    ordered = profit[np.argsort(closed, kind="stable")]
    running = np.cumsum(ordered)
    peak = np.maximum(np.maximum.accumulate(running), 0.0)
    spread = float(profit.std(ddof=1)) if len(profit) > 1 else 0.0
    sqn = math.sqrt(len(profit)) * float(profit.mean()) / spread if spread > 0 else 0.0
    shown = np.unique(np.linspace(0, len(running) - 1, 100).round().astype(int))
    return Curve(float(running[-1]), float((peak - running).max()), sqn, running[shown].tolist())
