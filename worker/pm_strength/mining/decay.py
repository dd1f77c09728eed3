"""How a slice's edge changes with time (contract section 2, decay)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from .arrays import FloatArray, IntArray

INSUFFICIENT, STABLE, DECAYING, GROWING = range(4)
STATES = ("insufficient", "stable", "decaying", "growing")

MIN_TRADES = 5
SIGNIFICANCE = 0.05
MIN_HOURS, MAX_HOURS = 1.0, 8760.0
# A half-life of a week or more takes nothing off the edge; a doubling time of a week or more adds nothing.
FULL_HOURS = 168.0


@dataclass(frozen=True, slots=True)
class Decay:
    """One entry a slice: state (index into `STATES`), multiplier, hours, slope a hour and p-value.

    NaN where the contract has null.
    """

    state: npt.NDArray[np.int8]
    multiplier: FloatArray
    half_life_hours: FloatArray
    doubling_hours: FloatArray
    slope_per_hour: FloatArray
    p_value: FloatArray


def fit_decay(n: IntArray, yy: FloatArray, tt: FloatArray, ty: FloatArray, delta_rr: FloatArray) -> Decay:
    """Fit the line of y on t and read the half-life of the edge off it.

    `yy`, `tt` and `ty` are sums of squares and products about the slice's means, t in hours. Slope
    b = ty / tt with a two-sided t-test of n - 2 degrees of freedom; half-life h = -ln 2 * delta / b,
    |h| clamped to [1, 8760].
    """
    fitted = (n >= MIN_TRADES) & (tt > 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope = np.where(fitted, ty / tt, np.nan)
        # share of y's variance that the line leaves; t^2 = df * (1 - left) / left
        left = np.clip(1.0 - (ty / tt) * (ty / yy), 0.0, 1.0)
        df = np.maximum(n - 2, 1).astype(np.float64)
        t_squared = df * (1.0 - left) / left
        p_value = np.where(fitted & (yy > 0), 2.0 * stdtr(df, -np.sqrt(t_squared)), np.nan)
        changing = fitted & (p_value < SIGNIFICANCE) & (delta_rr != 0) & (slope != 0)
        hours = -np.log(2.0) * delta_rr / slope
    length = np.clip(np.abs(hours), MIN_HOURS, MAX_HOURS)
    share = np.minimum(1.0, length / FULL_HOURS)
    decaying = changing & (hours > 0)
    growing = changing & ~decaying

    state = np.full(len(n), INSUFFICIENT, dtype=np.int8)
    state[fitted] = STABLE
    state[decaying] = DECAYING
    state[growing] = GROWING
    multiplier = np.ones(len(n))
    multiplier[decaying] = 0.5 + 0.5 * share[decaying]
    multiplier[growing] = 1.5 - 0.5 * share[growing]
    return Decay(
        state=state,
        multiplier=multiplier,
        half_life_hours=np.where(decaying, length, np.nan),
        doubling_hours=np.where(growing, length, np.nan),
        slope_per_hour=slope,
        p_value=p_value,
    )
