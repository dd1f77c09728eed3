"""`resolve`: one multiplier, explained."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from ..runtime.resolution import Resolution
from ..runtime.sizing import apply_strength
from .output import Justify, out, print_json, print_table, scope_text
from .show import parse_action, parse_scope
from .target import ProjectDirectory, open_store
from .text import storable

REASONS = {
    "matched": "the weighted blend of the overrides that hold here",
    "no_match": "no override holds here: there is no edge to size by, or nothing was learned yet",
    "zero_weight": "the overrides that hold here have no weight",
    "stale": "the overrides are older than stale_after_hours: is a worker running?",
    "bad_input": "the pattern key or the action is missing",
}


class ResolutionFormat(StrEnum):
    """How the resolution is printed."""

    TABLE = "table"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(resolve)


def resolve(
    pattern_key: Annotated[str, typer.Option("--pattern-key", help="The pattern key of the action.")],
    action: Annotated[str, typer.Option("--action", help="Its category, or an alias of it.")],
    scope: Annotated[str, typer.Option("--scope", help="Its context, a JSON object.")] = "{}",
    size_frac: Annotated[
        float | None, typer.Option("--size-frac", help="A size to scale, as a bot would.")
    ] = None,
    exposure_skew: Annotated[float, typer.Option("--exposure-skew", help="Scales the size too.")] = 1.0,
    show_all: Annotated[bool, typer.Option("--all", help="All matches, not the 20 heaviest.")] = False,
    output: Annotated[ResolutionFormat, typer.Option("--output", "-o")] = ResolutionFormat.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show the size multiplier for an action in a scope, and which overrides make it."""
    category, context = parse_action(action), parse_scope(scope)
    key = storable(pattern_key, "--pattern-key")
    with open_store(directory) as store:
        answer = store.resolve(key, category, context, None if show_all else 20)
    if size_frac is not None:
        resolution = Resolution(
            answer["multiplier"], answer["reason"], run_id=answer["run_id"], strategy=answer.get("strategy")
        )
        sized = apply_strength(
            {"action_category": category, "size_frac": size_frac}, resolution, exposure_skew
        )
        answer |= {"size_frac_before": size_frac, "size_frac": sized["size_frac"]}
    if output is ResolutionFormat.JSON:
        print_json(answer)
    else:
        print_resolution(answer)


def print_resolution(answer: dict[str, Any]) -> None:
    """The answer of `resolve_pm_strength` as text and a table of its matches."""
    reason = answer["reason"]
    out.print(f"[bold]multiplier {answer['multiplier']:.4f}[/bold] ({reason}: {REASONS[reason]})")
    if answer["run_id"] is not None:
        out.print(
            f"from mining run {answer['run_id']}, materialized {answer['as_of'][:19].replace('T', ' ')} UTC"
        )
    if "size_frac" in answer:
        out.print(f"size_frac {answer['size_frac_before']:g} -> [bold]{answer['size_frac']:.4f}[/bold]")
    if answer["matches"]:
        columns: dict[str, Justify] = {
            "multiplier": "right",
            "weight": "right",
            "confidence": "right",
            "scope": "left",
        }
        shown, matched = len(answer["matches"]), answer["matched"]
        title = f"{matched:,} overrides hold" + (f"; the {shown} heaviest" if shown < matched else "")
        print_table(title, columns, map(match_cells, answer["matches"]))


def match_cells(match: dict[str, Any]) -> tuple[str, ...]:
    """A match as the cells of a table."""
    return (
        f"{match['multiplier']:.4f}",
        f"{match['weight']:.4f}",
        f"{match['confidence_score']:.3f}",
        scope_text(match["scope_subset"]),
    )
