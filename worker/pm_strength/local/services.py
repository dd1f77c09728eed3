"""The services of a stack in front of Postgres: PostgREST, the edge functions and the gateway."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from ..errors import StackError
from .binaries import deno_bin, deno_folder, fetch_packages, postgrest_bin
from .keys import StackKeys, verification_keys
from .process import Daemon, tail, wait_until
from .project import functions_folder

READY_SECONDS = 20.0
MAX_ROWS = 1000
# In an option or an address, Deno takes these characters for the end of a path.
NOT_IN_A_PATH = ",#?%"
# The variables that a hosted project keeps as secrets of the functions.
FUNCTION_SECRETS = ("PM_STRENGTH_BOT_TOKEN", "PM_STRENGTH_CORS_ORIGINS")
# The public keys that users' tokens are checked with. A hosted project has its own; here they are optional.
JWKS_VARIABLE = "PM_STRENGTH_JWKS"


def start_postgrest(folder: Path, port: int, admin_port: int, db_url: str, keys: StackKeys) -> Daemon:
    """Start PostgREST as a hosted project does, with at most 1,000 rows in an answer."""
    log = folder / "postgrest.log"
    try:
        jwt_secret = verification_keys(keys.jwt_secret, os.environ.get(JWKS_VARIABLE))
    except ValueError as error:
        raise StackError(f"{JWKS_VARIABLE}: expected a JWKS in JSON: {error}") from None
    daemon = Daemon.spawn(
        [postgrest_bin()],
        log,
        {
            "PGRST_DB_URI": db_url,
            "PGRST_DB_SCHEMAS": "public",
            "PGRST_DB_EXTRA_SEARCH_PATH": "public,extensions",
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_MAX_ROWS": str(MAX_ROWS),
            "PGRST_DB_POOL": "20",
            "PGRST_DB_POOL_ACQUISITION_TIMEOUT": "10",
            "PGRST_JWT_SECRET": jwt_secret,
            "PGRST_SERVER_HOST": "127.0.0.1",
            "PGRST_SERVER_PORT": str(port),
            "PGRST_ADMIN_SERVER_PORT": str(admin_port),
            "PGRST_LOG_LEVEL": "error",
        },
    )
    return _ready("PostgREST", daemon, f"http://127.0.0.1:{admin_port}/ready", log)


def start_functions(folder: Path, port: int, api_url: str, keys: StackKeys) -> Daemon:
    """Start the edge functions; each is loaded when it is first called.

    They get the variables of a hosted project, by the same names, and `PM_STRENGTH_BOT_TOKEN`,
    `PM_STRENGTH_CORS_ORIGINS` and `PM_STRENGTH_JWKS` if these are set in our environment.
    """
    log = folder / "functions.log"
    functions = functions_folder()
    if set(NOT_IN_A_PATH) & set(str(functions)):
        raise StackError(
            f"The functions cannot be served from {functions}: expected a path without any of {NOT_IN_A_PATH}"
        )
    fetch_packages(functions)
    ours = {name: value for name, value in os.environ.items() if name in FUNCTION_SECRETS}
    daemon = Daemon.spawn(
        [
            *(deno_bin(), "run", "--frozen", "--no-prompt", "--cached-only", "--no-check"),
            *("--config", functions / "deno.json", "--allow-env", f"--allow-read={functions}"),
            *(f"--allow-net=127.0.0.1:{port},{api_url.removeprefix('http://')}", _script("functions.ts")),
        ],
        log,
        {
            "FUNCTIONS_PORT": str(port),
            "FUNCTIONS_FOLDER": str(functions),
            "SUPABASE_URL": api_url,
            "SUPABASE_ANON_KEY": keys.anon_key,
            "SUPABASE_SERVICE_ROLE_KEY": keys.service_role_key,
            "SUPABASE_PUBLISHABLE_KEYS": json.dumps({"default": keys.publishable_key}),
            "SUPABASE_SECRET_KEYS": json.dumps({"default": keys.secret_key}),
            "SUPABASE_JWKS": os.environ.get(JWKS_VARIABLE, ""),
            "PM_STRENGTH_JWT_SECRET": keys.jwt_secret,
            "DENO_DIR": str(deno_folder()),
            "NO_COLOR": "1",
            **ours,
        },
    )
    return _ready("The functions", daemon, f"http://127.0.0.1:{port}/", log)


def start_gateway(folder: Path, ports: Mapping[str, int], keys: StackKeys) -> Daemon:
    """Start the gateway, which accepts the keys of a project."""
    log = folder / "gateway.log"
    reached = ",".join(f"127.0.0.1:{ports[name]}" for name in ("api", "rest", "functions"))
    daemon = Daemon.spawn(
        [
            *(deno_bin(), "run", "--no-config", "--no-lock", "--no-prompt", "--cached-only"),
            *(f"--allow-net={reached}", "--allow-env", _script("gateway.ts")),
        ],
        log,
        {
            "GATEWAY_PORT": str(ports["api"]),
            "POSTGREST_PORT": str(ports["rest"]),
            "FUNCTIONS_PORT": str(ports["functions"]),
            "ANON_KEY": keys.anon_key,
            "SERVICE_ROLE_KEY": keys.service_role_key,
            "PUBLISHABLE_KEY": keys.publishable_key,
            "SECRET_KEY": keys.secret_key,
            "DENO_DIR": str(deno_folder()),
            "NO_COLOR": "1",
        },
    )
    return _ready("The gateway", daemon, f"http://127.0.0.1:{ports['api']}/health", log)


def answers(url: str) -> bool:
    """Whether an address answers with a status below 300."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback address
            return bool(answer.status < 300)
    except (urllib.error.URLError, OSError):
        return False


def _script(name: str) -> Path:
    return Path(str(resources.files(__package__).joinpath(name)))


def _ready(name: str, daemon: Daemon, url: str, log: Path) -> Daemon:
    if not wait_until(lambda: answers(url), daemon, READY_SECONDS):
        daemon.stop()
        raise StackError(f"{name} did not start; its log ({log}) ends with:\n{tail(log)}")
    return daemon
