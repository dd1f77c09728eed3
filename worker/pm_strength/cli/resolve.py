"""`resolve`: one multiplier, explained."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer

from ..json_values import Row
from ..runtime.resolution import SHOWN_MATCHES, Match, Resolution, specificity_order
from ..runtime.sizing import SIZED_CATEGORIES, apply_strength
from ..settings import DEFAULT_MODULE
from .arguments import ModuleOption, parse_action, parse_scope, storable
from .output import Format, FormatOption, Justify, counted, out, print_json, print_table, scope_text
from .target import ProjectDirectory, open_store

# What a multiplier is, by strategy, if overrides made it.
MADE_BY = {
    "blend": "the weighted blend of the overrides that hold here",
    "most_specific": "the most specific of the overrides that hold here",
    "sum": "1 and the sum of what the overrides that hold here add",
}
# Why the multiplier is 1, by reason, if no override made it.
NONE_BECAUSE = {
    "no_match": "no override holds here; there is no edge to size by, or nothing was learned yet",
    "zero_weight": "the overrides that hold here have no weight, because their confidence is 0",
    "stale": "the overrides are older than stale_after_hours; check that a worker is running",
    "bad_input": "the pattern key or the action is missing, or a whole number in the scope is beyond 2^53",
    "unavailable": "the overrides could not be read",
}


class Role(StrEnum):
    """Whose overrides: those that size, or those beside them."""

    LIVE = "live"
    SHADOW = "shadow"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(resolve)


def resolve(
    pattern_key: Annotated[str, typer.Option("--pattern-key", help="The pattern key of the action.")],
    action: Annotated[
        str,
        typer.Option("--action", help="The action category (entry, add, trim or exit), or an alias of it."),
    ],
    scope: Annotated[
        str, typer.Option("--scope", help='The context of the action, as {"chain": "solana"}.')
    ] = "{}",
    size_frac: Annotated[
        float | None, typer.Option("--size-frac", help="Show what the multiplier makes of this size.")
    ] = None,
    exposure_skew: Annotated[
        float, typer.Option("--exposure-skew", help="With --size-frac: multiply the size by this too.")
    ] = 1.0,
    show_all: Annotated[
        bool, typer.Option("--all", help=f"Show all overrides that hold, not only {SHOWN_MATCHES}.")
    ] = False,
    trade_id: Annotated[
        str | None,
        typer.Option("--trade-id", help="The trade; it decides about the canary, where there is one."),
    ] = None,
    at: Annotated[
        datetime | None,
        typer.Option(
            "--at",
            help="What was answered at this time (UTC), by the overrides and the settings of then.",
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"],
        ),
    ] = None,
    role: Annotated[
        Role | None,
        typer.Option("--role", help="With --at: whose overrides answer, the live ones without it."),
    ] = None,
    module: ModuleOption = DEFAULT_MODULE,
    output: FormatOption = Format.TABLE,
    directory: ProjectDirectory = None,
) -> None:
    """Show the multiplier for an action in a scope, and the overrides that make it."""
    category, context = parse_action(action), parse_scope(scope)
    key = storable(pattern_key, "--pattern-key")
    limit = None if show_all else SHOWN_MATCHES
    if at is not None and trade_id is not None:
        raise typer.BadParameter("--at answers for a role, not for a trade: --role shadow is the canary's")
    if at is None and role is not None:
        raise typer.BadParameter("--role goes with --at: now, --trade-id decides")
    with open_store(directory, module) as store:
        ask: Callable[..., Row] = partial(store.resolve, trade_id=trade_id)
        if at is not None:
            moment = at.replace(tzinfo=UTC).isoformat()
            ask = partial(store.resolve_at, moment, role=role or Role.LIVE)
        answer = ask(key, category, context, limit, module)
        if output is Format.TABLE and answer["strategy"] == "most_specific":
            # the answer holds the heaviest overrides, and the most specific one may be lighter
            answer = ask(key, category, context, None, module)
    if size_frac is not None:
        resolution = Resolution(
            answer["multiplier"], answer["reason"], run_id=answer["run_id"], strategy=answer["strategy"]
        )
        sized = apply_strength(
            {"action_category": category, "size_frac": size_frac}, resolution, exposure_skew
        )
        answer |= {"size_frac_before": size_frac, "size_frac": sized["size_frac"]}
    if output is Format.JSON:
        print_json(answer)
    else:
        print_resolution(answer, category, limit)


def explain(reason: str, strategy: str) -> str:
    """Why a multiplier is what it is, in words; `reason` is one of `REASONS`."""
    return MADE_BY[strategy] if reason == "matched" else NONE_BECAUSE[reason]


def print_resolution(answer: dict[str, Any], category: str, limit: int | None) -> None:
    """Print an answer as text, and a table of at most `limit` overrides that hold."""
    reason, strategy = answer["reason"], answer["strategy"]
    out.print(f"[bold]multiplier {answer['multiplier']:.4f}[/bold] ({reason}: {explain(reason, strategy)})")
    if "beside" in answer:
        other = answer["beside"]
        said = f"{other['multiplier']:.4f} ({other['reason']}, {other['strategy']})"
        out.print(
            f"by the {answer['role']} overrides; the {other['role']} ones would say {said}", markup=False
        )
    if category not in SIZED_CATEGORIES:
        out.print("Trims and exits are never sized, so no size depends on this multiplier.")
    if answer["run_id"] is not None:
        at = answer["as_of"][:19].replace("T", " ")
        out.print(f"from mining run {answer['run_id']}, materialized {at} UTC")
    if "size_frac" in answer:
        out.print(f"size_frac {answer['size_frac_before']:g} -> [bold]{answer['size_frac']:.4f}[/bold]")
    matches = answer["matches"]
    if strategy == "most_specific":
        matches = sorted(matches, key=lambda match: specificity_order(Match(**match)))
    matches = matches[:limit]
    if matches and strategy == "sum":
        out.print(_title(answer, len(matches)), style="bold", markup=False)
        for match in matches:
            out.print(f"  {Match(**match).explain()}", markup=False)
    elif matches:
        print_table(_title(answer, len(matches)), MATCH_HEADINGS, map(match_cells, matches))


MATCH_HEADINGS: dict[str, Justify] = {
    **{"multiplier": "right", "weight": "right"},
    **{"confidence": "right", "scope": "left"},
}


def match_cells(match: dict[str, Any]) -> tuple[str, ...]:
    """An override that holds as the cells of a table."""
    return (
        f"{match['multiplier']:.4f}",
        f"{match['weight']:.4f}",
        f"{match['confidence_score']:.3f}",
        scope_text(match["scope_subset"]),
    )


def _title(answer: dict[str, Any], shown: int) -> str:
    matched = answer["matched"]
    title = f"{counted(matched, 'override')} hold{'s' if matched == 1 else ''} here"
    order = "most specific" if answer["strategy"] == "most_specific" else "heaviest"
    if shown < matched:
        return f"{title}; the {shown} {order}"
    return title if shown == 1 else f"{title}, the {order} first"
