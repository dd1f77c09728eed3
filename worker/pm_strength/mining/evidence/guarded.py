"""The guarded profile's fit of one group: its edges, its tilts, and what each slice contributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import ndtr, ndtri

from ...scopes import ScopeKey, scope_key
from ...settings import LearningSettings
from ..arrays import FloatArray, IntArray
from . import lattice
from .bayes import Contrast
from .drift import Claim, drift_log, pulled
from .edges import Design, Walk, slice_prior, walk_edges
from .groups import GroupEffect
from .keys import same_trades
from .nodes import Group, trades_with
from .tilts import MAX_TILTS, fit_tilts
from .weighed import Weighed

# A contribution that moves a size by less than this is left out.
MIN_MOVE = 0.01
# So many slices are looked up one by one; for more, walking over all of them is faster.
FEW = 100
INTERVAL = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class Fit:
    """What each slice of a group contributes, in the cube's order; the empty subset is the first.

    `effect` is c / sigma, `contribution` c in the unit of the outcome, with its 5 and 95 % quantiles.
    `edge` numbers the edge that a slice is part of (0: none), `evidence` and `probability` are that edge's
    evidence and the slice's share in it. `explained_by` is the slice that explains one which alone looked
    like an edge (-1: none). `drift` is the logarithm of the e-value against what an override claimed (NaN
    without news), `claimed` and `since` the claim that it is held to from now on; `since` is 0 where
    nothing is published.
    """

    effect: FloatArray
    contribution: FloatArray
    low: FloatArray
    high: FloatArray
    edge: IntArray
    evidence: FloatArray
    probability: FloatArray
    explained_by: IntArray
    drift: FloatArray
    claimed: FloatArray
    since: IntArray


def fit_group(
    weighed: Weighed,
    group: GroupEffect,
    settings: LearningSettings,
    claims: Mapping[ScopeKey, Claim],
    scope_of: Callable[[int], Mapping[str, Any]],
) -> Fit:
    """Fit the edges and the tilts of a group, and make sizes exposure-neutral over its trades.

    `claims` are those of the overrides that are live; `scope_of` gives the scope of one of the lattice's
    slices. What came since speaks against a claim: it is pulled towards 1.
    """
    place, found = weighed.place, weighed.found
    depth = (found.codes >= 0).sum(axis=1)
    of_slices = _part(weighed.contrast, place)
    total, least = of_slices.total, settings.guarded_n_min
    candidate = (of_slices.n >= least) & (of_slices.n <= total - least)
    candidate &= ~same_trades(found.codes, of_slices.n)
    walk = walk_edges(
        _design(weighed),
        of_slices,
        slice_prior(depth, candidate),
        weighed.residual,
        settings.tau,
        settings.evidence_min,
        weighed.sums[place],
    )
    singles = np.flatnonzero((depth == 1) & candidate)
    tilt, tilt_variance, tilt_evidence = _tilts(weighed, of_slices, singles, walk, settings)

    count = len(place)
    tilts, tilt_spread = np.zeros(count), np.zeros(count)
    tilts[singles], tilt_spread[singles] = tilt, tilt_variance
    c = walk.contribution(count) + tilts
    sigma = weighed.sigma if weighed.sigma > 0 else 1.0
    moves = np.abs(settings.gain * c / sigma) >= MIN_MOVE
    held = _hold_to_claims(weighed, c, np.flatnonzero(moves), claims, scope_of)
    left = np.ones(count)
    for s in np.flatnonzero(np.isfinite(held.drift)):
        left[s] = pulled(float(held.drift[s]), settings.drift_alarm)
    mean_fit = float((c * left * of_slices.n)[moves].sum()) / total

    effect = np.zeros(count + 1)
    contribution, low, high = effect.copy(), effect.copy(), effect.copy()
    edge = np.zeros(count + 1, np.int64)
    evidence, probability = np.full(count + 1, np.nan), np.full(count + 1, np.nan)
    explained_by = np.full(count + 1, -1, np.int64)
    contribution[place] = c
    effect[place] = c * left / sigma
    effect[0] = group.effect - mean_fit / sigma
    contribution[0] = effect[0] * sigma
    evidence[0] = group.evidence
    probability[0] = group.probability if np.isfinite(group.probability) else 1.0

    main = _main_parts(walk, tilts, tilt_spread, tilt_evidence, count)
    for name, to in (("edge", edge), ("evidence", evidence), ("probability", probability)):
        to[place] = main[name]
    others = c - main["share"] * main["mean"]
    for at, to in zip(INTERVAL, (low, high), strict=True):
        to[place] = others + _quantile(at, main["share"], main["mean"], main["variance"])
        to[0] = contribution[0]
    lead = _explained(walk, moves, settings)
    explained_by[place] = np.where(lead >= 0, place[lead], -1) if count else lead
    drift, claimed = np.full(count + 1, np.nan), np.full(count + 1, np.nan)
    since = np.zeros(count + 1, np.int64)
    drift[place], claimed[place], since[place] = held.drift, held.claimed, held.since
    return Fit(
        effect, contribution, low, high, edge, evidence, probability, explained_by, drift, claimed, since
    )


@dataclass(frozen=True, slots=True)
class _Held:
    """Slices held to what they claimed: NaN and 0 where nothing is published."""

    drift: FloatArray
    claimed: FloatArray
    since: IntArray


def _hold_to_claims(
    weighed: Weighed,
    c: FloatArray,
    published: IntArray,
    claims: Mapping[ScopeKey, Claim],
    scope_of: Callable[[int], Mapping[str, Any]],
) -> _Held:
    """Judge each published slice by the trades that closed since it was first published.

    It is held to what it claimed then. One that says the opposite now, or is new, makes a claim of its own.
    """
    trades = weighed.trades
    drift, claimed = np.full(len(c), np.nan), np.full(len(c), np.nan)
    since = np.zeros(len(c), np.int64)
    newest = int(trades.closed.max())
    inside = {}
    for s in published.tolist():
        held = np.zeros(len(trades), dtype=bool)
        held[_trades_in(weighed.group, weighed.found.codes[s])] = True
        inside[s] = held
    fit = np.zeros(len(trades))
    for s, held in inside.items():
        fit[held] += c[s]
    for s, held in inside.items():
        claim = claims.get(scope_key(scope_of(s)))
        if claim is None or claim.contribution * c[s] <= 0:
            claimed[s], since[s] = c[s], newest
            continue
        claimed[s], since[s] = claim.contribution, claim.since
        news = trades.closed > claim.since
        drift[s] = drift_log(
            *(trades.y[news], held[news], (fit - c[s] * held)[news], claim.contribution),
            *(weighed.sigma**2, weighed.rho, weighed.blocks[:, news]),
        )
    return _Held(drift, claimed, since)


def _part(whole: Contrast, place: IntArray) -> Contrast:
    return Contrast(whole.n[place], whole.total, whole.design[place], whole.weight[place])


def _design(weighed: Weighed) -> Design:
    """Sums and spreads by walking over the slices again."""
    group, found = weighed.group, weighed.found
    stop, limit = weighed.stop, weighed.limit

    def sums(r: FloatArray) -> FloatArray:
        out = np.zeros(len(found.codes))
        lattice.walk(group, 0.0, limit, lattice.GATHER, found, r, out, stop)
        return out

    def spread(u: FloatArray) -> FloatArray:
        out = np.zeros(len(weighed.trades))
        chosen = np.flatnonzero(u)
        if len(chosen) <= FEW:
            for s in chosen:
                inside = _trades_in(group, found.codes[s])
                # a trade with several rows in the slice comes several times, and counts once
                out[inside if group.single else np.unique(inside)] += u[s]
            return out
        lattice.walk(group, 0.0, limit, lattice.SCATTER, found, u, out, stop)
        return out

    return Design(sums, spread)


def _trades_in(group: Group, codes: IntArray) -> IntArray:
    """The trades of a slice; one with several rows may come several times."""
    trades: IntArray = trades_with(group.codes, codes, group.trade)
    return trades


def _tilts(
    weighed: Weighed, of_slices: Contrast, singles: IntArray, walk: Walk, settings: LearningSettings
) -> tuple[FloatArray, FloatArray, float]:
    """The tilts of the slices of one dimension, on what the edges have left."""
    singles_n = of_slices.n[singles]
    if len(singles) > MAX_TILTS:
        keep = np.sort(np.argsort(-singles_n, kind="stable")[:MAX_TILTS])
        tilt, variance, evidence = _tilts(weighed, of_slices, singles[keep], walk, settings)
        all_tilts, all_variances = np.zeros(len(singles)), np.zeros(len(singles))
        all_tilts[keep], all_variances[keep] = tilt, variance
        return all_tilts, all_variances, evidence
    member = _members(weighed, singles)
    together = (member @ member.T).toarray() if len(singles) else np.zeros((0, 0))
    sums = np.asarray(member @ walk.left) if len(singles) else np.zeros(0)
    s2 = float(walk.left @ walk.left) / max(len(walk.left) - 1, 1)
    dimensions = len(np.unique(np.argmax(weighed.found.codes[singles] >= 0, axis=1))) if len(singles) else 0
    return fit_tilts(_part(of_slices, singles), together, sums, s2, dimensions, settings.evidence_min)


def _members(weighed: Weighed, singles: IntArray) -> sparse.csr_array:
    """Which trades are in which slices of one dimension: slices x trades."""
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for number, s in enumerate(singles):
        inside = _trades_in(weighed.group, weighed.found.codes[s])
        if not weighed.group.single:
            inside = np.unique(inside)
        rows.append(np.full(len(inside), number))
        columns.append(inside)
    row, column = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_array((np.ones(len(row)), (row, column)), shape=(len(singles), len(weighed.trades)))


def _main_parts(
    walk: Walk, tilts: FloatArray, tilt_spread: FloatArray, tilt_evidence: float, count: int
) -> dict[str, Any]:
    """Of each slice, the edge or the tilt that contributes most."""
    main: dict[str, Any] = {
        "edge": np.zeros(count, np.int64),
        "evidence": np.where(tilts != 0, tilt_evidence, np.nan),
        "probability": np.where(tilts != 0, tilt_evidence / (1.0 + tilt_evidence), np.nan),
        "share": (tilts != 0).astype(np.float64),
        "mean": tilts.copy(),
        "variance": tilt_spread.copy(),
    }
    most = np.abs(tilts)
    for number, edge in enumerate(walk.edges, start=1):
        part = np.abs(edge.share * edge.mean)
        larger = part > most
        most = np.where(larger, part, most)
        main["edge"][larger] = number
        main["evidence"][larger] = edge.evidence
        for name, values in (
            *(("probability", edge.share), ("share", edge.share)),
            *(("mean", edge.mean), ("variance", edge.variance)),
        ):
            main[name][larger] = values[larger]
    return main


def _quantile(at: float, share: FloatArray, mean: FloatArray, variance: FloatArray) -> FloatArray:
    """The quantile of what is 0 but for a share, which is normal."""
    spread = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.where(spread > 0, share * ndtr(-mean / spread), 0.0)
        rest = np.where(at < below, at, at - (1.0 - share))
        normal = mean + spread * ndtri(np.clip(rest / share, 0.0, 1.0))
    zero = (at >= below) & (at <= below + 1.0 - share)
    return np.where((share <= 0) | zero, 0.0, normal)


def _explained(walk: Walk, moves: Any, settings: LearningSettings) -> IntArray:
    """For a slice that alone looked like an edge and is left out: the slice whose edge explains it."""
    lead = np.full(len(moves), -1, np.int64)
    if not walk.edges or not len(moves):
        return lead
    factors = np.array(walk.factors)
    drop = factors[:-1] - factors[1:]
    leads = np.array([int(np.argmax(edge.share)) for edge in walk.edges])
    open_ = (factors[0] >= np.log(settings.evidence_min)) & ~moves & (drop.max(axis=0) > 0)
    lead[open_] = leads[np.argmax(drop, axis=0)][open_]
    return lead
