"""Where the files of the Supabase project are: in the checkout, or else inside the installed package."""

from __future__ import annotations

from pathlib import Path

from ..errors import StackError


def migrations_folder() -> Path:
    """The folder of the migrations."""
    return _folder("migrations")


def functions_folder() -> Path:
    """The folder of the edge functions."""
    return _folder("functions")


def _folder(name: str) -> Path:
    installed = Path(__file__).parent / name
    checkout = Path(__file__).parents[3] / "supabase" / name
    for folder in (checkout, installed):
        if folder.is_dir():
            return folder
    raise StackError(f"There is no {name} folder in {checkout} or {installed}: install the package again.")
