"""The bounds of an override's numbers (contract section 9): within them no resolver leaves a double.

A multiplier may be below 0, as a term of a sum; its size is within the bounds then.
"""

MIN_MULTIPLIER, MAX_MULTIPLIER = 1e-6, 1e6
# Of the A and E scores.
MIN_SCORE_MULTIPLIER, MAX_SCORE_MULTIPLIER = 0.8, 1.2
MIN_CONFIDENCE, MAX_CONFIDENCE = 1e-12, 1.0
