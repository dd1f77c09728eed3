"""The decay of an edge: the contract's cases, and the line against SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pm_strength.mining.decay import STATES, fit_decay


def fit(y: Any, t: Any, delta: float) -> dict[str, Any]:
    y, t = np.asarray(y, float), np.asarray(t, float)
    dy, dt = y - y.mean(), t - t.mean()
    decay = fit_decay(
        np.array([len(y)]),
        np.array([(dy * dy).sum()]),
        np.array([(dt * dt).sum()]),
        np.array([(dt * dy).sum()]),
        np.array([delta]),
    )
    values = {name: getattr(decay, name)[0] for name in decay.__dataclass_fields__}
    return values | {"state": STATES[values["state"]]}


HOURS = np.arange(50.0)
NOISE = np.random.default_rng(1).normal(0, 0.3, 50)


def test_the_line_is_scipys() -> None:
    y = 2 - 0.02 * HOURS + NOISE
    line = stats.linregress(HOURS, y)
    found = fit(y, HOURS, 1.0)
    assert math.isclose(found["slope_per_hour"], line.slope, rel_tol=1e-12)
    assert math.isclose(found["p_value"], line.pvalue, rel_tol=1e-9)


@pytest.mark.parametrize(("slope", "delta"), [(-0.02, 1.0), (0.02, -1.0)])
def test_an_edge_that_shrinks_is_decaying(slope: float, delta: float) -> None:
    y = slope * HOURS + NOISE
    found = fit(y, HOURS, delta)
    hours = -math.log(2) * delta / stats.linregress(HOURS, y).slope
    assert found["state"] == "decaying"
    assert math.isclose(found["half_life_hours"], hours, rel_tol=1e-9)
    assert math.isclose(found["multiplier"], 0.5 + 0.5 * min(1, hours / 168), rel_tol=1e-9)
    assert math.isnan(found["doubling_hours"])


@pytest.mark.parametrize(("slope", "delta"), [(0.02, 1.0), (-0.02, -1.0)])
def test_an_edge_that_grows_is_growing(slope: float, delta: float) -> None:
    y = slope * HOURS + NOISE
    found = fit(y, HOURS, delta)
    hours = math.log(2) * delta / stats.linregress(HOURS, y).slope
    assert found["state"] == "growing"
    assert math.isclose(found["doubling_hours"], hours, rel_tol=1e-9)
    assert math.isclose(found["multiplier"], 1.5 - 0.5 * min(1, hours / 168), rel_tol=1e-9)
    assert math.isnan(found["half_life_hours"])


def test_hours_are_clamped() -> None:
    assert fit(-0.02 * HOURS + NOISE, HOURS, 1e-6)["half_life_hours"] == 1.0
    assert fit(-0.02 * HOURS + NOISE, HOURS, 1e6)["half_life_hours"] == 8760.0
    assert fit(-0.02 * HOURS + NOISE, HOURS, 1e6)["multiplier"] == 1.0
    assert fit(0.02 * HOURS + NOISE, HOURS, 1e6)["multiplier"] == 1.0


@pytest.mark.parametrize(
    ("y", "t", "delta", "state"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1.0, "insufficient"),
        ([1, 2, 3, 4, 5], [7, 7, 7, 7, 7], 1.0, "insufficient"),
        ([2, 2, 2, 2, 2], [1, 2, 3, 4, 5], 1.0, "stable"),
        ([1, 3, 2, 3, 1], [1, 2, 3, 4, 5], 1.0, "stable"),
        (-0.02 * HOURS + NOISE, HOURS, 0.0, "stable"),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], 1.0, "growing"),
    ],
)
def test_states(y: Any, t: Any, delta: float, state: str) -> None:
    found = fit(y, t, delta)
    assert found["state"] == state
    if state in ("insufficient", "stable"):
        assert found["multiplier"] == 1.0
        assert math.isnan(found["half_life_hours"])
        assert math.isnan(found["doubling_hours"])
