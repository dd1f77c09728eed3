"""OverrideBook: all overrides in memory, resolved by group and scope in microseconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ..json_values import is_storable
from ..overrides.bounds import MAX_SCORE_MULTIPLIER, MIN_SCORE_MULTIPLIER
from ..scopes import TypedValue, typed_scope
from ..settings import PROFILES, STRATEGIES, LearningSettings
from .index import OverrideIndex
from .override_row import read_override
from .resolution import Match, Matches, Resolution, specificity_order


class _Group:
    """The overrides of one group, with what resolving needs worked out beforehand."""

    def __init__(self, matches: list[Match], scopes: list[dict[str, TypedValue]]) -> None:
        # heaviest first: the order in which matches are shown
        order = sorted(range(len(matches)), key=lambda at: (-matches[at].weight, matches[at].id))
        self.matches = matches = [matches[at] for at in order]
        self.index = OverrideIndex([scopes[at] for at in order])
        self.weights = [match.weight for match in matches]
        self.weighted = [match.weight * match.multiplier for match in matches]
        self.terms = [match.multiplier - 1.0 for match in matches]
        by_specificity = sorted(range(len(matches)), key=lambda place: specificity_order(matches[place]))
        self.ranks = [0] * len(matches)
        for rank, place in enumerate(by_specificity):
            self.ranks[place] = rank

    def score_multiplier(self, name: str, places: list[int], strategy: str) -> float:
        """The multiplier of the A or the E score: the mean of those that have one, by weight, else 1."""
        if strategy == "most_specific":
            places = [min(places, key=self.ranks.__getitem__)]
        held = [(self.weights[place], getattr(self.matches[place], name)) for place in places]
        known = [(weight, value) for weight, value in held if value is not None]
        total = math.fsum(weight for weight, _ in known)
        if not total:
            return 1.0
        mean = math.fsum(weight * value for weight, value in known) / total
        return max(MIN_SCORE_MULTIPLIER, min(MAX_SCORE_MULTIPLIER, mean))

    def resolve(self, places: list[int], settings: LearningSettings, strategy: str) -> tuple[float, str]:
        """The multiplier of the overrides at these places, and the reason."""
        if not places:
            return 1.0, "no_match"
        total = math.fsum(map(self.weights.__getitem__, places))
        if total == 0:
            return 1.0, "zero_weight"
        if strategy == "most_specific":
            raw = self.matches[min(places, key=self.ranks.__getitem__)].multiplier
        elif strategy == "sum":
            raw = 1.0 + math.fsum(map(self.terms.__getitem__, places))
        else:
            raw = math.fsum(map(self.weighted.__getitem__, places)) / total
        return max(settings.multiplier_min, min(settings.multiplier_max, raw)), "matched"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class OverrideBook:
    """The overrides of one materialization, and the settings to resolve them with.

    `overrides` are rows of `pm_overrides`; `profile` is the one that they were made by, that of the
    settings unless it is given; `exposure_scale` is what the part of a multiplier above 1 is multiplied by;
    `run_id` is the mining run that they come from; `as_of` is when they were materialized: answers are
    `stale` once that is `stale_after_hours` ago. `clock` gives the time of now, with its time zone; without
    it this machine's clock does. Raises `OverrideError` that names the field of a row that is out of
    bounds. A book never changes, so any number of threads may use it.
    """

    def __init__(
        self,
        overrides: Iterable[Mapping[str, Any]],
        settings: LearningSettings | None = None,
        *,
        profile: str | None = None,
        exposure_scale: float = 1.0,
        run_id: int | None = None,
        as_of: datetime | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.settings = settings if settings is not None else LearningSettings()
        self.profile = profile if profile in PROFILES else self.settings.profile
        self.exposure_scale = exposure_scale
        self.run_id = run_id
        self.as_of = as_of
        self._clock = clock
        groups: dict[tuple[str, str], tuple[list[Match], list[dict[str, TypedValue]]]] = {}
        known: dict[TypedValue, TypedValue] = {}
        self._size = 0
        for row in overrides:
            self._size += 1
            match, override_scope = read_override(row, self.settings)
            # a value that is not a dimension holds in no scope
            if len(override_scope) == len(match.scope_subset):
                group = row["pattern_key"], row["action_category"]
                matches, scopes = groups.get(group) or groups.setdefault(group, ([], []))
                matches.append(match)
                # a few values come up in all rows: each is kept once, to spare the garbage collector
                scopes.append(
                    {name: known.setdefault(value, value) for name, value in override_scope.items()}
                )
        self._groups = {group: _Group(*members) for group, members in groups.items()}

    def __len__(self) -> int:
        return self._size

    def resolve(
        self,
        pattern_key: str,
        action_category: str,
        scope: Mapping[str, Any] | None,
        *,
        strategy: str | None = None,
    ) -> Resolution:
        """The multiplier for an action in a scope. Never raises.

        An override matches if its group is the same and its `scope_subset` is contained in `scope`,
        values compared as jsonb does. A scope that is not a mapping counts as empty. `strategy` is the
        settings' unless it is given; where the overrides were made by another profile than the settings
        have now, it is that profile's.

        The reason is `bad_input` for a pattern key or an action category that is not a text or that
        Postgres cannot hold, for a scope with a whole number beyond 2^53, and for an unknown strategy.
        """
        chosen = self.settings.strategy_of(self.profile) if strategy is None else strategy
        try:
            return self._resolve(pattern_key, action_category, scope, chosen)
        except Exception:
            # A scope of the caller's own making (a number too long, keys that are not text, values that
            # cannot be compared) must not break its trading loop.
            return self._resolution(1.0, "bad_input", (), chosen)

    def _resolve(
        self, pattern_key: str, action_category: str, scope: Mapping[str, Any] | None, strategy: str
    ) -> Resolution:
        texts = isinstance(pattern_key, str) and isinstance(action_category, str)
        if not (texts and pattern_key and action_category) or strategy not in STRATEGIES:
            return self._resolution(1.0, "bad_input", (), strategy)
        if not (is_storable(pattern_key) and is_storable(action_category)):
            return self._resolution(1.0, "bad_input", (), strategy)
        dimensions = typed_scope(scope) if isinstance(scope, Mapping) else {}
        group = self._groups.get((pattern_key, action_category))
        places = group.index.matching(dimensions) if group is not None else []
        matches = Matches(group.matches, places) if group is not None else ()
        if self.is_stale():
            return self._resolution(1.0, "stale", matches, strategy)
        if group is None:
            return self._resolution(1.0, "no_match", matches, strategy)
        multiplier, reason = group.resolve(places, self.settings, strategy)
        if multiplier > 1.0 and self.exposure_scale != 1.0:
            multiplier = 1.0 + (multiplier - 1.0) * self.exposure_scale
        resolution = self._resolution(multiplier, reason, matches, strategy)
        if reason != "matched" or not self.settings.ae_multipliers:
            return resolution
        return replace(
            resolution,
            a_multiplier=group.score_multiplier("a_multiplier", places, strategy),
            e_multiplier=group.score_multiplier("e_multiplier", places, strategy),
        )

    def _resolution(
        self, multiplier: float, reason: str, matches: Sequence[Match], strategy: object
    ) -> Resolution:
        known = strategy if isinstance(strategy, str) and strategy in STRATEGIES else None
        off = None if not self.settings.ae_multipliers else 1.0
        return Resolution(
            *(multiplier, reason, matches, self.run_id, self.as_of, self.age_hours(), known),
            *(off, off, self.exposure_scale),
        )

    def age_hours(self) -> float | None:
        """Hours since the materialization; None where its time is not known."""
        if self.as_of is None:
            return None
        return (self._clock() - self.as_of) / timedelta(hours=1)

    def is_stale(self) -> bool:
        """Whether the materialization is older than `stale_after_hours`."""
        age = self.age_hours()
        return age is not None and age > self.settings.stale_after_hours
