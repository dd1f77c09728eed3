"""Evaluation: would the learned sizes have paid, on trades that they were not learned from?

Reads along the data: candidates (what is compared), walk_forward (learn from what had closed, size what came
next), uplift (what the sizes were worth, and how sure that is), measures (spread, calibration, drawdown),
verdict (in words), evaluate (all of it).
"""
