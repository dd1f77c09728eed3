"""A folder beside the worker that keeps what was read of a project, so that a run reads what is new alone.

It may be lost at any time. A file that is not whole, or was changed by someone without the project's key, is
not read.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger(__name__)

VARIABLE = "PM_STRENGTH_CACHE"
# Another version of the package may keep other things.
_VERSION = b"1"
_DIGEST_BYTES = 32


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
        body = memoryview(content)[_DIGEST_BYTES:]
        if self._digest(name, body) != content[:_DIGEST_BYTES]:
            log.warning(
                "a file of the cache is not whole, and is not used", extra={"file": self._path(name).name}
            )
            return None
        try:
            with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
                return {held: arrays[held] for held in arrays.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            log.warning("a file of the cache cannot be read", extra={"error": str(error)})
            return None

    def save(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Keep arrays under a name; where that is not possible, nothing is kept."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        body = buffer.getbuffer()
        path = self._path(name)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._digest(name, body))
                file.write(body)
            part.replace(path)
        except OSError as error:
            log.warning("the cache cannot be written", extra={"error": str(error)})
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        place = hashlib.sha256(f"{self._project}\n{name}".encode()).hexdigest()[:32]
        return self._folder / f"{place}.events"

    def _digest(self, name: str, body: Any) -> bytes:
        digest = hashlib.blake2b(name.encode() + b"\n", key=self._key, digest_size=_DIGEST_BYTES)
        digest.update(body)
        return digest.digest()


def cache_of(variables: Mapping[str, str], project: str, key: str) -> EventCache | None:
    """The cache in the folder that `PM_STRENGTH_CACHE` names, or in the user's own; None if it is empty."""
    folder = variables.get(VARIABLE)
    if folder is None:
        home = variables.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        folder = str(Path(home) / "pm-strength")
    return EventCache(Path(folder), project, key) if folder else None
