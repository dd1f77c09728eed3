"""`lessons` and `overrides`: what was learned, filtered; what sizes a position comes first."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from ..json_values import Row
from ..patterns import CATEGORIES
from ..runtime.sizing import SIZED_CATEGORIES
from ..settings import DEFAULT_MODULE
from . import versions
from .arguments import ModuleOption, parse_action, parse_scope, storable
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

UNSIZED_CATEGORIES = tuple(category for category in CATEGORIES if category not in SIZED_CATEGORIES)
TABLE_ROWS = 20

OVERRIDE_HEADINGS: dict[str, Justify] = {
    **{"multiplier": "right", "confidence": "right", "decay": "left"},
    **{"action": "left", "pattern": "left", "scope": "left"},
}

PatternKeyOption = Annotated[
    str | None, typer.Option("--pattern-key", "--pattern", help="Only this pattern key.")
]
ActionOption = Annotated[
    str | None,
    typer.Option("--action", help="Only this action category (entry, add, trim or exit), or an alias of it."),
]
ScopeOption = Annotated[
    str | None,
    typer.Option("--scope", help='Only scopes with all of these values, as {"chain": "solana"}.'),
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit",
        "-n",
        min=1,
        max=1000,
        help="How many to show, the strongest. Without it a table shows 20, json and csv show all.",
    ),
]


class Sort(StrEnum):
    """What lessons are sorted by."""

    EDGE = "edge"
    EVIDENCE = "evidence"
    P_VALUE = "p-value"
    N_EFFECTIVE = "n-effective"
    EFFECT = "effect"


# The statistic of each.
SORTED_BY = {
    Sort.EDGE: "edge_raw",
    Sort.EVIDENCE: "bayes_factor",
    Sort.P_VALUE: "p_value",
    Sort.N_EFFECTIVE: "n_effective",
    Sort.EFFECT: "effect",
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """What there is a list of, how it is shown, and how strong one of it is."""

    noun: str
    columns: tuple[str, ...]
    headings: dict[str, Justify]
    cells: Callable[[Row], tuple[str, ...]]
    strength: Callable[[Row], float]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(lessons)
    group = typer.Typer(invoke_without_command=True, callback=overrides)
    versions.register(group)
    app.add_typer(group, name="overrides")


def lessons(
    pattern_key: PatternKeyOption = None,
    action: ActionOption = None,
    scope: ScopeOption = None,
    retired: Annotated[
        bool, typer.Option("--retired", help="Show the lessons that the last mining run no longer found.")
    ] = False,
    sort: Annotated[
        Sort, typer.Option("--sort", help="What the first ones have most of; of the p-value, least.")
    ] = Sort.EDGE,
    limit: LimitOption = None,
    module: ModuleOption = DEFAULT_MODULE,
    output: RowFormatOption = RowFormat.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show the lessons: the edge of every combination of context with enough trades.

    Those of entries and adds come first, because only these are sized; then the strongest edge first, or
    what --sort says.
    """
    filters = _filters(module, pattern_key, action, scope) | {"status": "retired" if retired else "active"}
    with open_store(directory, module) as store:
        strongest = partial(store.strongest_lessons, by=SORTED_BY[sort])
        _show(_lessons_by(sort), store.lessons, strongest, filters, limit, output)


