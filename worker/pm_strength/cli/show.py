"""`lessons` and `overrides`: what was learned, filtered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated

import typer

from ..errors import PatternKeyError
from ..json_values import Row
from ..patterns import canonical_action_category
from .output import Format, FormatOption, Justify, print_csv, print_json, print_table, scope_text
from .target import ProjectDirectory, open_store
from .text import storable, typed

LESSON_COLUMNS = (
    *("id", "module", "pattern_key", "action_category", "scope_subset", "n", "stats"),
    *("decay_halflife_hours", "status", "run_id"),
)
OVERRIDE_COLUMNS = (
    *("id", "pattern_key", "action_category", "scope_subset", "multiplier", "confidence_score"),
    *("decay_state", "run_id", "last_updated_at"),
)
LESSON_HEADINGS: dict[str, Justify] = {
    **{"edge": "right", "n": "right", "mean": "right", "decay": "left"},
    **{"action": "left", "pattern": "left", "scope": "left"},
}
OVERRIDE_HEADINGS: dict[str, Justify] = {
    **{"multiplier": "right", "confidence": "right", "decay": "left"},
    **{"action": "left", "pattern": "left", "scope": "left"},
}
TABLE_ROWS = 20

PatternOption = Annotated[str | None, typer.Option("--pattern", help="Only this pattern key.")]
ActionOption = Annotated[str | None, typer.Option("--action", help="Only this action category or alias.")]
ScopeOption = Annotated[
    str | None, typer.Option("--scope", help="Only scope subsets that hold all of this JSON object.")
]
LimitOption = Annotated[
    int | None,
    typer.Option(
        "--limit",
        "-n",
        min=1,
        max=1000,
        help="Only the strongest; a table shows 20 by default, json and csv all.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(lessons)
    app.command()(overrides)


def lessons(
    pattern: PatternOption = None,
    action: ActionOption = None,
    scope: ScopeOption = None,
    retired: Annotated[bool, typer.Option("--retired", help="The retired ones instead.")] = False,
    limit: LimitOption = None,
    output: FormatOption = Format.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show lessons, those with the strongest edge first."""
    filters = _filters(pattern, action, scope) | {"status": "retired" if retired else "active"}
    with open_store(directory) as store:
        rows = _read(store.lessons, store.strongest_lessons, _lesson_strength, limit, output, filters)
    if output is not Format.TABLE:
        _print(rows, LESSON_COLUMNS, output)
        return
    print_table(_title("lessons", rows, limit), LESSON_HEADINGS, map(_lesson_cells, rows))


def overrides(
    pattern: PatternOption = None,
    action: ActionOption = None,
    scope: ScopeOption = None,
    limit: LimitOption = None,
    output: FormatOption = Format.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show overrides, those farthest from 1 first."""
    filters = _filters(pattern, action, scope)
    with open_store(directory) as store:
        rows = _read(store.overrides, store.strongest_overrides, _override_strength, limit, output, filters)
    if output is not Format.TABLE:
        _print(rows, OVERRIDE_COLUMNS, output)
        return
    print_table(_title("overrides", rows, limit), OVERRIDE_HEADINGS, map(override_cells, rows))


def parse_scope(text: str | None) -> Row:
    """A scope from the command line; anything but a JSON object is wrong usage."""
    if text is None:
        return {}
    try:
        scope = json.loads(typed(text), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"expected a JSON object: {error}", param_hint="--scope") from None
    if not isinstance(scope, dict):
        raise typer.BadParameter('expected a JSON object such as {"chain": "solana"}', param_hint="--scope")
    try:
        json.dumps(scope, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("expected text in UTF-8", param_hint="--scope") from None
    except ValueError:
        raise typer.BadParameter("expected numbers that a double holds", param_hint="--scope") from None
    return scope


def _refuse(literal: str) -> None:
    raise ValueError(f"{literal} is not JSON")


def parse_action(text: str) -> str:
    """An action category from the command line, aliases mapped."""
    try:
        return canonical_action_category(text)
    except PatternKeyError as error:
        raise typer.BadParameter(str(error), param_hint="--action") from None


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


def short_pattern(pattern_key: str) -> str:
    """`uptrend.S1.buy_flag` of a canonical key; any other key as it is."""
    return pattern_key.removeprefix("module=pm|pattern_key=")


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


def _lesson_strength(row: Row) -> float:
    return abs(float(row["stats"]["edge_raw"]))


def _override_strength(row: Row) -> float:
    return abs(float(row["multiplier"]) - 1)


def _filters(pattern: str | None, action: str | None, scope: str | None) -> Row:
    return {
        "pattern_key": None if pattern is None else storable(pattern, "--pattern"),
        "action_category": None if action is None else parse_action(action),
        "scope": parse_scope(scope),
    }


def _read(
    read_all: Callable[..., list[Row]],
    read_strongest: Callable[..., list[Row]],
    strength: Callable[[Row], float],
    limit: int | None,
    output: Format,
    filters: Row,
) -> list[Row]:
    if limit is None and output is Format.TABLE:
        limit = TABLE_ROWS
    rows = read_all(**filters) if limit is None else read_strongest(limit, **filters)
    return sorted(rows, key=lambda row: (-strength(row), row["id"]))[:limit]


def _title(noun: str, rows: list[Row], limit: int | None) -> str:
    if not rows:
        return f"No {noun}."
    if len(rows) == (limit or TABLE_ROWS):
        return f"The {len(rows)} strongest {noun} (-n for more, -o json or csv for all)"
    return f"{len(rows)} {noun}"


def _print(rows: list[Row], columns: tuple[str, ...], output: Format) -> None:
    if output is Format.JSON:
        print_json(rows)
    else:
        print_csv(rows, columns)
