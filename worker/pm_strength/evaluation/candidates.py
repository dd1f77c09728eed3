"""Candidates: the ways of learning and sizing that are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import SettingsError
from ..settings import PROFILES, STRATEGIES, LearningSettings


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way of learning and sizing, by the name that the report calls it."""

    name: str
    settings: LearningSettings


def default_candidates(settings: LearningSettings | None = None) -> list[Candidate]:
    """The source's profile with both of its strategies, and the guarded one; else by these settings."""
    return [named_candidate(name, settings) for name in ("source", "source:most_specific", "guarded")]


def named_candidate(name: str, settings: LearningSettings | None = None) -> Candidate:
    """The candidate of a text: a profile, or `profile:strategy`; else by these settings.

    Raises `SettingsError` for a profile or a strategy that is none.
    """
    settings = settings if settings is not None else LearningSettings()
    profile, _, strategy = name.partition(":")
    if profile not in PROFILES:
        raise SettingsError("profile", "one of " + ", ".join(PROFILES), profile)
    if strategy and strategy not in STRATEGIES:
        raise SettingsError("strategy", "one of " + ", ".join(STRATEGIES), strategy)
    chosen = strategy or PROFILES[profile]
    return Candidate(name, replace(settings, profile=profile, strategy=chosen))


def checked_candidates(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates; raises `SettingsError` where there is none, or two have one name or two outcomes."""
    if not candidates:
        raise SettingsError("candidates", "at least one", [])
    names = [candidate.name for candidate in candidates]
    if len(set(names)) < len(names):
        raise SettingsError("candidates", "a name for each", names)
    outcomes = sorted({candidate.settings.outcome for candidate in candidates})
    if len(outcomes) > 1:
        raise SettingsError("outcome", "the same for all candidates", outcomes)
    return list(candidates)
