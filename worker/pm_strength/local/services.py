"""The stack's two services in front of Postgres: PostgREST and the gateway."""

from __future__ import annotations

import urllib.error
import urllib.request
from importlib import resources
from pathlib import Path

from ..errors import StackError
from .binaries import deno_bin, postgrest_bin
from .keys import StackKeys
from .process import Daemon, tail, wait_until

READY_SECONDS = 20.0
MAX_ROWS = 1000


def start_postgrest(folder: Path, port: int, admin_port: int, db_url: str, keys: StackKeys) -> Daemon:
    """PostgREST as a hosted project runs it: 1,000 rows an answer."""
    log = folder / "postgrest.log"
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
            "PGRST_JWT_SECRET": keys.jwt_secret,
            "PGRST_SERVER_HOST": "127.0.0.1",
            "PGRST_SERVER_PORT": str(port),
            "PGRST_ADMIN_SERVER_PORT": str(admin_port),
            "PGRST_LOG_LEVEL": "error",
        },
    )
    return _ready("PostgREST", daemon, f"http://127.0.0.1:{admin_port}/ready", log)


def start_gateway(folder: Path, port: int, postgrest_port: int, keys: StackKeys) -> Daemon:
    """The gateway that takes a project's keys."""
    log = folder / "gateway.log"
    script = Path(str(resources.files(__package__).joinpath("gateway.ts")))
    daemon = Daemon.spawn(
        [
            *(deno_bin(), "run", "--no-config", "--no-lock", "--no-prompt", "--cached-only"),
            *(f"--allow-net=127.0.0.1:{port},127.0.0.1:{postgrest_port}", "--allow-env", script),
        ],
        log,
        {
            "GATEWAY_PORT": str(port),
            "POSTGREST_PORT": str(postgrest_port),
            "ANON_KEY": keys.anon_key,
            "SERVICE_ROLE_KEY": keys.service_role_key,
            "PUBLISHABLE_KEY": keys.publishable_key,
            "SECRET_KEY": keys.secret_key,
            "NO_COLOR": "1",
        },
    )
    return _ready("The gateway", daemon, f"http://127.0.0.1:{port}/health", log)


def answers(url: str) -> bool:
    """Whether an address answers with a good status."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback address
            return bool(answer.status < 300)
    except (urllib.error.URLError, OSError):
        return False


def _ready(name: str, daemon: Daemon, url: str, log: Path) -> Daemon:
    if not wait_until(lambda: answers(url), daemon, READY_SECONDS):
        daemon.stop()
        raise StackError(f"{name} did not start; its log ({log}) ends with:\n{tail(log)}")
    return daemon
