"""The walk to a group's edges: what is surest first, then what is surest of the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from ..arrays import FloatArray, IntArray
from .bayes import MAX_LOG, Contrast, log_bayes_factor

MAX_EDGES = 8
# An alternate of an edge with a smaller share of it than this is left out of the fit.
MIN_SHARE = 1e-4


@dataclass(frozen=True, slots=True)
class Design:
    """How numbers of slices and of trades come from each other.

    `sums(r)` is the sum of r over the trades of each slice, `spread(u)` the sum of u over the slices of each
    trade.
    """

    sums: Callable[[FloatArray], FloatArray]
    spread: Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Edge:
    """One step of the walk: its evidence, each slice's share in it, and its gain and spread if it is the one.

    `evidence` is E, the mean Bayes factor of all candidates by their prior.
    """

    evidence: float
    share: FloatArray
    mean: FloatArray
    variance: FloatArray


@dataclass(frozen=True, slots=True)
class Walk:
    """The edges that were found, what is left of the outcomes, and each slice's log Bayes factors.

    `factors` has a row for the beginning, and one after each edge.
    """

    edges: list[Edge]
    left: FloatArray
    factors: list[FloatArray]

    def contribution(self, slices: int) -> FloatArray:
        """c of each slice: the sum of share * gain over the edges."""
        total = np.zeros(slices)
        for edge in self.edges:
            total += edge.share * edge.mean
        return total


def walk_edges(
    design: Design,
    slices: Contrast,
    log_prior: FloatArray,
    r: FloatArray,
    tau: float,
    evidence_min: float,
    first: FloatArray | None = None,
) -> Walk:
    """Find the edges of N trades with outcomes `r` about their mean, at most 8.

    Each step takes all candidates (`log_prior` > -inf) as the one edge that is there: BF of each, their
    mean E by the prior, the share alpha = prior BF / E of each. Where E is below `evidence_min` the walk
    ends. Else the fit sum alpha * gain is taken off the outcomes, and the next edge is looked for. These are
    the forward steps of SuSiE (Wang, Sarkar, Carbonetto and Stephens 2020). `first` are the sums of r, where
    they are known.
    """
    left = r.copy()
    s2 = float(r @ r) / max(len(r) - 1, 1)
    sums = first if first is not None else design.sums(left)
    edges: list[Edge] = []
    factors: list[FloatArray] = []
    while True:
        d = slices.difference(sums)
        log_bf = log_bayes_factor(d, slices.weight, s2, tau)
        factors.append(log_bf)
        log_evidence = float(logsumexp(log_prior + log_bf)) if len(log_bf) else -np.inf
        if len(edges) == MAX_EDGES or not log_evidence >= np.log(evidence_min) or s2 <= 0:
            return Walk(edges, left, factors)
        share = np.exp(log_prior + log_bf - log_evidence)
        share[share < MIN_SHARE] = 0.0
        q = tau * tau * slices.weight
        mean = d * q / (1.0 + q)
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.where(slices.weight > 0, s2 / slices.weight * q / (1.0 + q), 0.0)
        edges.append(Edge(float(np.exp(min(log_evidence, MAX_LOG))), share, mean, variance))
        fit = design.spread(share * mean)
        level = fit.mean()
        left -= fit - level
        # the fit is 0 for most trades: its sums take less time than those of what is left
        sums = sums - (design.sums(fit) - level * slices.n)


def slice_prior(depth: IntArray, candidate: npt.NDArray[np.bool_]) -> FloatArray:
    """The logarithm of 1 / (depths * candidates of the depth); -inf where a slice is not a candidate."""
    prior = np.full(len(depth), -np.inf)
    count = np.bincount(depth[candidate])
    depths = int((count > 0).sum())
    prior[candidate] = -np.log(depths * count[depth[candidate]])
    return prior
