"""The arrays that mining works on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
# int16, or int32 where a dimension has more values than that holds.
CodeArray = npt.NDArray[Any]

# The code of a dimension that a scope lacks.
MISSING = -1

# Of a group without rows and dimensions.
NO_CODES: CodeArray = np.empty((0, 0), np.int16)
