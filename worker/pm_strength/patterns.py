"""What an action was: pattern keys and action categories (contract section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import PatternKeyError
from .json_values import shown

CATEGORIES = ("entry", "add", "trim", "exit")

_ALIASES: dict[str, tuple[str, ...]] = {
    "entry": ("entry_immediate", "e1", "e2", "entry", "buy", "rebuy"),
    "add": ("add", "scale_up"),
    "trim": ("trim", "partial_exit"),
    "exit": ("cut", "emergency_exit", "panic_exit", "exit", "sell"),
}
_CATEGORY_OF = {alias: category for category, aliases in _ALIASES.items() for alias in aliases}

# The first flag that holds names the motif; if none does, the category does.
_MOTIFS: dict[str, tuple[tuple[str, str], ...]] = {
    "entry": (
        ("buy_flag", "buy_flag"),
        ("first_dip_buy_flag", "first_dip_buy"),
        ("reclaimed_ema333", "reclaimed_ema333"),
    ),
    "add": (("is_dx_buy", "dx"), ("exhaustion", "exhaustion_add")),
    "trim": (("exhaustion", "exhaustion_trim"), ("at_support", "support_trim")),
    "exit": (("exhaustion", "exhaustion_exit"),),
}


def canonical_action_category(action_type: object) -> str:
    """The category (entry, add, trim or exit) of an action type or one of its aliases, in any case.

    Raises `PatternKeyError` for anything else: an unknown action is never taken for an entry.
    """
    category = _CATEGORY_OF.get(action_type.lower()) if isinstance(action_type, str) else None
    if category is None:
        raise PatternKeyError(f"expected one of {', '.join(sorted(_CATEGORY_OF))}, got {shown(action_type)}")
    return category


def generate_canonical_pattern_key(
    module: str,
    action_type: str,
    action_context: Mapping[str, Any] | None,
    uptrend_signals: Mapping[str, Any] | None = None,
) -> tuple[str, str]:
    """The pattern key and the action category of an action.

    The key is `module=pm|pattern_key=<family>.<state>.<motif>`. Flags hold if they are true in
    `action_context` or in `uptrend_signals`. Raises `PatternKeyError` for a module other than `pm`,
    for an unknown action type, and for a family or state that is neither text nor a whole number.
    """
    if module != "pm":
        raise PatternKeyError(f"module: expected 'pm', got {shown(module)}")
    try:
        category = canonical_action_category(action_type)
    except PatternKeyError as error:
        raise PatternKeyError(f"action_type: {error}") from None
    context = action_context or {}
    signals = uptrend_signals or {}
    family = _part(context, "pattern_family", "uptrend")
    state = _part(context, "state", "Unknown")
    motif = _motif(category, action_type, context, signals)
    return f"module=pm|pattern_key={family}.{state}.{motif}", category


def _motif(category: str, action_type: str, context: Mapping[str, Any], signals: Mapping[str, Any]) -> str:
    if action_type.lower() == "panic_exit":
        return "panic_exit"
    for flag, motif in _MOTIFS[category]:
        if context.get(flag) is True or signals.get(flag) is True:
            return motif
    return category


def _part(context: Mapping[str, Any], name: str, otherwise: str) -> str:
    value = context.get(name)
    if value is None:
        return otherwise
    # 3 and 3.0 are one number, as everywhere in JSON
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) < 2**53
        and value % 1 == 0
    ):
        return str(int(value))
    if not isinstance(value, str):
        raise PatternKeyError(f"action_context.{name}: expected a text, got {shown(value)}")
    return value or otherwise
