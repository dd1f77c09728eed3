"""The limit of the exposure: how much sizes grow on the whole."""

from __future__ import annotations


def exposure_scale(actions: int, below: float, above: float, limit: float | None) -> float:
    """What the part of a multiplier above 1 is multiplied by, so that sizes grow by at most `limit`.

    Of so many actions, `below` is the sum of min(m, 1), `above` that of what is above 1. The mean multiplier
    is then (below + scale * above) / actions <= 1 + limit.
    """
    if limit is None or above <= 0:
        return 1.0
    return max(0.0, min(1.0, ((1.0 + limit) * actions - below) / above))
