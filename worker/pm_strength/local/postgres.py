"""The stack's Postgres: a cluster in a folder, on a loopback port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

from ..errors import StackError
from .process import tail

SUPERUSER = "supabase_admin"
PASSWORD = "postgres"  # noqa: S105 - as on `supabase start`; the server listens on loopback only
DATABASE = "postgres"
# Postgres refuses to run as root; the stack's system user owns the cluster then.
SYSTEM_USER = "embedded_postgres"


class Postgres:
    """One cluster. Every method can be called in any state that a crash may have left."""

    def __init__(self, folder: Path, bin_folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._bin = bin_folder
        self._data = folder / "data"
        self._log = folder / "postgres.log"

    def url(self, user: str = "postgres", database: str = DATABASE) -> str:
        """The address that psql and the Supabase CLI take."""
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create(self) -> bool:
        """Make the cluster if there is none; True if it was made."""
        if (self._data / "PG_VERSION").exists():
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._data.exists():
            shutil.rmtree(self._data)  # an initdb that was interrupted
        if _as_user() is not None:
            _open_path_to(self.folder)
            _open_path_to(self._bin)
            entry = pwd.getpwnam(SYSTEM_USER)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as password:
            password.write(PASSWORD)
            password.flush()
            os.chmod(password.name, 0o644)
            self._run(
                "initdb",
                *("-D", self._data, "-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8"),
                *("--auth=scram-sha-256", f"--pwfile={password.name}", "--no-instructions"),
            )
        return True

    def bootstrap(self) -> None:
        """Make the roles, schemas and privileges of a hosted project, all of them or none."""
        import psycopg

        with psycopg.connect(self.url(SUPERUSER)) as connection:
            if connection.execute("select 1 from pg_roles where rolname = 'authenticator'").fetchone():
                return
            script = resources.files(__package__).joinpath("bootstrap.sql").read_text()
            connection.execute(script.encode())

    def start(self) -> None:
        """Start the server and wait until it answers."""
        if self.is_running():
            return
        options = (
            f"-p {self.port} -h 127.0.0.1 -c unix_socket_directories='' -c max_connections=100 "
            "-c shared_buffers=256MB -c wal_level=logical -c max_wal_size=2GB"
        )
        self._run("pg_ctl", "start", "-w", "-t", "60", "-D", self._data, "-l", self._log, "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: fast, or immediate as a crash does."""
        if self.is_running():
            self._run("pg_ctl", "stop", "-w", "-t", "30", "-m", mode, "-D", self._data)

    def is_running(self) -> bool:
        """Whether this cluster's server runs."""
        if not self._data.exists():
            return False
        status = subprocess.run(
            [self._bin / "pg_ctl", "status", "-D", self._data],
            capture_output=True,
            check=False,
            user=_as_user(),
            cwd="/",
        )
        return status.returncode == 0

    def version(self) -> str:
        """The major version of the cluster."""
        return (self._data / "PG_VERSION").read_text().strip()

    def _run(self, program: str, *arguments: object) -> None:
        # a server that inherits a pipe would keep the caller waiting, so the output goes to a file
        with tempfile.TemporaryFile() as output:
            ended = subprocess.run(
                [self._bin / program, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                user=_as_user(),
                cwd="/",
                start_new_session=True,
            )
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if ended.returncode != 0:
            raise StackError(f"Postgres: {program} failed: {said[-1500:]}\n{tail(self._log)}")


def _as_user() -> str | None:
    """The user to run Postgres as: another one if this is root."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", SYSTEM_USER], check=True
        )
    return SYSTEM_USER


def _open_path_to(folder: Path) -> None:
    """Let other users pass through the folders above, and no more than that."""
    for parent in (folder, *folder.resolve().parents):
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o011)
