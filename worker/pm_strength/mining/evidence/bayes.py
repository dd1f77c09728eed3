"""From the sums of a slice to how sure it is that its trades differ from the others of its group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from ..arrays import FloatArray

# Larger Bayes factors are all written as 1e15: they would be hundreds of digits of JSON.
MAX_LOG = float(np.log(1e15))


@dataclass(frozen=True, slots=True)
class Contrast:
    """Slices of n of N trades against the rest of them, one entry each.

    `design` is D: the variance of the difference of the two means over what it would be if no trades had
    anything in common. `weight` is w = n (1 - n/N) / D: the difference has the variance s2 / w.
    """

    n: FloatArray
    total: float
    design: FloatArray
    weight: FloatArray

    @property
    def effective(self) -> FloatArray:
        """How many trades the slice counts as: n / D."""
        return self.n / self.design

    def difference(self, sums: FloatArray) -> FloatArray:
        """The mean of the slice less that of the rest, from sums of outcomes about the mean of all N."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.weight > 0, sums / self.n / (1.0 - self.n / self.total), 0.0)


def contrast(
    n: FloatArray,
    total: float,
    rho: FloatArray,
    squares: FloatArray,
    crowd: FloatArray,
    all_squares: FloatArray,
) -> Contrast:
    """The weight of slices, with the time that their trades share.

    For each block length h (columns of `squares` and `crowd`): K_h = sum n_b^2 / n^2 - 2 sum n_b N_b / (n N)
    + sum N_b^2 / N^2 over its blocks b, and D = max(1 - sum rho, 1 - sum rho + sum rho_h K_h / (1/n - 1/N)).
    """
    share = squares / n[:, None] ** 2 - 2.0 * crowd / (n[:, None] * total) + all_squares / total**2
    alone = 1.0 - rho.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        together = np.where(n < total, (np.maximum(share, 0.0) @ rho) / (1.0 / n - 1.0 / total), 0.0)
    design = np.maximum(alone + together, 1e-6)
    return Contrast(n, total, design, np.maximum(n * (1.0 - n / total), 0.0) / design)


def own_design(n: FloatArray, rho: FloatArray, squares: FloatArray) -> FloatArray:
    """The variance of a slice's own mean over that of n trades that have nothing in common."""
    design: FloatArray = 1.0 - rho.sum() + (squares / n[:, None]) @ rho
    return np.maximum(design, 1e-6)


def log_bayes_factor(d: FloatArray, weight: FloatArray, s2: float, tau: float) -> FloatArray:
    """How much likelier the difference d is if there is an edge than if there is none, as a logarithm.

    An edge is normal about 0 with the variance tau^2 s2: with q = tau^2 w,
    BF = (1 + q)^(-1/2) exp(d^2 w / s2 * q / (1 + q) / 2) (Wakefield 2009).
    """
    if s2 <= 0:
        return np.zeros(len(d))
    q = tau * tau * weight
    log: FloatArray = 0.5 * (d * d * weight / s2 * q / (1.0 + q) - np.log1p(q))
    return log


def as_number(log: FloatArray) -> FloatArray:
    """The Bayes factor of a logarithm, at most 1e15."""
    number: FloatArray = np.exp(np.minimum(log, MAX_LOG))
    return number


def p_value(d: FloatArray, weight: FloatArray, s2: float) -> FloatArray:
    """The two-sided p-value of the difference, by the normal distribution; NaN where there is none."""
    if s2 <= 0:
        return np.full(len(d), np.nan)
    return np.where(weight > 0, 2.0 * ndtr(-np.abs(d) * np.sqrt(weight / s2)), np.nan)


def rate_interval(rate: FloatArray, n: FloatArray, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """The interval of a rate over n trades, by Wilson's score (1927); NaN where n is 0."""
    z = float(ndtri(0.5 + level / 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (rate + z * z / (2.0 * n)) / (1.0 + z * z / n)
        half = z / (1.0 + z * z / n) * np.sqrt(rate * (1.0 - rate) / n + z * z / (4.0 * n * n))
    return centre - half, centre + half
