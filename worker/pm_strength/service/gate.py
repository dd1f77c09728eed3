"""The gate: a mining run is published only if its lessons do not fail on trades that they have not seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import EventsError, GateError
from ..settings import LearningSettings
from .machine import evaluate

if TYPE_CHECKING:
    import pandas as pd


def pass_gate(
    events: pd.DataFrame, settings: LearningSettings, progress: Callable[[float], None]
) -> str | None:
    """Evaluate the settings on the events of a run; returns what to say of it, None where it pays.

    Raises `GateError` if the verdict is that it does not pay. Where nothing can be told, the run passes.
    """
    from ..evaluation.candidates import Candidate
    from ..evaluation.verdict import CANNOT_TELL, DOES_NOT

    candidate = Candidate(settings.profile, settings)
    try:
        report = evaluate(events, [candidate], progress=lambda _, share: progress(share))
    except EventsError as error:
        return f"gate: cannot tell ({error})"
    [result] = report.results
    if result.verdict == DOES_NOT:
        raise GateError(
            f"gate: the lessons of the profile {settings.profile} do not pay on trades that they were not "
            f"learned from ({result.why}), so what was published before stays. `pm-strength evaluate` "
            "shows more; `pm-strength settings set gate=false` publishes all the same."
        )
    return f"gate: cannot tell ({result.why})" if result.verdict == CANNOT_TELL else None
