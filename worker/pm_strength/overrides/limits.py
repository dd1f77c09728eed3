"""The limit of a change: how far a multiplier moves from one set to the next."""

from __future__ import annotations

import pandas as pd

from ..settings import LearningSettings
from .keys import override_key


def limit_changes(
    overrides: pd.DataFrame, previous: pd.DataFrame, settings: LearningSettings
) -> pd.DataFrame:
    """The overrides, each at most `max_change` from what it was.

    `previous` are the overrides of the same profile that are live. One that is new starts from 1. One that is
    no longer made is carried over, nearer to 1 by `max_change`, until it is that near; its `stats` then say
    `leaving`. Without `max_change` the overrides are as they were.
    """
    limit = settings.max_change
    if limit is None:
        return overrides
    before = {override_key(row): row for row in previous.to_dict("records")}
    limited = overrides.copy()
    rows = overrides.to_dict("records")
    made = [override_key(row) for row in rows]
    starts = [before[key]["multiplier"] if key in before else 1.0 for key in made]
    limited["multiplier"] = [
        max(start - limit, min(start + limit, row["multiplier"]))
        for start, row in zip(starts, rows, strict=True)
    ]
    taken = set(made)
    leaving = [
        row
        | {
            "multiplier": row["multiplier"] - (limit if row["multiplier"] > 1 else -limit),
            "stats": (row.get("stats") or {}) | {"leaving": True},
        }
        for key, row in before.items()
        if key not in taken and abs(row["multiplier"] - 1.0) > limit
    ]
    return pd.concat([limited, pd.DataFrame(leaving)], ignore_index=True) if leaving else limited
