"""What the mining is measured beside: DuckDB and Polars, one GROUP BY a subset, or each from a larger one.

They work on signed rows (`pm_strength.mining.signed`, made and loaded before the clock starts), so that
a slice's distinct trades are a sum for them as for us and nothing has to be deduplicated. Each subset's
codes are packed into one integer, the fastest key to group by: half of the time that a key of several
columns takes. Missing codes are kept as values where a subset is summed from one that contains it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tests.benchmarks.mining_data import MISSING, CodedTable

SUMS = ("w", "wy", "wyy", "wt", "wtt", "wty")
TOTALS = ", ".join(f"sum({name}) as {name}" for name in SUMS)


@dataclass(frozen=True)
class SignedTable:
    """Columns of signed rows: group, codes (0: missing) and the six products of outcomes about `centre`."""

    columns: dict[str, Any]
    sizes: tuple[int, ...]
    centre: float


@dataclass(frozen=True)
class Result:
    """Slices: group, codes (`MISSING`: not in the subset), trades, mean and variance of the outcome."""

    group: Any
    codes: Any
    n: Any
    mean: Any
    variance: Any


def signed_table(table: CodedTable) -> SignedTable:
    """The table's rows with signs."""
    from pm_strength.mining.cube.signed import sign_rows

    order = np.lexsort((table.trade, table.group))
    group, trade, codes = table.group[order], table.trade[order], table.codes[order]
    width = codes.shape[1]
    # trades are of one group in these tables, so one call serves all groups
    rows, weight, event, plain = sign_rows(codes, trade, np.full(width, MISSING, codes.dtype))
    assert not len(plain)
    kept = weight != 0
    rows, weight, event = rows[kept], weight[kept], event[kept]
    y, t = table.y[order][event], table.t[order][event]
    centre = float(table.y.mean())
    y, t = y - centre, t - table.t.mean()
    products = (weight, weight * y, weight * y * y, weight * t, weight * t * t, weight * t * y)
    columns = {"g": group[event].astype(np.int32)}
    columns |= {f"d{d}": (rows[:, d] + 1).astype(np.int32) for d in range(width)}
    columns |= dict(zip(SUMS, products, strict=True))
    return SignedTable(columns, tuple(int(codes[:, d].max()) + 2 for d in range(width)), centre)


def subsets(width: int, limit: int) -> Iterator[tuple[int, ...]]:
    """Every subset of dimensions of at most `limit`, the larger ones first."""
    for size in range(min(width, limit), -1, -1):
        yield from combinations(range(width), size)


