"""`settings show` and `settings set`: the learning settings of the project."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from ..settings import LearningSettings
from .output import out, print_json, print_table
from .target import ProjectDirectory, open_store
from .text import typed

MODULE = "pm"

app = typer.Typer(
    help="The learning settings, as the worker, SQL and the runtime read them.", no_args_is_help=True
)


class SettingsFormat(StrEnum):
    """How the settings are printed."""

    TABLE = "table"
    JSON = "json"


@app.command()
def show(
    output: Annotated[SettingsFormat, typer.Option("--output", "-o")] = SettingsFormat.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show all settings; exit code 2 if the project's are invalid."""
    with open_store(directory) as store:
        row = store.settings_row(MODULE)
    settings = LearningSettings.from_mapping(row).to_dict()
    if output is SettingsFormat.JSON:
        print_json(settings)
        return
    defaults = LearningSettings().to_dict()
    cells = (
        (name, json.dumps(value), "" if value == defaults[name] else f"default {json.dumps(defaults[name])}")
        for name, value in settings.items()
    )
    print_table("Learning settings", {"setting": "left", "value": "left", "": "left"}, cells)


@app.command("set")
def set_values(
    changes: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE...", help="Values are JSON: n_min=20 max_dims=null.")
    ],
    directory: ProjectDirectory = None,
) -> None:
    """Change settings; NAME= sets one back to its default."""
    with open_store(directory) as store:
        settings = store.settings_row(MODULE)
        for name, text in map(parse_change, changes):
            if text:
                settings[name] = parse_value(text)
            else:
                LearningSettings.from_mapping({name: getattr(LearningSettings(), name, None)})
                settings.pop(name, None)
        LearningSettings.from_mapping(settings)
        store.write_settings(MODULE, settings)
    out.print(f"Set; {len(settings)} settings differ from the defaults. The next run goes by them.")


def parse_change(change: str) -> tuple[str, str]:
    """The name and the value's text of NAME=VALUE; raises `typer.BadParameter`."""
    name, equals, text = typed(change).partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"expected NAME=VALUE, got {change!r}")
    return name, text


def parse_value(text: str) -> Any:
    """JSON, or a plain word as a string."""
    try:
        return json.loads(text)
    except ValueError:
        return text
