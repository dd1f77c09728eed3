"""What else a trade's end says: was it trimmed, did it reach S3, and the A and E scores of it."""

from __future__ import annotations

import numpy as np

from ..arrays import FloatArray, IntArray
from ..encode import CodedGroup

# The columns of `score_columns`: sums over trades where it is known.
TRIMMED_KNOWN, TRIMMED, S3_KNOWN, S3, A, E = range(6)

# What a trade's end says of how hard to enter (A) and how soon to leave (E): for profit after S3, profit,
# loss after a trim, and loss.
A_SCORES = (1.0, 0.5, -0.25, -1.0)
E_SCORES = (-1.0, 0.0, 0.5, 1.0)
# A mean score of one more than the group's moves A or E by so much, once there are trades enough.
SCORE_GAIN = 0.2
# As many trades as make half of that.
SCORE_TRADES = 33.0


def score_columns(group: CodedGroup, first: IntArray) -> FloatArray:
    """A row for each trade (by its first event), trades x 6; trades x 0 where nothing is known."""
    trimmed, reached = group.trimmed[first], group.reached_s3[first]
    known_trim, known_s3 = np.isfinite(trimmed), np.isfinite(reached)
    if not (known_trim.any() or known_s3.any()):
        return np.zeros((len(first), 0))
    won = group.y[first] > 0
    end = np.where(won, np.where(reached == 1.0, 0, 1), np.where(trimmed == 1.0, 2, 3))
    columns = (
        *(known_trim, np.where(known_trim, trimmed, 0.0), known_s3, np.where(known_s3, reached, 0.0)),
        *(np.array(A_SCORES)[end], np.array(E_SCORES)[end]),
    )
    return np.column_stack([column.astype(np.float64) for column in columns])


def total_scores(scores: FloatArray) -> FloatArray:
    """The sums of `score_columns` over all trades."""
    total: FloatArray = np.full(scores.shape[1], float(len(scores)))
    counted = telling(scores)
    total[counted] = scores[:, counted].sum(axis=0)
    return total


def telling(scores: FloatArray) -> IntArray:
    """The columns that need a sum: what is so for every trade is their number."""
    return np.flatnonzero((scores != 1.0).any(axis=0))


def shrunk_score(mean: FloatArray, of_all: float, effective: FloatArray) -> FloatArray:
    """0.2 * (mean score - that of all) * n / (n + 33), n being the effective number of trades."""
    score: FloatArray = SCORE_GAIN * (mean - of_all) * effective / (effective + SCORE_TRADES)
    return score
