"""A folder beside the worker that keeps what was read of a project, so that a run reads what is new alone.

It may be lost at any time. A file that is not whole, or was changed by someone without the project's key, is
not read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger(__name__)

VARIABLE = "PM_STRENGTH_CACHE"
# Another version of the package may keep other things.
_VERSION = b"1"
# A file is a signature, the length of what tells of the arrays, that, and the arrays one after the other.
_SIGNATURE_BYTES, _LENGTH_BYTES = 32, 8


class EventCache:
    """Arrays by name, in files of `folder`, each signed with the key of `project`."""

    def __init__(self, folder: Path, project: str, key: str) -> None:
        self._folder = folder
        self._project = project
        self._key = hashlib.sha256(_VERSION + key.encode()).digest()

    def load(self, name: str) -> dict[str, Any] | None:
        """What was kept under a name; None if there is nothing, or something else."""
        try:
            content = self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("the cache cannot be read", extra={"error": str(error)})
            return None
        body = memoryview(content)[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(self._signature(name, body), content[:_SIGNATURE_BYTES]):
            log.warning(
                "a file of the cache is not whole, and is not used", extra={"file": self._path(name).name}
            )
            return None
        return _unpacked(body)

    def save(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Keep arrays under a name; where that is not possible, nothing is kept."""
        body = _packed(arrays)
        path = self._path(name)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._signature(name, body))
                file.write(body)
            part.replace(path)
        except OSError as error:
            log.warning("the cache cannot be written", extra={"error": str(error)})
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        place = hashlib.sha256(f"{self._project}\n{name}".encode()).hexdigest()[:32]
        return self._folder / f"{place}.events"

    def _signature(self, name: str, body: Any) -> bytes:
        key = hmac.digest(self._key, name.encode(), "sha256")
        return hmac.digest(key, body, "sha256")


def _packed(arrays: Mapping[str, Any]) -> bytes:
    about = json.dumps([[name, array.dtype.str, array.shape] for name, array in arrays.items()]).encode()
    parts = [len(about).to_bytes(_LENGTH_BYTES, "big"), about]
    return b"".join([*parts, *(np.ascontiguousarray(array).tobytes() for array in arrays.values())])


def _unpacked(body: memoryview) -> dict[str, Any]:
    """The arrays of a file that is signed, and so is one that `_packed` made; they stay where they are."""
    at = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
    arrays = {}
    for name, kind, shape in json.loads(bytes(body[_LENGTH_BYTES:at])):
        count = math.prod(shape)
        arrays[name] = np.frombuffer(body, kind, count, at).reshape(shape) if count else np.empty(shape, kind)
        at += arrays[name].nbytes
    return arrays


def cache_of(variables: Mapping[str, str], project: str, key: str) -> EventCache | None:
    """The cache in the folder that `PM_STRENGTH_CACHE` names, or in the user's own; None if it is empty."""
    folder = variables.get(VARIABLE)
    if folder is None:
        home = variables.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        folder = str(Path(home) / "pm-strength")
    return EventCache(Path(folder), project, key) if folder else None
