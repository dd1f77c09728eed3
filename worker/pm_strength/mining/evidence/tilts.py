"""Tilts: many weak effects of single dimensions, each too weak to be an edge, together sure enough."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from ..arrays import FloatArray
from .bayes import MAX_LOG, Contrast

# Shares of the variance that all tilts of a dimension together may explain, and are averaged over.
SHARES = (0.0025, 0.005, 0.01, 0.02, 0.04)
# More slices than this would take a matrix too large; those with most trades are taken.
MAX_TILTS = 1000


def fit_tilts(
    slices: Contrast, together: FloatArray, sums: FloatArray, s2: float, dimensions: int, evidence_min: float
) -> tuple[FloatArray, FloatArray, float]:
    """The tilt of each slice of one dimension, its variance, and the evidence for all of them.

    `together` (slices x slices) is the number of trades of both, `sums` the outcomes left over, about 0. One
    ridge: A = D^(-1/2) (n_st - n_s n_t / N) D^(-1/2) / s2, z = sums / (s2 D), the prior variance of a tilt
    v = h2 s2 / dimensions, averaged over h2 by marginal likelihood. Without enough evidence all tilts are 0.
    """
    count = len(sums)
    if count == 0 or s2 <= 0 or dimensions == 0:
        return np.zeros(count), np.zeros(count), 0.0
    scale = 1.0 / np.sqrt(slices.design)
    inner = (together - np.outer(slices.n, slices.n) / slices.total) * np.outer(scale, scale) / s2
    z = sums / (s2 * slices.design)
    values, vectors = np.linalg.eigh(inner)
    values = np.maximum(values, 0.0)
    turned = vectors.T @ z
    logs, means, variances = [], [], []
    for share in SHARES:
        v = share * s2 / dimensions
        grown = values + 1.0 / v
        logs.append(0.5 * float((turned * turned / grown).sum() - np.log1p(v * values).sum()))
        means.append(vectors @ (turned / grown))
        variances.append((vectors * vectors) @ (1.0 / grown))
    log_evidence = float(logsumexp(logs)) - np.log(len(SHARES))
    evidence = float(np.exp(min(log_evidence, MAX_LOG)))
    if log_evidence < np.log(evidence_min):
        return np.zeros(count), np.zeros(count), evidence
    weight = np.exp(np.array(logs) - logsumexp(logs))
    mean = weight @ np.array(means)
    variance = weight @ (np.array(variances) + np.array(means) ** 2) - mean**2
    return mean, np.maximum(variance, 0.0), evidence
