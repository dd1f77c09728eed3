"""What an override is found by among those of a set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..scopes import ScopeKey, scope_key

OverrideKey = tuple[str, str, ScopeKey]


def override_key(row: Mapping[Any, Any]) -> OverrideKey:
    """The pattern, the action and the scope of a row of `pm_overrides`."""
    return row["pattern_key"], row["action_category"], scope_key(row["scope_subset"])
