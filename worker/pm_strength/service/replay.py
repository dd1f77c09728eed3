"""What the live and the shadow profile said of actions of the past, and what it was worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import EventsError
from ..json_values import Row
from ..project.store import Store
from ..settings import LearningSettings
from .events import Progress, read_all_events, silent

if TYPE_CHECKING:
    from ..evaluation.evaluate import Evaluation

ROLES = ("live", "shadow")


def replay(store: Store, module: str, progress: Progress = silent, seed: int = 0) -> Evaluation:
    """Compare what each role said of the entries and adds that both had an answer for.

    By the overrides and the settings of the time of each action. Raises `EventsError` where there is none.
    """
    import numpy as np

    from ..evaluation.actions import read_actions
    from ..evaluation.evaluate import evaluate_given

    settings = LearningSettings.from_mapping(store.settings_row(module))
    events = read_all_events(store, module, progress)
    actions = read_actions(events, settings.outcome)
    chosen = events.iloc[actions.row]
    columns = (chosen[name] for name in ("action_at", "pattern_key", "action_category", "scope"))
    requests: list[Row] = [
        {
            "at": at.isoformat(),
            "pattern_key": key,
            "action_category": category,
            "scope": scope,
            "module": module,
        }
        for at, key, category, scope in zip(*columns, strict=True)
    ]
    rows: list[int] = []
    said: dict[str, list[float]] = {role: [] for role in ROLES}
    for number, answer in enumerate(store.replay(requests)):
        if number % 500 == 0:
            progress("replaying", number / len(requests))
        if all(answer[role] is not None for role in ROLES):
            rows.append(int(actions.row[number]))
            for role in ROLES:
                said[role].append(float(answer[role]))
    if not rows:
        raise EventsError(
            "There are no actions of which both the live and the shadow profile had an answer: set "
            "shadow_profile, and wait for trades."
        )
    given = {role: np.array(values) for role, values in said.items()}
    return evaluate_given(events, np.array(rows), given, outcome=settings.outcome, seed=seed)
