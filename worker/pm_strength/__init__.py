"""PM Strength: learns position-size multipliers from closed trades.

The runtime names (`OverrideBook`, `StrengthClient`, `apply_strength`, ...) need neither pandas nor
scipy; `mine_lessons` and `materialize_overrides` import them when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .client.strength import StrengthClient
from .errors import PmStrengthError
from .patterns import generate_canonical_pattern_key
from .runtime.book import OverrideBook
from .runtime.resolution import Match, Resolution
from .runtime.sizing import apply_strength
from .settings import LearningSettings

if TYPE_CHECKING:
    from .overrides.materialize import materialize_overrides
    from .service.machine import mine_lessons

__all__ = [
    "LearningSettings",
    "Match",
    "OverrideBook",
    "PmStrengthError",
    "Resolution",
    "StrengthClient",
    "apply_strength",
    "generate_canonical_pattern_key",
    "materialize_overrides",
    "mine_lessons",
]


def __getattr__(name: str) -> Any:
    if name == "mine_lessons":
        from .service.machine import mine_lessons

        return mine_lessons
    if name == "materialize_overrides":
        from .overrides.materialize import materialize_overrides

        return materialize_overrides
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
