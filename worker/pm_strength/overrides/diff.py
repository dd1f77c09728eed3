"""What is different between two sets of overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .keys import override_key

# Multipliers that differ by less are the same: the last digits of a fit follow the order of its sums.
SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Change:
    """An override that was added (`before` is None), removed (`after` is None) or has another multiplier."""

    pattern_key: str
    action_category: str
    scope_subset: Mapping[str, Any]
    before: float | None
    after: float | None

    @property
    def size(self) -> float:
        """How far the multiplier moved; one that is not there counts as 1."""
        return abs(
            (1.0 if self.after is None else self.after) - (1.0 if self.before is None else self.before)
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON-compatible values."""
        return {
            "pattern_key": self.pattern_key,
            "action_category": self.action_category,
            "scope_subset": dict(self.scope_subset),
            "before": self.before,
            "after": self.after,
            "change": self.size,
        }


def diff_overrides(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> list[Change]:
    """The changes from one set to the other, the largest first; rows are those of `pm_overrides`."""
    old = {override_key(row): row for row in before}
    changes = []
    for row in after:
        was = old.pop(override_key(row), None)
        if was is None or abs(was["multiplier"] - row["multiplier"]) > SAME:
            changes.append(_change(row, None if was is None else was["multiplier"], row["multiplier"]))
    changes += [_change(row, row["multiplier"], None) for row in old.values()]
    return sorted(changes, key=lambda change: -change.size)


def _change(row: Mapping[str, Any], before: float | None, after: float | None) -> Change:
    return Change(row["pattern_key"], row["action_category"], row["scope_subset"], before, after)
