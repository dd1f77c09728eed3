"""From matching overrides to a multiplier, and from a multiplier to a size (contract section 4)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, SupportsFloat, overload

from .errors import PatternKeyError
from .patterns import canonical_action_category
from .scalars import finite
from .settings import LearningSettings

REASONS = ("matched", "no_match", "zero_weight", "stale", "bad_input", "unavailable")
SIZED_CATEGORIES = ("entry", "add")
# Matches that a resolution shows unless all are asked for, heaviest first.
SHOWN_MATCHES = 20


@dataclass(frozen=True, slots=True)
class Match:
    """An override that holds in the scope asked for, with its weight in the blend.

    `share` is its part of the weight of all that hold.
    """

    id: int | str
    scope_subset: Mapping[str, Any]
    multiplier: float
    confidence_score: float
    weight: float
    share: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As `resolve_pm_strength` gives it, and its share."""
        return {
            "id": self.id,
            "scope_subset": dict(self.scope_subset),
            "multiplier": self.multiplier,
            "confidence_score": self.confidence_score,
            "weight": self.weight,
            "share": self.share,
        }


class Matches(Sequence[Match]):
    """The matches of a resolution, heaviest first: picked out of their group when they are looked at."""

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
    was ago.
    """

    multiplier: float
    reason: str
    matches: Sequence[Match] = ()
    run_id: int | None = None
    as_of: datetime | None = None
    age_hours: float | None = None

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
        }

    def __str__(self) -> str:
        lines = [f"multiplier {self.multiplier:.4f} ({self.reason}), {self.matched} matched"]
        if self.run_id is not None:
            lines[0] += f", mining run {self.run_id}"
        if self.age_hours is not None:
            lines[0] += f", {self.age_hours:.1f} h old"
        shown = self.matches[:SHOWN_MATCHES]
        if shown:
            lines.append("  multiplier    weight   share  scope")
        for match in shown:
            scope = json.dumps(dict(match.scope_subset), ensure_ascii=False)
            lines.append(f"  {match.multiplier:10.4f}  {match.weight:8.4f}  {match.share:6.1%}  {scope}")
        if self.matched > len(shown):
            lines.append(f"  and {self.matched - len(shown):,} lighter ones")
        return "\n".join(lines)


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


def apply_strength(
    action: Mapping[str, Any],
    resolution: Resolution | SupportsFloat | None,
    exposure_skew: SupportsFloat = 1.0,
) -> dict[str, Any]:
    """A copy of the action with its size scaled; anything but an entry or an add is left as it is.

    `size_frac = min(1, max(0, size_frac * strength * exposure_skew))`. A missing or non-finite
    strength or skew counts as 1, such a size_frac as 0; numbers of any type count, those of numpy and
    `Decimal` too. `strength` in the copy explains the size:
    multiplier, reason, exposure_skew, the size before and the run. Never raises: an action that cannot
    be read gives `{}`.
    """
    try:
        return _apply(action, resolution, exposure_skew)
    except Exception:
        # Whatever an action may be, sizing must not break a trading loop: nothing is scaled.
        return _copy(action)


def _copy(action: object) -> dict[str, Any]:
    try:
        return dict(action) if isinstance(action, Mapping) else {}
    except Exception:
        return {}


def _apply(
    action: Mapping[str, Any], resolution: Resolution | SupportsFloat | None, exposure_skew: SupportsFloat
) -> dict[str, Any]:
    sized = dict(action)
    if not _is_sized(action):
        return sized
    multiplier, reason, run_id = _strength(resolution)
    given_skew, before = finite(exposure_skew), finite(action.get("size_frac"))
    skew = given_skew if given_skew is not None else 1.0
    if before is None:
        before, reason = 0.0, "bad_input"
    size = before * multiplier * skew
    # 0 * inf cannot come up, but a huge size times a huge skew can overflow to inf, which is cut to 1
    sized["size_frac"] = min(1.0, max(0.0, size)) if not math.isnan(size) else 0.0
    sized["strength"] = {
        "multiplier": multiplier,
        "reason": reason,
        "exposure_skew": skew,
        "size_frac_before": before,
        "run_id": run_id,
    }
    return sized


def _is_sized(action: Mapping[str, Any]) -> bool:
    for name in ("action_category", "action_type", "decision_type"):
        if action.get(name) is not None:
            try:
                return canonical_action_category(action[name]) in SIZED_CATEGORIES
            except PatternKeyError:
                return False
    return False


def _strength(resolution: Resolution | SupportsFloat | None) -> tuple[float, str, int | None]:
    if isinstance(resolution, Resolution):
        given, reason, run_id = finite(resolution.multiplier), resolution.reason, resolution.run_id
    else:
        given, reason, run_id = finite(resolution), "matched", None
    return (given, reason, run_id) if given is not None else (1.0, "bad_input", run_id)
