"""The statistics of a slice and its edge (contract section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from .arrays import FloatArray, IntArray

SUPPORT_TRADES = 50.0
TIME_SCORE = 1.0


@dataclass(frozen=True, slots=True)
class Edge:
    """One entry a slice, by the names of a lesson's stats; outcomes in the unit of the outcome (R)."""

    variance: FloatArray
    delta_rr: FloatArray
    reliability_score: FloatArray
    support_score: FloatArray
    magnitude_score: FloatArray
    stability_score: FloatArray
    integral: FloatArray

    def edge_raw(self, decay_multiplier: FloatArray) -> FloatArray:
        """delta_rr * reliability * (support + magnitude + time + stability) * decay multiplier.

        It is 0 where the variance is beyond all doubles: no edge can be told from such noise.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            edge = self.delta_rr * self.reliability_score * self.integral * decay_multiplier
        return np.nan_to_num(edge, nan=0.0)


def variance_of(n: IntArray, yy: FloatArray) -> FloatArray:
    """The variance (n - 1) of slices with a sum of squares about their mean; inf where a double ends."""
    with np.errstate(over="ignore"):
        variance = np.where(n > 1, yy / np.maximum(n - 1, 1), 0.0)
    variance[np.isnan(variance)] = np.inf  # an overflow on the way
    return variance


def compute_edge(n: IntArray, avg_rr: FloatArray, yy: FloatArray, baseline: float, var_prior: float) -> Edge:
    """The scores of slices of `n` trades with mean `avg_rr` and sum of squares about it `yy`."""
    variance = variance_of(n, yy)
    with np.errstate(over="ignore"):
        delta = avg_rr - baseline
    support = -np.expm1(-n / SUPPORT_TRADES)
    magnitude = expit(avg_rr)
    stability = 1.0 / (1.0 + variance)
    return Edge(
        variance=variance,
        delta_rr=delta,
        reliability_score=1.0 / (1.0 + variance + var_prior / n),
        support_score=support,
        magnitude_score=magnitude,
        stability_score=stability,
        integral=support + magnitude + TIME_SCORE + stability,
    )
