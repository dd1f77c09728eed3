"""What all tests need."""

import os
from pathlib import Path

import pm_strength

# Numba looks at a function's own file to tell whether its compiled code is still good, and not at the
# files of what it calls: whenever one of them changed, all count as changed.
_compiled = list((Path(pm_strength.__file__).parent / "mining").rglob("*.py"))
_newest = max(path.stat().st_mtime_ns for path in _compiled)
for path in _compiled:
    os.utime(path, ns=(_newest, _newest))
