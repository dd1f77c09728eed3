"""The client of a bot: overrides of a project, held in memory and kept fresh."""

from .strength import StrengthClient

__all__ = ["StrengthClient"]
