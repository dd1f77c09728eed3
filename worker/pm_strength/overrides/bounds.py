"""The bounds of an override's numbers (contract section 9): within them no resolver leaves a double."""

LEAST_MULTIPLIER, MOST_MULTIPLIER = 1e-6, 1e6
LEAST_CONFIDENCE, MOST_CONFIDENCE = 1e-12, 1.0
