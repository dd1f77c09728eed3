"""Uplift: what multipliers were worth at equal exposure, and how sure that is."""

from __future__ import annotations

import numpy as np

from .actions import FloatArray, IntArray


def uplift(multiplier: FloatArray, y: FloatArray, category: IntArray) -> float:
    """sum(m y) / sum(m) - mean(y) within each category, by its share of the actions; 0 without actions.

    Within a category because an add's outcome is not an entry's: only trades that did well get adds, so
    larger adds than entries would look like skill.
    """
    total = 0.0
    for value in np.unique(category):
        chosen = category == value
        weight = float(multiplier[chosen].sum())
        if weight > 0:
            gain = float(multiplier[chosen] @ y[chosen]) / weight - float(y[chosen].mean())
            total += gain * float(chosen.mean())
    return total


def time_blocks(taken: IntArray, days: float) -> IntArray:
    """Which block of so many days each action is in, from the first action on."""
    if not len(taken):
        return np.empty(0, np.int64)
    _, number = np.unique((taken - taken.min()) // round(days * 86_400_000_000), return_inverse=True)
    return number.astype(np.int64)


def resampled(
    multipliers: FloatArray, y: FloatArray, category: IntArray, block: IntArray, times: int, seed: int
) -> FloatArray:
    """Uplifts of candidates over resampled blocks: times x candidates (Kuensch 1989, whole blocks).

    All candidates and categories of a time share its blocks, so that they can be compared.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    blocks = int(block.max()) + 1 if len(block) else 0
    if blocks == 0:
        return np.zeros((times, len(multipliers)))
    drawn = rng.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=times).astype(np.float64)
    values = np.unique(category)
    total, weights = np.zeros((times, len(multipliers))), np.zeros(times)
    parts = []
    for value in values:
        chosen = category == value

        def per_block(x: FloatArray, chosen: IntArray = chosen) -> FloatArray:
            sums: FloatArray = np.bincount(block[chosen], weights=x[chosen], minlength=blocks).astype(
                np.float64
            )
            return sums

        count, sums = drawn @ per_block(np.ones(len(y))), drawn @ per_block(y)
        weights += count
        for at, m in enumerate(multipliers):
            exposure, gained = drawn @ per_block(m), drawn @ per_block(m * y)
            with np.errstate(divide="ignore", invalid="ignore"):
                gain = np.where((exposure > 0) & (count > 0), gained / exposure - sums / count, 0.0)
            parts.append((at, count, gain))
    for at, count, gain in parts:
        total[:, at] += np.where(weights > 0, gain * count / np.maximum(weights, 1.0), 0.0)
    return total


def shuffled(
    multiplier: FloatArray, y: FloatArray, category: IntArray, within: IntArray, times: int, seed: int
) -> FloatArray:
    """Uplifts of the same multipliers given to other actions of the same class (`within`): a placebo."""
    rng = np.random.Generator(np.random.PCG64(seed))
    order = np.argsort(within, kind="stable")
    held, classes = multiplier[order], within[order]
    gains = np.empty(times)
    mixed = np.empty_like(multiplier)
    for at in range(times):
        mixed[order] = held[np.lexsort((rng.random(len(held)), classes))]
        gains[at] = uplift(mixed, y, category)
    return gains


def classes_of(*columns: IntArray) -> IntArray:
    """A number for each combination of values."""
    _, number = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    return number.ravel().astype(np.int64)
