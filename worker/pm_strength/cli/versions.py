"""`overrides history`, `diff`, `rollback`, `unpin`: the versions of the overrides."""

from __future__ import annotations

from typing import Annotated

import typer

from ..json_values import Row
from ..overrides.diff import Change, diff_overrides
from ..project.store import Store
from ..settings import DEFAULT_MODULE
from .arguments import ModuleOption
from .output import (
    Justify,
    RowFormat,
    RowFormatOption,
    counted,
    out,
    print_csv,
    print_json,
    print_table,
    scope_text,
    short_pattern,
)
from .target import ProjectDirectory, open_store

COLUMNS = (
    *("id", "module", "profile", "role", "state", "pinned", "run_id", "mining_run_id", "row_count"),
    *("exposure_scale", "created_at", "published_at", "replaced_at", "dropped_at"),
)
CHANGE_COLUMNS = ("pattern_key", "action_category", "scope_subset", "before", "after", "change")
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many to show.")]


def register(group: typer.Typer) -> None:
    """Add the commands to `overrides`."""
    for command in (history, diff, rollback, unpin):
        group.command()(command)


def history(
    limit: LimitOption = 20,
    module: ModuleOption = DEFAULT_MODULE,
    output: RowFormatOption = RowFormat.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show the versions of the overrides: which set was live when."""
    with open_store(directory, module) as store:
        rows = store.override_sets(limit, module)
    if output is RowFormat.JSON:
        print_json(rows)
    elif output is RowFormat.CSV:
        print_csv(rows, COLUMNS)
    else:
        columns: dict[str, Justify] = {
            **{"set": "right", "profile": "left", "state": "left", "mining run": "right"},
            **{"overrides": "right", "live since (UTC)": "left", "replaced (UTC)": "left"},
        }
        print_table(f"Versions of the overrides of {module}", columns, map(_cells, rows))


def diff(
    sets: Annotated[
        list[int] | None,
        typer.Argument(metavar="[BEFORE [AFTER]]", help="Two sets; the live one and the one before it."),
    ] = None,
    limit: LimitOption = 20,
    module: ModuleOption = DEFAULT_MODULE,
    output: RowFormatOption = RowFormat.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show what changed from one set of overrides to another, the largest changes first."""
    with open_store(directory, module) as store:
        before, after = _two_sets(store, module, sets or [])
        changes = diff_overrides(_rows(store, before, module), _rows(store, after, module))
    shown = changes[:limit]
    if output is RowFormat.JSON:
        print_json([change.to_dict() for change in shown])
    elif output is RowFormat.CSV:
        print_csv([change.to_dict() for change in shown], CHANGE_COLUMNS)
    else:
        columns: dict[str, Justify] = {
            **{"before": "right", "after": "right", "action": "left"},
            **{"pattern": "left", "scope": "left"},
        }
        more = f"; the {limit} largest" if len(changes) > limit else ""
        title = f"{counted(len(changes), 'change')} from set {before} to set {after}{more}"
        print_table(title, columns, map(_change_cells, shown))


def rollback(
    set_id: Annotated[int, typer.Argument(metavar="SET", help="A set that is kept; see `history`.")],
    directory: ProjectDirectory = None,
) -> None:
    """Make an earlier set of overrides live again, and pin it, so that no run replaces it."""
    with open_store(directory) as store:
        module = store.rollback(set_id)["module"]
    out.print(
        f"Set {set_id} is live and pinned: runs of {module} publish no overrides until "
        "`pm-strength overrides unpin`.",
        markup=False,
    )


def unpin(module: ModuleOption = DEFAULT_MODULE, directory: ProjectDirectory = None) -> None:
    """Let runs publish overrides again, after a rollback."""
    with open_store(directory, module) as store:
        set_id = store.unpin(module)
    if set_id is None:
        out.print("No set is pinned.")
    else:
        out.print(f"Set {set_id} is not pinned any more: the next run replaces it.", markup=False)


def _two_sets(store: Store, module: str, given: list[int]) -> tuple[int, int]:
    if len(given) > 2:
        raise typer.BadParameter("expected at most two sets")
    if len(given) == 2:
        return given[0], given[1]
    # those of the shadow are versions of something else
    rows = [row for row in store.override_sets(1000, module) if row["role"] == "live"]
    live = [row["id"] for row in rows if row["state"] == "live"]
    before = given or [row["id"] for row in rows if row["state"] == "kept"][:1]
    if not live or not before:
        raise typer.BadParameter("there is only one version of the overrides")
    return before[0], live[0]


def _rows(store: Store, set_id: int, module: str) -> list[Row]:
    if store.override_page(set_id, 0, 0, module)["gone"]:
        raise typer.BadParameter(
            f"expected a set that is live or kept, got {set_id}; see `overrides history`"
        )
    return list(store.override_rows(set_id, module))


def _cells(row: Row) -> tuple[str, ...]:
    state = f"{row['state']}, pinned" if row["pinned"] and row["state"] == "live" else row["state"]
    if row["role"] != "live":
        state = f"{state} ({row['role']})"
    times = ((row[name] or "")[:19].replace("T", " ") for name in ("published_at", "replaced_at"))
    mining_run = "" if row["mining_run_id"] is None else str(row["mining_run_id"])
    return (str(row["id"]), row["profile"], state, mining_run, f"{row['row_count']:,}", *times)


def _change_cells(change: Change) -> tuple[str, ...]:
    numbers = ("" if value is None else f"{value:.4f}" for value in (change.before, change.after))
    return (
        *numbers,
        change.action_category,
        short_pattern(change.pattern_key),
        scope_text(change.scope_subset),
    )
