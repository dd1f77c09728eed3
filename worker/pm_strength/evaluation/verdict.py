"""The verdict on a candidate, in words."""

from __future__ import annotations

PAYS, DOES_NOT, CANNOT_TELL = "pays", "does not pay", "cannot tell"
VERDICTS = (PAYS, DOES_NOT, CANNOT_TELL)

# Fewer blocks of time than this say nothing.
MIN_BLOCKS = 8
# Sizes that hardly differ from 1 have nothing to prove.
MIN_SPREAD = 0.005


def verdict(
    low: float, high: float, gain: float, placebo_high: float, placebo_low: float, blocks: int, spread: float
) -> tuple[str, str]:
    """The verdict, and why.

    `low` and `high` are the bounds of the uplift `gain`, `placebo_low` and `placebo_high` those of the same
    multipliers on shuffled actions, `blocks` the blocks of time that were resampled, and `spread` the mean
    abs(m - 1). It pays if the interval is above 0 and chance alone does not reach the uplift; it does not
    pay if both are so below 0.
    """
    interval = f"uplift {gain:+.4f}, between {low:+.4f} and {high:+.4f}"
    if blocks < MIN_BLOCKS:
        return CANNOT_TELL, f"only {blocks} blocks of time; at least {MIN_BLOCKS} are needed"
    if spread < MIN_SPREAD:
        return (
            CANNOT_TELL,
            f"the sizes are moved by {spread:.1%} on average: there is next to nothing to judge",
        )
    if low > 0 and gain > placebo_high:
        return PAYS, f"{interval}; chance alone stays below {placebo_high:+.4f}"
    if high < 0 and gain < placebo_low:
        return DOES_NOT, f"{interval}; chance alone stays above {placebo_low:+.4f}"
    if low > 0 or high < 0:
        return CANNOT_TELL, f"{interval}, but shuffled sizes do as much"
    return CANNOT_TELL, f"{interval}: 0 is within"