def _duckdb(signed: SignedTable) -> Any:
    """A connection with the rows in a table, on one thread."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("set threads = 1; set preserve_insertion_order = false")
    connection.register("arrays", signed.columns)
    connection.execute("create table r as select * from arrays")
    return connection


def duckdb_direct(signed: SignedTable, n_min: int, limit: int) -> Any:
    """A GROUP BY over the rows for each subset."""
    connection = _duckdb(signed)

    def run() -> Result:
        parts = []
        for subset in subsets(len(signed.sizes), limit):
            there = " and ".join(f"d{d} > 0" for d in subset) or "true"
            query = (
                f"select {_key(subset, signed.sizes)} as k, {TOTALS} from r where {there} "
                f"group by 1 having sum(w) >= {n_min - 0.5}"
            )
            parts.append((subset, connection.execute(query).fetchnumpy()))
        return _joined(parts, signed)

    return run


def duckdb_roll_up(signed: SignedTable, n_min: int, limit: int) -> Any:
    """Each subset from the smallest result that contains it; the largest ones from the rows."""
    connection = _duckdb(signed)

    def run() -> Result:
        parts, sizes = [], {}
        for subset in subsets(len(signed.sizes), limit):
            source, name = _parent(subset, sizes), "s" + "_".join(map(str, subset))
            columns = "".join(f", d{d}" for d in subset)
            connection.execute(
                f"create or replace temp table {name} as select g{columns}, {TOTALS} "
                f"from {'r' if source is None else 's' + '_'.join(map(str, source))} group by g{columns}"
            )
            sizes[subset] = connection.execute(f"select count(*) from {name}").fetchall()[0][0]
            there = " and ".join(f"d{d} > 0" for d in subset) or "true"
            query = (
                f"select {_key(subset, signed.sizes)} as k, {', '.join(SUMS)} from {name} "
                f"where {there} and w >= {n_min - 0.5}"
            )
            parts.append((subset, connection.execute(query).fetchnumpy()))
        return _joined(parts, signed)

    return run


def polars_direct(signed: SignedTable, n_min: int, limit: int) -> Any:
    """A group-by over the rows for each subset."""
    import polars as pl

    frame = pl.DataFrame(signed.columns)

    def run() -> Result:
        parts = []
        for subset in subsets(len(signed.sizes), limit):
            key = pl.col("g").cast(pl.Int64)
            for d in subset:
                key = key * signed.sizes[d] + pl.col(f"d{d}")
            rows = frame.lazy()
            if subset:
                rows = rows.filter(pl.all_horizontal(*(pl.col(f"d{d}") > 0 for d in subset)))
            result = (
                rows.group_by(key.alias("k"))
                .agg(pl.col(name).sum() for name in SUMS)
                .filter(pl.col("w") >= n_min - 0.5)
                .collect()
            )
            parts.append((subset, {name: result[name].to_numpy() for name in ("k", *SUMS)}))
        return _joined(parts, signed)

    return run


def polars_roll_up(signed: SignedTable, n_min: int, limit: int) -> Any:
    """Each subset from the smallest result that contains it; the largest ones from the rows."""
    import polars as pl

    frame = pl.DataFrame(signed.columns)
    size_of = dict(enumerate(signed.sizes))

    def run() -> Result:
        parts: list[Any] = []
        results: dict[tuple[int, ...], Any] = {}
        sizes: dict[tuple[int, ...], int] = {}
        for subset in subsets(len(signed.sizes), limit):
            source = _parent(subset, sizes)
            keys = ["g", *(f"d{d}" for d in subset)]
            there = frame if source is None else results[source]
            result = there.lazy().group_by(keys).agg(pl.col(name).sum() for name in SUMS).collect()
            results[subset], sizes[subset] = result, len(result)
            key = pl.col("g").cast(pl.Int64)
            for d in subset:
                key = key * size_of[d] + pl.col(f"d{d}")
            kept = pl.col("w") >= n_min - 0.5
            for d in subset:
                kept = kept & (pl.col(f"d{d}") > 0)
            found = result.lazy().filter(kept).select(key.alias("k"), *SUMS).collect()
            parts.append((subset, {name: found[name].to_numpy() for name in ("k", *SUMS)}))
            for old in [held for held in results if len(held) > len(subset) + 1]:
                del results[old], sizes[old]
        return _joined(parts, signed)

    return run


PEERS = {
    "DuckDB": duckdb_direct,
    "DuckDB, rolled up": duckdb_roll_up,
    "Polars": polars_direct,
    "Polars, rolled up": polars_roll_up,
}


def _parent(subset: tuple[int, ...], sizes: dict[tuple[int, ...], int]) -> tuple[int, ...] | None:
    wanted = set(subset)
    known = [held for held in sizes if len(held) == len(subset) + 1 and wanted < set(held)]
    return min(known, key=sizes.__getitem__) if known else None


def _key(subset: tuple[int, ...], sizes: tuple[int, ...]) -> str:
    key = "g::bigint"
    for d in subset:
        key = f"({key}) * {sizes[d]} + d{d}"
    return key


def _joined(parts: list[tuple[tuple[int, ...], dict[str, Any]]], signed: SignedTable) -> Result:
    """One table: the keys taken apart again, the sums as mean and variance."""
    sizes = signed.sizes
    total = sum(len(part["k"]) for _, part in parts)
    codes = np.full((total, len(sizes)), MISSING, np.int16)
    group, n, mean, variance = (np.empty(total) for _ in range(4))
    at = 0
    for subset, part in parts:
        end = at + len(part["k"])
        key = np.asarray(part["k"]).astype(np.int64)
        for d in reversed(subset):
            key, code = np.divmod(key, sizes[d])
            codes[at:end, d] = code - 1
        w, wy, wyy = part["w"], part["wy"], part["wyy"]
        group[at:end], n[at:end], mean[at:end] = key, w, wy / w + signed.centre
        variance[at:end] = (wyy - wy * wy / w) / np.maximum(w - 1, 1)
        at = end
    return Result(group.astype(np.int64), codes, np.rint(n).astype(np.int64), mean, variance)