def overrides(
    context: typer.Context,
    pattern_key: PatternKeyOption = None,
    action: ActionOption = None,
    scope: ScopeOption = None,
    limit: LimitOption = None,
    module: ModuleOption = DEFAULT_MODULE,
    output: RowFormatOption = RowFormat.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show the overrides: the multipliers in force, and the scopes that they hold in.

    Those of entries and adds come first, because only these are sized; then the multiplier farthest
    from 1 first.
    """
    if context.invoked_subcommand is not None:
        return
    filters = _filters(module, pattern_key, action, scope)
    with open_store(directory, module) as store:
        _show(OVERRIDES, store.overrides, store.strongest_overrides, filters, limit, output)


def override_cells(row: Row) -> tuple[str, ...]:
    """An override as the cells of a table."""
    return (
        f"{row['multiplier']:.4f}",
        f"{row['confidence_score']:.3f}",
        row["decay_state"] or "",
        row["action_category"],
        short_pattern(row["pattern_key"]),
        scope_text(row["scope_subset"]),
    )


def _lesson_cells(row: Row) -> tuple[str, ...]:
    stats = row["stats"]
    return (
        f"{stats['edge_raw']:+.4f}",
        f"{row['n']:,}",
        f"{stats['avg_rr']:+.4f}",
        stats["decay_meta"]["state"],
        row["action_category"],
        short_pattern(row["pattern_key"]),
        scope_text(row["scope_subset"]),
    )


LESSONS = _Kind(
    noun="lesson",
    columns=(
        *("id", "module", "pattern_key", "action_category", "scope_subset", "n", "stats"),
        *("decay_halflife_hours", "status", "run_id"),
    ),
    headings={
        **{"edge": "right", "n": "right", "mean": "right", "decay": "left"},
        **{"action": "left", "pattern": "left", "scope": "left"},
    },
    cells=_lesson_cells,
    strength=lambda row: abs(float(row["stats"]["edge_raw"])),
)
OVERRIDES = _Kind(
    noun="override",
    columns=(
        *("id", "pattern_key", "action_category", "scope_subset", "multiplier", "confidence_score"),
        *("decay_state", "run_id", "last_updated_at", "module", "a_multiplier", "e_multiplier", "stats"),
    ),
    headings=OVERRIDE_HEADINGS,
    cells=override_cells,
    strength=lambda row: abs(float(row["multiplier"]) - 1),
)


def _lessons_by(sort: Sort) -> _Kind:
    """The list of lessons with the statistic that they are sorted by as its first column."""
    if sort is Sort.EDGE:
        return LESSONS
    name = SORTED_BY[sort]

    def value(row: Row) -> float | None:
        number = row["stats"].get(name)
        return None if number is None else float(number)

    def strength(row: Row) -> float:
        number = value(row)
        if number is None:
            return -math.inf
        return -number if sort is Sort.P_VALUE else abs(number)

    def cells(row: Row) -> tuple[str, ...]:
        number = value(row)
        return ("" if number is None else f"{number:,.4g}", *_lesson_cells(row)[1:])

    heads: dict[str, Justify] = {sort.value: "right", **dict(list(LESSONS.headings.items())[1:])}
    return replace(LESSONS, headings=heads, cells=cells, strength=strength)


def _filters(module: str, pattern_key: str | None, action: str | None, scope: str | None) -> Row:
    return {
        "module": module,
        "pattern_key": None if pattern_key is None else storable(pattern_key, "--pattern-key"),
        "action_category": None if action is None else parse_action(action),
        "scope": parse_scope(scope),
    }


def _show(
    kind: _Kind,
    read_all: Callable[..., list[Row]],
    read_strongest: Callable[..., list[Row]],
    filters: Row,
    limit: int | None,
    output: RowFormat,
) -> None:
    if limit is None and output is RowFormat.TABLE:
        limit = TABLE_ROWS
    rows = read_all(**filters) if limit is None else _read_first(read_strongest, limit, filters)
    rows = sorted(rows, key=lambda row: (not _is_sized(row), -kind.strength(row), row["id"]))[:limit]
    if output is RowFormat.JSON:
        print_json(rows)
    elif output is RowFormat.CSV:
        print_csv(rows, kind.columns)
    else:
        _print_table(kind, rows, len(rows) == limit, filters["action_category"] is None)


def _read_first(read_strongest: Callable[..., list[Row]], limit: int, filters: Row) -> list[Row]:
    """The strongest rows of the actions that are sized; of the others too, if these leave room."""
    rows: list[Row] = []
    for categories in (SIZED_CATEGORIES, UNSIZED_CATEGORIES):
        if len(rows) < limit:
            for category in categories:
                if filters["action_category"] in (None, category):
                    rows += read_strongest(limit, **filters | {"action_category": category})
    return rows


def _is_sized(row: Row) -> bool:
    return row["action_category"] in SIZED_CATEGORIES


def _print_table(kind: _Kind, rows: list[Row], is_cut: bool, of_any_action: bool) -> None:
    if not rows:
        out.print(f"No {kind.noun}s.")
        return
    title = counted(len(rows), kind.noun)
    if is_cut:
        order = ", entries and adds first" if of_any_action else ""
        strongest = title if len(rows) > 1 else kind.noun
        title = f"The strongest {strongest}{order} (-n for more, -o json or csv for all)"
    print_table(title, kind.headings, map(kind.cells, rows))
    unsized = sum(not _is_sized(row) for row in rows)
    if unsized:
        which = f"{unsized} of these {kind.noun}s" if unsized < len(rows) else f"any {kind.noun} here"
        out.print(f"Trims and exits are never sized, so no size depends on {which}.")
    elif is_cut and of_any_action:
        out.print(
            f"Trims and exits are never sized, so no size depends on their {kind.noun}s. "
            "--action trim and --action exit show them."
        )
