"""What all tests need."""

import os
from pathlib import Path

import pm_strength

# Nothing that a test learned is kept for the next.
os.environ["PM_STRENGTH_CACHE"] = ""

# Numba tells by a function's own file whether its compiled code is still good, not by the files of what it
# calls. So what was compiled before the last change of any of them goes; all else serves every process.
_mining = Path(pm_strength.__file__).parent / "mining"
_changed = max(path.stat().st_mtime_ns for path in _mining.rglob("*.py"))
for path in _mining.rglob("*.nb[ci]"):
    if path.stat().st_mtime_ns < _changed:
        path.unlink(missing_ok=True)
