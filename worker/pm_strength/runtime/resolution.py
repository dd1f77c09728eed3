"""The answer for one action: the multiplier, why it is what it is, and the overrides behind it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, overload

from ..json_values import finite
from ..settings import LearningSettings

REASONS = ("matched", "no_match", "zero_weight", "stale", "bad_input", "unavailable")
# A resolution shows so many matches, the heaviest, unless all are asked for.
SHOWN_MATCHES = 20
# More evidence than this is not told apart in a text.
MOST_EVIDENCE = 1e6


def shown_evidence(evidence: float) -> str:
    """Evidence as a text: beyond a million it is certain enough."""
    return f"{evidence:,.0f}" if evidence <= MOST_EVIDENCE else f"over {MOST_EVIDENCE:,.0f}"


@dataclass(frozen=True, slots=True)
class Match:
    """An override that holds in the scope asked for, with its weight in the blend.

    `share` is its part of the weight of all that hold. `stats` is the evidence for it, where its profile
    gives some: {evidence, n, n_effective, ...}. `a_multiplier` and `e_multiplier` are None without them.
    """

    id: int | str
    scope_subset: Mapping[str, Any]
    multiplier: float
    confidence_score: float
    weight: float
    share: float = 0.0
    stats: Mapping[str, Any] | None = None
    a_multiplier: float | None = None
    e_multiplier: float | None = None

    def explain(self) -> str:
        """What it adds in a sum, as `family=ai, tf=4h: -0.21 (evidence 850, 120 trades that count as 95)`."""
        scope = ", ".join(f"{name}={_shown(value)}" for name, value in sorted(self.scope_subset.items()))
        text = f"{scope or 'always'}: {self.multiplier - 1:+.2f}"
        stats = self.stats or {}
        told = []
        if (evidence := finite(stats.get("evidence"))) is not None:
            told.append(f"evidence {shown_evidence(evidence)}")
        if (trades := finite(stats.get("n"))) is not None:
            effective = finite(stats.get("n_effective"))
            counted = "" if effective is None else f" that count as {effective:,.0f}"
            told.append(f"{trades:,.0f} trades{counted}")
        return f"{text} ({', '.join(told)})" if told else text

    def to_dict(self) -> dict[str, Any]:
        """As `resolve_pm_strength` gives it, and its share."""
        more = {"stats": self.stats, "a_multiplier": self.a_multiplier, "e_multiplier": self.e_multiplier}
        return {
            "id": self.id,
            "scope_subset": dict(self.scope_subset),
            "multiplier": self.multiplier,
            "confidence_score": self.confidence_score,
            "weight": self.weight,
            "share": self.share,
        } | {name: value for name, value in more.items() if value is not None}


class Matches(Sequence[Match]):
    """The matches of a resolution, heaviest first. A match is made when it is looked at."""

    __slots__ = ("_group", "_places", "_total")

    def __init__(self, group: Sequence[Match], places: Sequence[int]) -> None:
        self._group = group
        self._places = places
        self._total: float | None = None

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, item: int) -> Match: ...
    @overload
    def __getitem__(self, item: slice) -> tuple[Match, ...]: ...
    def __getitem__(self, item: int | slice) -> Match | tuple[Match, ...]:
        if isinstance(item, slice):
            return tuple(map(self._match, self._places[item]))
        return self._match(self._places[item])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matches | tuple) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def _match(self, place: int) -> Match:
        if self._total is None:
            self._total = math.fsum(self._group[held].weight for held in self._places)
        match, total = self._group[place], self._total
        return replace(match, share=match.weight / total if total else 0.0)


@dataclass(frozen=True, slots=True)
class Resolution:
    """A multiplier and why it is what it is; prints as a small table.

    `reason` is one of `REASONS`; `matches` are all overrides that hold, heaviest first; `run_id` is
    the mining run they come from, `as_of` when they were materialized, and `age_hours` how long that
    was ago. `strategy` is the one of `STRATEGIES` that the overrides were resolved with; None where
    nothing was resolved. `a_multiplier` and `e_multiplier` are what to multiply the bot's A and E scores
    by, from 0.8 to 1.2; None where the setting `ae_multipliers` is off. `exposure_scale` is what the part of
    the multiplier above 1 was multiplied by, to keep to `max_added_exposure`. `role` is whose answer it is,
    `live` or, for a trade of the canary, `shadow`; `beside` is what the other role would have said, None
    where no profile is in the shadow.
    """

    multiplier: float
    reason: str
    matches: Sequence[Match] = ()
    run_id: int | None = None
    as_of: datetime | None = None
    age_hours: float | None = None
    strategy: str | None = None
    a_multiplier: float | None = None
    e_multiplier: float | None = None
    exposure_scale: float = 1.0
    role: str = "live"
    beside: Resolution | None = None

    @property
    def matched(self) -> int:
        """How many overrides hold."""
        return len(self.matches)

    @classmethod
    def neutral(cls, reason: str) -> Resolution:
        """The multiplier 1.0, with its reason."""
        return cls(1.0, reason)

    def to_dict(self, limit: int | None = SHOWN_MATCHES) -> dict[str, Any]:
        """For logs, with the names that `resolve_pm_strength` uses; `limit` None shows all matches."""
        return {
            "multiplier": self.multiplier,
            "reason": self.reason,
            "matched": self.matched,
            "matches": [match.to_dict() for match in self.matches[:limit]],
            "run_id": self.run_id,
            "as_of": self.as_of.isoformat() if self.as_of is not None else None,
            "age_hours": self.age_hours,
            "strategy": self.strategy,
            "a_multiplier": self.a_multiplier,
            "e_multiplier": self.e_multiplier,
            "exposure_scale": self.exposure_scale,
        } | self._beside_dict()

    def _beside_dict(self) -> dict[str, Any]:
        if self.beside is None:
            return {}
        return {"role": self.role, "beside": self.beside.to_dict(0) | {"role": self.beside.role}}

    def __str__(self) -> str:
        how = self.reason if self.strategy is None else f"{self.reason}, {self.strategy}"
        lines = [f"multiplier {self.multiplier:.4f} ({how}), {self.matched} matched"]
        if self.run_id is not None:
            lines[0] += f", mining run {self.run_id}"
        if self.age_hours is not None:
            lines[0] += f", {self.age_hours:.1f} h old"
        if self.beside is not None:
            other = self.beside
            lines.append(f"  by {self.role}; {other.role} would say {other.multiplier:.4f} ({other.reason})")
        shown = self.matches[:SHOWN_MATCHES]
        if self.strategy == "sum":
            lines += [f"  {match.explain()}" for match in shown]
            shown = ()
        if shown:
            lines.append("  multiplier    weight   share  scope")
        for match in shown:
            scope = json.dumps(dict(match.scope_subset), ensure_ascii=False)
            lines.append(f"  {match.multiplier:10.4f}  {match.weight:8.4f}  {match.share:6.1%}  {scope}")
        if self.matched > SHOWN_MATCHES:
            lines.append(f"  and {self.matched - SHOWN_MATCHES:,} lighter ones")
        return "\n".join(lines)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def match_weight(confidence_score: float, dimensions: int, settings: LearningSettings) -> float:
    """confidence_score * (dimensions + 1) ^ specificity_alpha."""
    return confidence_score * math.pow(dimensions + 1, settings.specificity_alpha)


def specificity_order(match: Match) -> tuple[float, float, float, float]:
    """Most dimensions, then most confidence, then nearest to 1, then smaller."""
    return (
        -len(match.scope_subset),
        -match.confidence_score,
        abs(match.multiplier - 1),
        match.multiplier,
    )
