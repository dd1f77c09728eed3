"""The stack as a whole: up, down and status. A state file keeps its keys, ports and processes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import StackError
from .binaries import install_pgmq, postgres_bin
from .keys import StackKeys, new_password
from .migrations import migrate
from .postgres import Postgres
from .process import Daemon
from .services import start_functions, start_gateway, start_postgrest

# The ports of `supabase start`, taken if they are free.
PREFERRED_PORTS = {"api": 54321, "db": 54322, "rest": 54331, "rest_admin": 54332, "functions": 54333}
# If this is root, Postgres runs as another user, who has to pass through the folder.
FOLDER_MODE = 0o711 if os.geteuid() == 0 else 0o700
SERVICES = ("postgrest", "functions", "gateway")
# The services that call what listens on a port, and are started again when it moves.
_LOOKS_FOR = {"rest": ("gateway",), "functions": ("gateway",), "api": ("functions",)}


@dataclass(frozen=True, slots=True)
class StackStatus:
    """The addresses and keys of a running stack."""

    api_url: str
    db_url: str
    keys: StackKeys

    def variables(self) -> dict[str, str]:
        """The addresses and keys, by the names that `supabase status -o env` uses."""
        return {
            "API_URL": self.api_url,
            "DB_URL": self.db_url,
            "PUBLISHABLE_KEY": self.keys.publishable_key,
            "SECRET_KEY": self.keys.secret_key,
            "JWT_SECRET": self.keys.jwt_secret,
            "ANON_KEY": self.keys.anon_key,
            "SERVICE_ROLE_KEY": self.keys.service_role_key,
        }


class Stack:
    """The embedded stack of one folder. Every folder has a stack of its own."""

    def __init__(self, directory: Path, *, pg_bin: Path | None = None) -> None:
        self.directory = directory.resolve()
        self._pg_bin = pg_bin

    def up(
        self, migrate_schema: bool = True, progress: Callable[[str], None] = lambda step: None
    ) -> StackStatus:
        """Start what does not run, and apply the missing migrations.

        `progress` gets the name of each part before it is started. Raises `StackError` with the end of
        the log of the part that failed.
        """
        self._make_directory()
        with self._locked(), _one_start_at_a_time():
            state = self._read() or {"keys": StackKeys.generate().to_dict(), "ports": {}, "daemons": {}}
            self._choose_ports(state)
            if "db_password" not in state["keys"]:
                state["keys"]["db_password"] = new_password()
                # it runs with the old password
                self._stop_service("postgrest", state)
            self._write(state)
            progress("Postgres")
            postgres = self._start_postgres(state)
            if migrate_schema:
                progress("migrations")
                migrate(postgres.url())
            for name in SERVICES:
                progress(name)
                self._start_service(name, state)
            return self._status_of(state)

    def down(self, purge: bool = False) -> None:
        """Stop everything; with `purge`, remove the folder too."""
        if not self.directory.exists():
            return
        with self._locked():
            state = self._read()
            if state is not None:
                for name in reversed(SERVICES):
                    self._stop_service(name, state)
                self._postgres(state).stop()
                self._write(state)
            if purge:
                shutil.rmtree(self.directory)

    def status(self) -> StackStatus | None:
        """The addresses and keys, if all parts run; else None."""
        state = self._read()
        if state is None or not all(self._daemon(name, state) for name in SERVICES):
            return None
        return self._status_of(state) if self._postgres(state).is_running() else None

    def restart(self, part: str, *, crash: bool = False) -> None:
        """Stop and start `postgres` or a service; with `crash`, stop it without letting it finish."""
        self.stop_part(part, crash=crash)
        state = self._require()
        if part == "postgres":
            self._postgres(state).start()
        else:
            self._start_service(part, state)

    def stop_part(self, part: str, *, crash: bool = False) -> None:
        """Stop `postgres` or a service; `up` starts it again."""
        state = self._require()
        if part == "postgres":
            self._postgres(state).stop("immediate" if crash else "fast")
        else:
            self._stop_service(part, state, crash=crash)

    def postgres(self) -> Postgres:
        """The Postgres of this stack, running or not."""
        return self._postgres(self._require())

    # parts

    def _start_postgres(self, state: dict[str, Any]) -> Postgres:
        postgres = self._postgres(state)
        install_pgmq(self._bin())
        postgres.create()
        postgres.start()
        postgres.bootstrap()
        return postgres

    def _start_service(self, name: str, state: dict[str, Any]) -> None:
        ports = state["ports"]
        if self._daemon(name, state) is not None:
            return
        keys = StackKeys(**state["keys"])
        if name == "postgrest":
            url = self._postgres(state).url("authenticator")
            daemon = start_postgrest(self.directory, ports["rest"], ports["rest_admin"], url, keys)
        elif name == "functions":
            daemon = start_functions(self.directory, ports["functions"], self._api_url(state), keys)
        else:
            daemon = start_gateway(self.directory, ports, keys)
        state["daemons"][name] = daemon.to_dict()
        self._write(state)

    def _stop_service(self, name: str, state: dict[str, Any], *, crash: bool = False) -> None:
        daemon = self._daemon(name, state)
        if daemon is not None:
            daemon.kill() if crash else daemon.stop()
        state["daemons"].pop(name, None)
        self._write(state)

    def _daemon(self, name: str, state: dict[str, Any]) -> Daemon | None:
        daemon = Daemon.from_dict(state["daemons"].get(name))
        return daemon if daemon is not None and daemon.is_running() else None

    def _postgres(self, state: dict[str, Any]) -> Postgres:
        password = StackKeys(**state["keys"]).db_password
        return Postgres(self.directory / "postgres", self._bin(), state["ports"]["db"], password)

    def _bin(self) -> Path:
        return postgres_bin(self._pg_bin)

    def _status_of(self, state: dict[str, Any]) -> StackStatus:
        return StackStatus(self._api_url(state), self._postgres(state).url(), StackKeys(**state["keys"]))

    def _api_url(self, state: dict[str, Any]) -> str:
        return f"http://127.0.0.1:{state['ports']['api']}"

    # ports

    def _choose_ports(self, state: dict[str, Any]) -> None:
        """Keep the ports of last time that are ours or free; find free ports for the others."""
        ports: dict[str, int] = state["ports"]
        owners = {
            "api": "gateway",
            "rest": "postgrest",
            "rest_admin": "postgrest",
            "functions": "functions",
        }
        for name, preferred in PREFERRED_PORTS.items():
            current = ports.get(name)
            if name == "db":
                ours = current is not None and self._postgres(state).is_running()
            else:
                ours = self._daemon(owners[name], state) is not None
            if ours:
                continue
            taken = {port for other, port in ports.items() if other != name}
            wanted = current or preferred
            ports[name] = wanted if wanted not in taken and _is_free(wanted) else _free_port(taken)
            if current not in (None, ports[name]):
                # services that still run call the old port
                for service in _LOOKS_FOR.get(name, ()):
                    self._stop_service(service, state)

    # state

    def _require(self) -> dict[str, Any]:
        state = self._read()
        if state is None:
            raise StackError(f"There is no stack in {self.directory}: start it with `pm-strength up`.")
        return state

    def _make_directory(self) -> None:
        try:
            new = not self.directory.exists()
            self.directory.mkdir(parents=True, exist_ok=True)
            if new or (self.directory / "state.json").exists():
                self.directory.chmod(FOLDER_MODE)
            # keys and data must not be committed, wherever the folder is
            ignore = self.directory / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
        except OSError as error:
            raise StackError(
                f"Cannot use {self.directory} for the stack: {error}. Choose another --dir."
            ) from None

    def _read(self) -> dict[str, Any] | None:
        path = self.directory / "state.json"
        try:
            state: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            raise StackError(
                f"{path} is not readable JSON: remove {self.directory}, and start the stack again."
            ) from None
        return state

    def _write(self, state: dict[str, Any]) -> None:
        path = self.directory / "state.json"
        partial = path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(state, file, indent=1)
        partial.replace(path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def _one_start_at_a_time() -> Iterator[None]:
    """Let one stack of this user start at a time, so that two do not choose the same free port."""
    path = Path(tempfile.gettempdir()) / f"pm-strength-start-{os.getuid()}.lock"
    lock = None
    # other users write to this folder too: a file or a link of theirs is neither followed nor waited for
    with suppress(OSError):
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if lock is not None and os.fstat(lock).st_uid == os.getuid():
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port(taken: set[int]) -> int:
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
    raise StackError("There is no free port on 127.0.0.1: stop another program, and try again.")
