"""PM Strength: learns position-size multipliers from closed trades.

The runtime names (`OverrideBook`, `StrengthClient`, `apply_strength`, ...) need neither pandas nor
scipy; `mine_lessons`, `materialize_overrides` and `evaluate` import them when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .client.history import book_at
from .client.strength import StrengthClient
from .errors import PmStrengthError
from .patterns import generate_canonical_pattern_key
from .runtime.book import OverrideBook
from .runtime.resolution import Match, Resolution
from .runtime.sizing import apply_strength
from .settings import LearningSettings

if TYPE_CHECKING:
    from .evaluation.candidates import Candidate
    from .overrides.materialize import materialize_overrides
    from .service.machine import evaluate, mine_lessons

__all__ = [
    "Candidate",
    "LearningSettings",
    "Match",
    "OverrideBook",
    "PmStrengthError",
    "Resolution",
    "StrengthClient",
    "apply_strength",
    "book_at",
    "evaluate",
    "generate_canonical_pattern_key",
    "materialize_overrides",
    "mine_lessons",
]


def __getattr__(name: str) -> Any:
    if name in ("evaluate", "mine_lessons"):
        from .service import machine

        return getattr(machine, name)
    if name == "materialize_overrides":
        from .overrides.materialize import materialize_overrides

        return materialize_overrides
    if name == "Candidate":
        from .evaluation.candidates import Candidate

        return Candidate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
