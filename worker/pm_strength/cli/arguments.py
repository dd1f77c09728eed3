"""What a user types on the command line, checked: anything else is wrong usage (exit code 2)."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from ..errors import PatternKeyError
from ..json_values import is_storable
from ..patterns import canonical_action_category
from ..settings import MAX_MODULE_CHARACTERS


def typed(text: str) -> str:
    """An argument as UTF-8, even where the locale makes Python read it as ASCII."""
    return os.fsencode(text).decode(errors="surrogateescape")


def storable(text: str, option: str) -> str:
    """An argument as `typed` gives it; wrong usage of `option` if Postgres cannot hold the text."""
    text = typed(text)
    if not is_storable(text):
        raise typer.BadParameter("expected text in UTF-8", param_hint=option)
    return text


def parse_module(text: str) -> str:
    """The name of a module."""
    if not 0 < len(text) <= MAX_MODULE_CHARACTERS:
        expected = f"expected the name of a module, such as pm, of at most {MAX_MODULE_CHARACTERS} characters"
        raise typer.BadParameter(expected, param_hint="--module")
    return storable(text, "--module")


def parse_scope(text: str | None) -> dict[str, Any]:
    """A scope from a JSON object; {} for None."""
    if text is None:
        return {}
    try:
        scope = json.loads(typed(text), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"expected a JSON object: {error}", param_hint="--scope") from None
    if not isinstance(scope, dict):
        raise typer.BadParameter('expected a JSON object such as {"chain": "solana"}', param_hint="--scope")
    try:
        json.dumps(scope, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("expected text in UTF-8", param_hint="--scope") from None
    except ValueError:
        raise typer.BadParameter(
            "expected numbers that fit in a double, got a larger one", param_hint="--scope"
        ) from None
    return scope


def parse_action(text: str) -> str:
    """The action category of a category or one of its aliases."""
    try:
        return canonical_action_category(text)
    except PatternKeyError as error:
        raise typer.BadParameter(str(error), param_hint="--action") from None


def parse_change(change: str) -> tuple[str, str]:
    """The name and the value's text of NAME=VALUE."""
    name, equals, text = typed(change).partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"expected NAME=VALUE, got {change!r}")
    return name, text


def parse_value(text: str) -> Any:
    """The value of a setting: JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _refuse_constant(literal: str) -> None:
    raise ValueError(f"{literal} is not JSON")


ModuleOption = Annotated[
    str, typer.Option("--module", callback=parse_module, help="The module to work with, as strands name it.")
]
