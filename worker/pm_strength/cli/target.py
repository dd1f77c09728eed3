"""Which project a command talks to: the environment's, else the embedded stack."""

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
    from ..local.stack import Stack

DEFAULT_DIRECTORY = Path(".pm-strength")

StackDirectory = Annotated[
    Path, typer.Option("--dir", help="The embedded stack's folder.", file_okay=False, show_default=True)
]
ProjectDirectory = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        help="Talk to the embedded stack of this folder, whatever the environment says.",
        file_okay=False,
    ),
]


def open_stack(directory: Path) -> Stack:
    """The embedded stack of a folder; raises `StackError` where its packages are not installed."""
    try:
        from ..local.stack import Stack
    except ModuleNotFoundError as error:
        raise StackError(
            f"The embedded stack needs the package {error.name}: install 'pm-strength[worker,local]'."
        ) from None
    return Stack(directory)


def find_project(directory: Path | None) -> Connection:
    """The project of the environment or of `.env`; without one, or with a folder, the stack there.

    Raises `ConnectionSettingsError` that says both ways if there is neither.
    """
    if directory is None:
        connection = connection_from(environment())
        if connection is not None:
            return connection
    folder = directory if directory is not None else DEFAULT_DIRECTORY
    status = open_stack(folder).status() if folder.exists() else None
    if status is None:
        option = "" if directory is None else f" --dir {directory}"
        raise ConnectionSettingsError(
            "There is no project to talk to. Either set SUPABASE_URL and SUPABASE_SECRET_KEY (in the "
            f"environment or in .env), or start the embedded stack with `pm-strength up{option}`."
        )
    return Connection(status.api_url, status.keys.secret_key)


@contextmanager
def open_store(directory: Path | None) -> Iterator[Store]:
    """A store on the project of `find_project`."""
    store = Store.connect(find_project(directory))
    try:
        yield store
    finally:
        store.close()
