"""The project that environment variables or `.env` name: its address and its key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values

from ..errors import ConnectionSettingsError

URL_VARIABLE = "SUPABASE_URL"
KEY_VARIABLES = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")
# So many first characters tell a key from other text: more than the "sb_secret_" of every key.
_RECOGNIZED = 16


@dataclass(frozen=True, slots=True)
class Connection:
    """The API address of a project, and the key to use there; the key is never shown.

    Whitespace around both is removed, because files often add some. Raises `ConnectionSettingsError`,
    which shows neither, for an invalid address and for a key that no HTTP header can hold.
    """

    url: str
    key: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _checked_url(self.url))
        object.__setattr__(self, "key", _checked_key(self.key))

    def redact(self, text: str) -> str:
        """The text with "(the key)" for the key, in any case, and for the start of a key that was cut."""
        kept, end = "", 0
        for found in re.finditer(re.escape(self.key[:_RECOGNIZED]), text, re.IGNORECASE):
            if found.start() >= end:
                kept += text[end : found.start()] + "(the key)"
                pairs = zip(self.key.lower(), text[found.start() :].lower(), strict=False)
                end = found.start() + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        return kept + text[end:]


def environment(dotenv: Path | None = None) -> dict[str, str]:
    """The variables of the process, and those of `.env` that it lacks (by default in the working folder)."""
    path = dotenv if dotenv is not None else Path.cwd() / ".env"
    values = {name: value for name, value in dotenv_values(path).items() if value is not None}
    return values | dict(os.environ)


def connection_from(variables: Mapping[str, str]) -> Connection | None:
    """The project that the variables name; None if they name none.

    Raises `ConnectionSettingsError` if one of the two is missing, and where `Connection` does.
    """
    url = variables.get(URL_VARIABLE, "").strip()
    name, key = next(
        ((name, variables[name].strip()) for name in KEY_VARIABLES if variables.get(name, "").strip()),
        ("", ""),
    )
    if not url and not key:
        return None
    if not url:
        raise ConnectionSettingsError(f"{name} is set, but {URL_VARIABLE} is not: set both.")
    if not key:
        raise ConnectionSettingsError(
            f"{URL_VARIABLE} is set, but no key: set SUPABASE_SECRET_KEY (sb_secret_..., from the project's "
            "API settings) or the legacy SUPABASE_SERVICE_ROLE_KEY."
        )
    return Connection(url, key)


def _checked_url(given: object) -> str:
    url = given.strip().rstrip("/") if isinstance(given, str) else ""
    # urlsplit drops line ends and accepts almost anything, so the characters are checked first
    parts = _split(url) if url.isprintable() and " " not in url else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConnectionSettingsError(
            f"{URL_VARIABLE}: expected an address like https://<project>.supabase.co"
        )
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise ConnectionSettingsError(
            f"{URL_VARIABLE}: expected an address like https://<project>.supabase.co, without a user, "
            "a password or a query"
        )
    return url


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is not a port
    except ValueError:
        return None
    return parts


def _checked_key(given: object) -> str:
    key = given.strip() if isinstance(given, str) else ""
    if not key or not all("!" <= character <= "~" for character in key):
        raise ConnectionSettingsError(
            f"{KEY_VARIABLES[0]}: expected a key like sb_secret_..., made of visible ASCII characters only"
        )
    return key
