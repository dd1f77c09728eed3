"""Which project to talk to: environment variables, `.env`, or the embedded stack."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from .errors import ConnectionSettingsError

URL_VARIABLE = "SUPABASE_URL"
KEY_VARIABLES = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")


@dataclass(frozen=True, slots=True)
class Connection:
    """A project's API address and the key to use there; the key is never shown."""

    url: str
    key: str = field(repr=False)


def environment(dotenv: Path | None = None) -> dict[str, str]:
    """The process environment over the values of `.env` (in the working directory by default)."""
    path = dotenv if dotenv is not None else Path.cwd() / ".env"
    values = {name: value for name, value in dotenv_values(path).items() if value is not None}
    return values | dict(os.environ)


def connection_from(variables: Mapping[str, str]) -> Connection | None:
    """The project that the variables name; None if they name none.

    Raises `ConnectionSettingsError` if they name half of one, or an address that is none.
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
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConnectionSettingsError(
            f"{URL_VARIABLE}: expected an address like https://<project>.supabase.co, got {url!r}"
        )
    return Connection(url.rstrip("/"), key)
