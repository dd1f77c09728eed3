"""From a multiplier to a size (contract section 4)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, SupportsFloat

from ..errors import PatternKeyError
from ..json_values import finite
from ..patterns import canonical_action_category
from .resolution import Resolution

SIZED_CATEGORIES = ("entry", "add")
# The first of them that an action has names its category; the sizing function reads the same ones.
CATEGORY_NAMES = ("action_category", "action_type", "decision_type")


def apply_strength(
    action: Mapping[str, Any],
    resolution: Resolution | SupportsFloat | None,
    exposure_skew: SupportsFloat = 1.0,
) -> dict[str, Any]:
    """A copy of the action with its size scaled; anything but an entry or an add is left as it is.

    The category is the action's `action_category`, else its `action_type`, else its `decision_type`.
    `size_frac = min(1, max(0, size_frac * multiplier * exposure_skew))`. A missing or non-finite
    multiplier or skew counts as 1, such a size_frac as 0; numbers of any type count, those of numpy and
    `Decimal` too. `strength` in the copy explains the size: {multiplier, reason, exposure_skew,
    size_frac_before, run_id}, a_multiplier and e_multiplier where they are on, role and beside where a
    profile is in the shadow. Never raises: an action that cannot be read gives `{}`.
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
    scores = {} if not isinstance(resolution, Resolution) else _scores(resolution)
    given_skew, before = finite(exposure_skew), finite(action.get("size_frac"))
    skew = given_skew if given_skew is not None else 1.0
    if before is None:
        before, reason = 0.0, "bad_input"
    size = before * multiplier * skew
    # a product beyond all doubles is cut to 1; times a skew of 0 it is not a number, and the size is 0
    sized["size_frac"] = min(1.0, max(0.0, size)) if not math.isnan(size) else 0.0
    sized["strength"] = {
        "multiplier": multiplier,
        "reason": reason,
        "exposure_skew": skew,
        "size_frac_before": before,
        "run_id": run_id,
        **scores,
    }
    return sized


def _scores(resolution: Resolution) -> dict[str, Any]:
    """What the bot multiplies its A and E scores by, and what the other role would have said."""
    given = {"a_multiplier": resolution.a_multiplier, "e_multiplier": resolution.e_multiplier}
    scores: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if resolution.beside is not None:
        other = resolution.beside
        scores["role"] = resolution.role
        scores["beside"] = {"role": other.role, "multiplier": other.multiplier, "reason": other.reason}
    return scores


def _is_sized(action: Mapping[str, Any]) -> bool:
    for name in CATEGORY_NAMES:
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
