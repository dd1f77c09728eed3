"""Rows to the pieces that they are mined in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ..arrays import MISSING, IntArray
from ..scope_codes import value_key
from .plan import Counts, Node, Plan
from .rows import scope_texts, scopes_of

# The columns of rows that a piece needs: its group is known.
SENT = ("position", "trade_id", "timestamp", "outcome", "scope", "trimmed", "reached_s3")


def route(rows: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """The rows of each piece, with its number in the column `piece`; a row may be in several, or in none."""
    parts = [rows.iloc[:0][list(SENT)].assign(piece=np.empty(0, np.int64))]
    whole: list[tuple[IntArray, int]] = []
    for key, index in _groups(rows):
        root = plan.roots[key]
        if not root.below:
            if root.piece is not None:
                whole.append((index, root.piece))
            continue
        group = rows.iloc[index]
        names, values, codes = scopes_of(group)
        columns = {name: d for d, name in enumerate(names)}
        for node, at in _reached(root, np.arange(len(group)), columns, values, codes):
            if node.piece is None:
                continue
            wanted = plan.pieces[node.piece].dimensions or ()
            kept = [columns[name] for name in wanted if name in columns]
            part = group.iloc[at][list(SENT)].assign(piece=node.piece)
            part["scope"] = scope_texts(
                [names[d] for d in kept], [values[d] for d in kept], codes.take(at, axis=0).take(kept, axis=1)
            )
            parts.append(part)
    if whole:
        index = np.concatenate([at for at, _ in whole])
        pieces = np.concatenate([np.full(len(at), piece) for at, piece in whole])
        parts.append(rows.iloc[index][list(SENT)].assign(piece=pieces))
    return pd.concat(parts, ignore_index=True)


def count_values(rows: pd.DataFrame, plan: Plan) -> list[Counts]:
    """For each of the plan's open nodes, how many of these rows have each value of each dimension."""
    place = {id(node): at for at, node in enumerate(plan.open_nodes)}
    counts: list[Counts] = [{} for _ in plan.open_nodes]
    groups = {node.group for node in plan.open_nodes}
    for key, index in _groups(rows):
        if key not in groups:
            continue
        group = rows.iloc[index]
        names, values, codes = scopes_of(group)
        columns = {name: d for d, name in enumerate(names)}
        for node, at in _reached(plan.roots[key], np.arange(len(group)), columns, values, codes):
            if id(node) not in place:
                continue
            found = counts[place[id(node)]]
            for name in names if node.dimensions is None else node.dimensions:
                if name in columns:
                    d = columns[name]
                    column = codes[at, d].astype(np.int64)
                    number = np.bincount(column[column != MISSING], minlength=len(values[d])).tolist()
                    pairs = zip(map(value_key, values[d]), number, strict=True)
                    found[name] = {value: count for value, count in pairs if count}
    return counts


def added_counts(parts: Iterator[list[Counts]], plan: Plan) -> list[Counts]:
    """The counts of all rows, from those of parts of them."""
    total: list[dict[str, Counter[Any]]] = [{} for _ in plan.open_nodes]
    for part in parts:
        for of_all, of_part in zip(total, part, strict=True):
            for name, found in of_part.items():
                of_all.setdefault(name, Counter()).update(found)
    return [{name: dict(found) for name, found in of_all.items()} for of_all in total]


def _groups(rows: pd.DataFrame) -> Iterator[tuple[Any, IntArray]]:
    grouped = rows.groupby(["pattern_key", "action_category"], sort=False)
    return ((key, np.asarray(index, np.int64)) for key, index in grouped.indices.items())


def _reached(
    node: Node, at: IntArray, columns: dict[str, int], values: Any, codes: Any
) -> Iterator[tuple[Node, IntArray]]:
    """The nodes that some rows of a group come to, with the places of those that do."""
    yield node, at
    for name, of_value in node.below.items():
        if name not in columns or not of_value:
            continue
        d = columns[name]
        column = codes[at, d]
        order = np.argsort(column, kind="stable")
        found, starts = np.unique(column[order], return_index=True)
        for code, part in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
            below = of_value.get(value_key(values[d][code])) if code != MISSING else None
            if below is not None:
                yield from _reached(below, at[part], columns, values, codes)
