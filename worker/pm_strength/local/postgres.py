"""The Postgres of a stack: a cluster in a folder, on a loopback port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StackError
from .keys import FIRST_PASSWORD
from .process import tail

if TYPE_CHECKING:
    import psycopg

SUPERUSER = "supabase_admin"
DATABASE = "postgres"
# Postgres refuses to run as root; if this is root, this system user owns and runs the cluster.
SYSTEM_USER = "embedded_postgres"
LOGIN_ROLES = (SUPERUSER, "postgres", "authenticator")


class Postgres:
    """One cluster. Every method works in any state that a crash may have left behind."""

    def __init__(self, folder: Path, bin_folder: Path, port: int, password: str) -> None:
        self.folder = folder
        self.port = port
        self._password = password
        self._bin = bin_folder
        self._data = folder / "data"
        self._log = folder / "postgres.log"

    def url(self, user: str = "postgres", database: str = DATABASE) -> str:
        """The address of a database, for psql and the Supabase CLI; it holds the password."""
        return self._url(user, self._password, database)

    def create(self) -> bool:
        """Make the cluster if there is none. Returns whether it was made."""
        if (self._data / "PG_VERSION").exists():
            return False
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._data.exists():
            shutil.rmtree(self._data)  # left by an initdb that was interrupted
        if _system_user() is not None:
            _open_path_to(self.folder.parent)
            _open_path_to(self._bin)
        _give_away(self.folder)
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as password:
            password.write(self._password)
            password.flush()
            _give_away(Path(password.name))
            self._run(
                "initdb",
                *("-D", self._data, "-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8"),
                *("--auth=scram-sha-256", f"--pwfile={password.name}", "--no-instructions"),
            )
        return True

    def bootstrap(self) -> None:
        """Make the roles, schemas and privileges of a hosted project: all of them, or none."""
        import psycopg

        try:
            connection = psycopg.connect(self.url(SUPERUSER))
        except psycopg.OperationalError:
            with psycopg.connect(self._url(SUPERUSER, FIRST_PASSWORD)) as old:
                self._set_passwords(old)
            connection = psycopg.connect(self.url(SUPERUSER))
        with connection:
            if connection.execute("select 1 from pg_roles where rolname = 'authenticator'").fetchone():
                return
            script = resources.files(__package__).joinpath("bootstrap.sql").read_bytes()
            connection.execute(script)
            self._set_passwords(connection)

    def _set_passwords(self, connection: psycopg.Connection[Any]) -> None:
        from psycopg import sql

        for role in LOGIN_ROLES:
            connection.execute(
                sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(self._password))
            )

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
        """Stop the server. The mode `immediate` is what a crash does."""
        if self.is_running():
            self._run("pg_ctl", "stop", "-w", "-t", "30", "-m", mode, "-D", self._data)

    def is_running(self) -> bool:
        """Whether the server of this cluster runs."""
        if not self._data.exists():
            return False
        status = subprocess.run(
            [self._bin / "pg_ctl", "status", "-D", self._data],
            capture_output=True,
            check=False,
            **_as_system_user(),
            cwd="/",
        )
        return status.returncode == 0

    def version(self) -> str:
        """The major version of the cluster."""
        return (self._data / "PG_VERSION").read_text().strip()

    def _url(self, user: str, password: str, database: str = DATABASE) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *arguments: object) -> None:
        # to a file: the server would inherit a pipe and keep it open, and we would wait for its end
        with tempfile.TemporaryFile() as output:
            try:
                ended = subprocess.run(
                    [self._bin / program, *map(str, arguments)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    check=False,
                    **_as_system_user(),
                    cwd="/",
                    start_new_session=True,
                )
            except PermissionError:
                raise StackError(
                    f"The user {SYSTEM_USER} may not run {self._bin / program}: let all users read and run "
                    f"what is in {self._bin.parent} (chmod -R go+rX), or start the stack as another user."
                ) from None
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if ended.returncode != 0:
            raise StackError(f"Postgres: {program} failed: {said[-1500:]}\n{tail(self._log)}")


def _system_user() -> pwd.struct_passwd | None:
    """The user to run Postgres as, if this is root; made if there is none. Else None."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", SYSTEM_USER], check=True
        )
    return pwd.getpwnam(SYSTEM_USER)


def _as_system_user() -> dict[str, Any]:
    """Options of `subprocess` for running as that user, without the groups of root."""
    user = _system_user()
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _give_away(path: Path) -> None:
    user = _system_user()
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def _open_path_to(folder: Path) -> None:
    """Let other users pass through a folder and those above it; they get no other right."""
    for parent in (folder, *folder.resolve().parents):
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)
