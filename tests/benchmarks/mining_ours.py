"""Our own mining, and the source document's recursion, as the benchmark runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tests.benchmarks.mining_data import MISSING, CodedTable, to_frame
from tests.benchmarks.mining_peers import Result

N_MIN = 33
PAGE = 20_000


def cube(table: CodedTable, max_dims: int | None, threads: int = 1) -> Callable[[], Result]:
    """From the coded table to all slices with their six sums."""
    from pm_strength.mining.cube.iceberg import iceberg_cube
    from pm_strength.mining.encode import CodedGroup

    width = table.codes.shape[1]
    # what the cube does not look at
    day, unknown = np.zeros(len(table.y), np.int64), np.full(len(table.y), np.nan)
    values = tuple(tuple(range(int(table.codes[:, d].max()) + 1)) for d in range(width))

    def run() -> Result:
        # the table is in the order of its trades
        order = np.argsort(table.group.astype(np.int16), kind="stable")
        cuts = np.flatnonzero(np.diff(table.group[order])) + 1
        groups = [
            CodedGroup(
                str(table.group[rows[0]]),
                "entry",
                tuple(map(str, range(width))),
                values,
                table.codes.take(rows, axis=0),
                table.trade[rows],
                table.y[rows],
                table.t[rows],
                0,
                day,
                unknown,
                unknown,
            )
            for rows in np.split(order, cuts)
        ]
        parts = iceberg_cube(groups, N_MIN, max_dims, threads=threads)
        return Result(
            np.concatenate(
                [
                    np.full(len(part.n), int(group.pattern_key))
                    for group, part in zip(groups, parts, strict=True)
                ]
            ),
            [(part.dimensions, part.codes) for part in parts],
            np.concatenate([part.n for part in parts]),
            np.concatenate([part.mean_y for part in parts]),
            np.concatenate([part.yy / np.maximum(part.n - 1, 1) for part in parts]),
        )

    return run


def unpacked(result: Result, width: int) -> Result:
    """The result with one array of codes, its columns in the table's order."""
    if not isinstance(result.codes, list):
        return result
    codes = []
    for dimensions, part in result.codes:
        held = np.full((len(part), width), MISSING, np.int16)
        held[:, list(dimensions)] = part
        codes.append(held)
    return Result(result.group, np.concatenate(codes), result.n, result.mean, result.variance)


def everything(table: CodedTable, max_dims: int | None, threads: int = 1) -> Callable[[], pd.DataFrame]:
    """From a frame with the JSON texts of scopes, in pages as the database gives them, to that of lessons."""
    from pm_strength import LearningSettings, mine_lessons
    from pm_strength.mining.scope_texts import ScopeTexts

    frame = to_frame(table)
    texts = [json.dumps(scope) for scope in frame.pop("scope")]
    pages = ["\n".join(texts[at : at + PAGE]) for at in range(0, len(texts), PAGE)]
    settings = LearningSettings(n_min=N_MIN, max_dims=max_dims, max_lessons=10_000_000)

    def run() -> pd.DataFrame:
        scopes = ScopeTexts()
        for page in pages:
            scopes.add(page)
        return mine_lessons(frame.assign(scope=scopes.column()), settings, threads=threads)

    return run


def recursion(table: CodedTable) -> Callable[[], dict[Any, tuple[int, float, float]]]:
    """The recursion of the source document, in pandas: group, subset -> trades, mean and variance."""
    names = [f"dimension_{d}" for d in range(table.codes.shape[1])]
    frame = pd.DataFrame(table.codes, columns=names).mask(lambda codes: codes == MISSING)
    frame["trade_id"], frame["rr"], frame["group"] = table.trade, table.y, table.group

    def run() -> dict[Any, tuple[int, float, float]]:
        found: dict[Any, tuple[int, float, float]] = {}

        def mine(rows: pd.DataFrame, mask: dict[str, int], group: int, start: int) -> None:
            if len(rows) < N_MIN:
                return
            trades = rows.drop_duplicates(subset=["trade_id"], keep="first")
            if len(trades) < N_MIN:
                return
            stats = (len(trades), float(trades["rr"].mean()), float(trades["rr"].var()))
            found[group, tuple(sorted(mask.items()))] = stats
            for number in range(start, len(names)):
                name = names[number]
                counts = rows[name].value_counts()
                for value in counts[counts >= N_MIN].index:
                    mine(rows[rows[name] == value], mask | {name: int(value)}, group, number + 1)

        for group, rows in frame.groupby("group"):
            mine(rows, {}, int(str(group)), 0)
        return found

    return run
