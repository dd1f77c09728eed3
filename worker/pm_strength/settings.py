"""The learning settings of one module: contract section 6, validated key by key."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from .errors import SettingsError

# The module that is meant where none is named.
DEFAULT_MODULE = "pm"
MAX_MODULE_CHARACTERS = 100
STRATEGIES = ("blend", "most_specific", "sum")
# The methods of learning, and the strategy that the overrides of each are made for.
PROFILES = {"source": "blend", "guarded": "sum"}
# The column of an event that holds each outcome; `roi` is that column's percent divided by 100.
OUTCOME_COLUMNS = {"rr": "rr", "roi": "rpnl_pct", "pnl_usd": "pnl_usd"}
OUTCOMES = tuple(OUTCOME_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningSettings:
    """How lessons are mined, turned into overrides and applied.

    Construct it directly for the defaults and known-good values, or with `from_mapping` for
    JSON from outside. Either way every value is checked; errors are `SettingsError`. Where no
    `strategy` is given it is that of the profile.
    """

    profile: str = "source"
    n_min: int = 33
    var_prior: float = 0.25
    edge_threshold: float = 0.05
    multiplier_min: float = 0.3
    multiplier_max: float = 3.0
    specificity_alpha: float = 1.5
    strategy: str = ""
    outcome: str = "rr"
    scope_dims: tuple[str, ...] | None = None
    max_dims: int | None = 3
    max_lessons: int = 1_000_000
    stale_after_hours: float = 24.0
    guarded_n_min: int = 20
    evidence_min: float = 10.0
    tau: float = 0.2
    gain: float = 2.0
    drift_alarm: float | None = 20.0
    max_change: float | None = None
    max_added_exposure: float | None = None
    ae_multipliers: bool = False
    gate: bool = False
    shadow_profile: str | None = None
    canary_share: float = 0.0

    def __post_init__(self) -> None:
        if self.strategy == "":
            own = PROFILES[self.profile] if self.profile in tuple(PROFILES) else "blend"
            object.__setattr__(self, "strategy", own)
        for field in fields(self):
            check, expected = _RULES[field.name]
            value = getattr(self, field.name)
            if not check(value):
                raise SettingsError(field.name, expected, value)
        if isinstance(self.scope_dims, list):
            object.__setattr__(self, "scope_dims", tuple(self.scope_dims))
        for name in _INTEGERS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, int(value))

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> LearningSettings:
        """Settings from a JSON object; keys it lacks take their defaults.

        Raises `SettingsError` naming the key that is unknown or out of range.
        """
        if not isinstance(values, Mapping):
            raise SettingsError("settings", "a JSON object", values)
        known = {field.name for field in fields(cls)}
        for key in values:
            if key not in known:
                raise SettingsError(key, "one of " + ", ".join(sorted(known)), values[key])
        if values.get("strategy") == "":
            raise SettingsError("strategy", _RULES["strategy"][1], "")
        return cls(**values)

    def strategy_of(self, profile: str) -> str:
        """The strategy for overrides of a profile.

        Overrides outlive a change of `profile` until the next run, and those of one profile are not made
        for the strategy of another: the setting counts for its own profile alone.
        """
        return self.strategy if profile == self.profile else PROFILES[profile]

    @property
    def least_trades(self) -> int:
        """The distinct trades that a lesson needs: `guarded_n_min` in the guarded profile, else `n_min`."""
        return self.guarded_n_min if self.profile == "guarded" else self.n_min

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON-compatible values."""
        values = asdict(self)
        if self.scope_dims is not None:
            values["scope_dims"] = list(self.scope_dims)
        return values


def _number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all doubles
        return False


def _integer(value: Any) -> bool:
    return _number(value) and float(value) == int(value)


def _at_least(low: float) -> Callable[[Any], bool]:
    return lambda value: _number(value) and value >= low


def _from_to(low: float, high: float, kind: Callable[[object], bool] = _number) -> Callable[[Any], bool]:
    return lambda value: kind(value) and low <= value <= high


def _strings(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) and item for item in value)


def _boolean(value: object) -> bool:
    return isinstance(value, bool)


_INTEGERS = ("n_min", "max_dims", "max_lessons", "guarded_n_min")
# Within the upper bounds nothing that is computed from a setting leaves a double, an integer or a timestamp
# of Postgres. `settings.cases.json` holds SQL to the same bounds.
_MAX_INTEGER = 2**31 - 1
_MAX_ALPHA = 100
_MAX_STALE_HOURS = 8_760_000
_MAX_FACTOR = 1e6

_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "n_min": (_from_to(1, _MAX_INTEGER, _integer), f"an integer from 1 to {_MAX_INTEGER}"),
    "var_prior": (_at_least(0), "a finite number >= 0"),
    "edge_threshold": (_at_least(0), "a finite number >= 0"),
    "multiplier_min": (_from_to(0, 1), "a number from 0 to 1"),
    "multiplier_max": (_at_least(1), "a finite number >= 1"),
    "specificity_alpha": (_from_to(0, _MAX_ALPHA), f"a number from 0 to {_MAX_ALPHA}"),
    "profile": (lambda v: v in tuple(PROFILES), "'source' or 'guarded'"),
    "strategy": (lambda v: v in STRATEGIES, "'blend', 'most_specific' or 'sum'"),
    "outcome": (lambda v: v in OUTCOMES, "'rr', 'roi' or 'pnl_usd'"),
    "scope_dims": (lambda v: v is None or _strings(v), "null or a list of dimension names"),
    "max_dims": (
        lambda v: v is None or _from_to(0, _MAX_INTEGER, _integer)(v),
        f"null or an integer from 0 to {_MAX_INTEGER}",
    ),
    "max_lessons": (_from_to(1, _MAX_INTEGER, _integer), f"an integer from 1 to {_MAX_INTEGER}"),
    "stale_after_hours": (
        lambda v: _number(v) and 0 < v <= _MAX_STALE_HOURS,
        f"a number > 0 and <= {_MAX_STALE_HOURS}",
    ),
    "guarded_n_min": (_from_to(2, _MAX_INTEGER, _integer), f"an integer from 2 to {_MAX_INTEGER}"),
    "evidence_min": (_from_to(1, _MAX_FACTOR), "a number from 1 to 1000000"),
    "tau": (_from_to(0.001, 10), "a number from 0.001 to 10"),
    "gain": (_from_to(0, 100), "a number from 0 to 100"),
    "drift_alarm": (lambda v: v is None or _from_to(1, _MAX_FACTOR)(v), "null or a number from 1 to 1000000"),
    "max_change": (
        lambda v: v is None or _from_to(0.001, _MAX_FACTOR)(v),
        "null or a number from 0.001 to 1000000",
    ),
    "max_added_exposure": (
        lambda v: v is None or _from_to(0, _MAX_FACTOR)(v),
        "null or a number from 0 to 1000000",
    ),
    "ae_multipliers": (_boolean, "true or false"),
    "gate": (_boolean, "true or false"),
    "shadow_profile": (lambda v: v is None or v in tuple(PROFILES), "null, 'source' or 'guarded'"),
    "canary_share": (_from_to(0, 1), "a number from 0 to 1"),
}
