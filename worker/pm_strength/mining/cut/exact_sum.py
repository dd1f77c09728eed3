"""Sums of doubles without any rounding: equal whatever parts they are added in."""

from __future__ import annotations

import numpy as np

from ..arrays import FloatArray

# A double is a whole multiple of 2 ** -1074; its mantissa of 53 bits is taken as a whole number.
_MANTISSA = 53
_UNIT = 1074 + _MANTISSA
_HALF = 27


def exact_sum(y: FloatArray) -> int:
    """The sum of finite doubles, as a multiple of 2 ** -1127."""
    mantissa, exponent = np.frexp(y)
    whole = np.ldexp(mantissa, _MANTISSA).astype(np.int64)
    total = 0
    shifts = exponent.astype(np.int64) + 1074
    for shift in np.unique(shifts).tolist():
        part = whole[shifts == shift]
        # in two halves, whose sums stay within 64 bits
        high = int((part >> _HALF).sum())
        low = int((part & ((1 << _HALF) - 1)).sum())
        total += ((high << _HALF) + low) << shift
    return total


def mean_of(total: int, count: int) -> float:
    """The mean of `count` doubles with such a sum, as `math.fsum(y) / count` gives it; 0 of none."""
    if not count:
        return 0.0
    try:
        return total / (1 << _UNIT) / count
    except OverflowError:  # the sum is beyond all doubles, the mean is not
        return total / (count << _UNIT)
