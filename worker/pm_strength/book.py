"""OverrideBook: all overrides in memory, looked up by group and scope."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .scopes import TypedValue, typed_scope
from .settings import LearningSettings
from .sizing import Match, Resolution, match_weight, resolve_matches


@dataclass(frozen=True, slots=True)
class _Override:
    id: int | str
    scope_subset: Mapping[str, Any]
    multiplier: float
    confidence_score: float


# The overrides of a group: by the names of their dimensions, then by the values of these.
_Table = dict[tuple[TypedValue, ...], list[_Override]]
_Group = dict[tuple[str, ...], _Table]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class OverrideBook:
    """The overrides of one materialization, and the settings to resolve them with.

    `overrides` are rows of `pm_overrides`; `run_id` is the mining run that they come from; `as_of`
    is when they were materialized, and makes answers `stale` once it is `stale_after_hours` ago.
    A book never changes, so any number of threads may use it.
    """

    def __init__(
        self,
        overrides: Iterable[Mapping[str, Any]],
        settings: LearningSettings | None = None,
        *,
        run_id: int | None = None,
        as_of: datetime | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.settings = settings if settings is not None else LearningSettings()
        self.run_id = run_id
        self.as_of = as_of
        self._clock = clock
        self._groups: dict[tuple[str, str], _Group] = {}
        self._size = 0
        for row in overrides:
            self._add(row)

    def __len__(self) -> int:
        return self._size

    def resolve(self, pattern_key: str, action_category: str, scope: Mapping[str, Any] | None) -> Resolution:
        """The multiplier for an action in a scope. Never raises: a key that is no text is `bad_input`.

        An override matches if its group is the same and its `scope_subset` is contained in `scope`,
        values compared as jsonb does. A scope that is no mapping counts as empty.
        """
        if not (isinstance(pattern_key, str) and pattern_key) or not (
            isinstance(action_category, str) and action_category
        ):
            return Resolution.neutral("bad_input", run_id=self.run_id, as_of=self.as_of)
        try:
            return self._resolve(pattern_key, action_category, scope)
        except Exception:
            # A scope of the caller's own making (keys that are no text, values that cannot be
            # compared) must not break its trading loop.
            return Resolution.neutral("bad_input", run_id=self.run_id, as_of=self.as_of)

    def _resolve(self, pattern_key: str, action_category: str, scope: Mapping[str, Any] | None) -> Resolution:
        values = typed_scope(scope) if isinstance(scope, Mapping) else {}
        matches = [
            Match(
                override.id,
                override.scope_subset,
                override.multiplier,
                override.confidence_score,
                match_weight(override.confidence_score, len(override.scope_subset), self.settings),
            )
            for override in self._matching(self._groups.get((pattern_key, action_category), {}), values)
        ]
        return resolve_matches(
            matches, self.settings, stale=self.is_stale(), run_id=self.run_id, as_of=self.as_of
        )

    def is_stale(self) -> bool:
        """Whether the materialization is older than `stale_after_hours`."""
        if self.as_of is None:
            return False
        return self._clock() - self.as_of > timedelta(hours=self.settings.stale_after_hours)

    def _add(self, row: Mapping[str, Any]) -> None:
        scope_subset = row["scope_subset"]
        values = typed_scope(scope_subset)
        self._size += 1
        if len(values) < len(scope_subset):
            return  # a value that is no dimension is in no scope
        names = tuple(sorted(values))
        override = _Override(
            row["id"], scope_subset, float(row["multiplier"]), float(row["confidence_score"])
        )
        table = self._groups.setdefault((row["pattern_key"], row["action_category"]), {})
        key = tuple(values[name] for name in names)
        table.setdefault(names, {}).setdefault(key, []).append(override)

    def _matching(self, group: _Group, values: Mapping[str, TypedValue]) -> Iterable[_Override]:
        for names, table in group.items():
            try:
                key = tuple(values[name] for name in names)
            except KeyError:
                continue
            yield from table.get(key, ())
