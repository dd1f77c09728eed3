"""`settings show` and `settings set`: the learning settings of a module."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..settings import DEFAULT_MODULE, PROFILES, LearningSettings
from .arguments import ModuleOption, parse_change, parse_value
from .output import Format, FormatOption, counted, out, print_json, print_table
from .target import ProjectDirectory, open_store

app = typer.Typer(
    help="Show or change the learning settings, which the worker, SQL and the bots all read.",
    no_args_is_help=True,
)


@app.command()
def show(
    module: ModuleOption = DEFAULT_MODULE,
    output: FormatOption = Format.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show all settings, and the defaults of those that differ. The exit code is 2 if one is invalid."""
    with open_store(directory, module) as store:
        held = LearningSettings.from_mapping(store.settings_row(module))
    settings = held.to_dict()
    if output is Format.JSON:
        print_json(settings)
        return
    defaults = LearningSettings().to_dict() | {"strategy": PROFILES[held.profile]}
    cells = (
        (name, json.dumps(value), "" if value == defaults[name] else f"default {json.dumps(defaults[name])}")
        for name, value in settings.items()
    )
    print_table("Learning settings", {"setting": "left", "value": "left", "": "left"}, cells)


@app.command("set")
def set_values(
    changes: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE...",
            help="The settings to change, with values in JSON: n_min=20 max_dims=null.",
        ),
    ],
    module: ModuleOption = DEFAULT_MODULE,
    directory: ProjectDirectory = None,
) -> None:
    """Change settings. NAME= without a value brings the default back."""
    with open_store(directory) as store:
        known = store.modules()
        settings = store.settings_row(module)
        for name, text in map(parse_change, changes):
            if text:
                settings[name] = parse_value(text)
            else:
                LearningSettings.from_mapping({name: getattr(LearningSettings(), name, None)})
                settings.pop(name, None)
        LearningSettings.from_mapping(settings)
        store.write_settings(module, settings)
    if module not in known:
        out.print(
            f"{module} is a new module: the worker now learns from the strands that name it.",
            markup=False,
        )
    out.print(
        f"Saved: {counted(len(settings), 'setting')} of the module {module}, and the defaults of all others. "
        "Runs use them from the next one on, resolving uses them at once.",
        markup=False,
    )
