"""Made-up tables of events for the mining benchmark, already in integer codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

MISSING = -1


@dataclass(frozen=True)
class Shape:
    """A table: events, values of each dimension, groups, and the most dimensions of a subset."""

    name: str
    events: int
    cardinalities: tuple[int, ...]
    groups: int
    max_dims: int | None
    zipf: bool
    seed: int = 1


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("S1", 5_000, (3, 4, 6, 5, 8, 3), 4, None, zipf=False),
        Shape("S2", 5_000, (3, 4, 5, 6, 7, 8, 3, 4, 5, 6, 7, 8, 4) + (3,) * 15, 4, 3, zipf=True),
        Shape("S3", 1_000_000, (3, 4, 6, 5, 8, 3, 10, 6), 12, None, zipf=True),
        Shape("S4", 200_000, (3, 4, 5, 6, 7, 8, 3, 4, 5, 6, 7, 8, 3, 4, 5, 6), 8, 4, zipf=False),
    )
}


@dataclass(frozen=True)
class CodedTable:
    """Events in columns: group and trade numbers, codes (events x dimensions), outcome, hours."""

    group: npt.NDArray[np.int64]
    trade: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int16]
    y: npt.NDArray[np.float64]
    t: npt.NDArray[np.float64]


def make_table(shape: Shape) -> CodedTable:
    """5 % of values missing; 10 % of trades with 2 or 3 rows, a third of which differ in a dimension."""
    rng = np.random.default_rng(shape.seed)
    rows_of_trade = np.where(rng.random(shape.events) < 0.1, rng.integers(2, 4, shape.events), 1)
    rows_of_trade = rows_of_trade[: int(np.searchsorted(np.cumsum(rows_of_trade), shape.events)) + 1]
    trade = np.repeat(np.arange(len(rows_of_trade)), rows_of_trade)[: shape.events]
    trades = int(trade[-1]) + 1
    base = np.column_stack([draw_codes(rng, trades, size, shape.zipf) for size in shape.cardinalities])
    codes = base[trade].astype(np.int16)
    extra = np.flatnonzero(np.r_[False, trade[1:] == trade[:-1]])
    changed = extra[rng.random(len(extra)) < 1 / 3]
    dimension = rng.integers(0, len(shape.cardinalities), len(changed))
    codes[changed, dimension] = rng.integers(0, np.array(shape.cardinalities)[dimension])
    y = rng.normal(0.1, 1.0, trades) + 0.3 * (base[:, 0] == 0)
    t = np.sort(rng.random(trades)) * 24 * 180
    group = rng.integers(0, shape.groups, trades)
    return CodedTable(group[trade], trade, codes, y[trade], t[trade])


def draw_codes(rng: np.random.Generator, count: int, size: int, zipf: bool) -> npt.NDArray[np.int64]:
    """`count` values of 0 to size - 1, 5 % of them missing."""
    weights = 1 / np.arange(1, size + 1) if zipf else np.ones(size)
    drawn = rng.choice(size, count, p=weights / weights.sum())
    return np.where(rng.random(count) < 0.05, MISSING, drawn)


def to_frame(table: CodedTable, names: Sequence[str] | None = None) -> pd.DataFrame:
    """The table as events with dict scopes, as the database gives them."""
    names = names if names is not None else [f"dimension_{d}" for d in range(table.codes.shape[1])]
    texts = [[f"value_{code}" for code in range(int(table.codes[:, d].max()) + 1)] for d in range(len(names))]
    scopes: list[dict[str, Any]] = [
        {name: texts[d][code] for d, (name, code) in enumerate(zip(names, row, strict=True)) if code >= 0}
        for row in table.codes.tolist()
    ]
    return pd.DataFrame(
        {
            "trade_id": [f"trade-{number}" for number in table.trade.tolist()],
            "pattern_key": [f"pattern-{number}" for number in table.group.tolist()],
            "action_category": "entry",
            "scope": scopes,
            "rr": table.y,
            "timestamp": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(table.t, unit="h"),
        }
    )
