"""The evidence for each slice of a group, as numbers of its lesson."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from ...settings import LearningSettings
from ..arrays import FloatArray
from ..cube.iceberg import Slices
from ..edge import variance_of
from .bayes import as_number, log_bayes_factor, p_value, rate_interval
from .groups import GroupEffect
from .scores import S3, S3_KNOWN, TRIMMED, TRIMMED_KNOWN, A, E, shrunk_score
from .weighed import Weighed

LEVEL = 0.95
RATES = (("trimmed", TRIMMED_KNOWN, TRIMMED), ("reached_s3", S3_KNOWN, S3))


def slice_statistics(
    weighed: Weighed, slices: Slices, group: GroupEffect, settings: LearningSettings
) -> dict[str, FloatArray]:
    """The columns of `columns.EVIDENCE` and `INTERVALS`, NaN where there is none.

    The empty subset's A and E are still 0.
    """
    whole = weighed.contrast
    n, s2 = whole.n, weighed.sigma**2
    with np.errstate(divide="ignore", invalid="ignore"):
        d = whole.difference(weighed.sums)
    apart = n < whole.total
    log_factor = np.where(apart, log_bayes_factor(d, whole.weight, s2, settings.tau), np.nan)
    columns = {
        "n_effective": np.where(apart, whole.effective, n / weighed.own),
        "design_effect": np.where(apart, whole.design, weighed.own),
        "bayes_factor": as_number(log_factor),
        "p_value": p_value(d, whole.weight, s2),
    }
    # the empty subset is the group itself, against the others of its category
    if np.isfinite(group.design):
        columns["n_effective"][0], columns["design_effect"][0] = group.effective, group.design
        columns["bayes_factor"][0] = as_number(np.array([group.log_factor]))[0]
        columns["p_value"][0] = group.p_value
    effective = n / weighed.own
    half = stdtrit(np.maximum(effective - 1.0, 1.0), 0.5 + LEVEL / 2)
    half *= np.sqrt(variance_of(slices.n, slices.yy) / effective)
    columns["avg_rr_low"], columns["avg_rr_high"] = slices.mean_y - half, slices.mean_y + half
    columns["avg_rr_half"], columns["own_design"] = half, weighed.own
    return columns | _scores(weighed.more, weighed.own, n, columns["n_effective"])


def _scores(more: FloatArray, own: FloatArray, n: FloatArray, effective: FloatArray) -> dict[str, FloatArray]:
    columns: dict[str, FloatArray] = {}
    for name, known, sum_ in RATES:
        rate = low = high = np.full(len(n), np.nan)
        if more.shape[1]:
            with np.errstate(divide="ignore", invalid="ignore"):
                rate = more[:, sum_] / more[:, known]
            low, high = rate_interval(rate, more[:, known] / own, LEVEL)
        columns |= {f"{name}_rate": rate, f"{name}_low": low, f"{name}_high": high}
        columns[f"{name}_n"] = more[:, known] if more.shape[1] else n
    for name, column in (("a_score", A), ("e_score", E)):
        score = np.full(len(n), np.nan)
        if more.shape[1]:
            mean = more[:, column] / n
            score = shrunk_score(mean, float(mean[0]), effective)
        columns[name] = score
    return columns
