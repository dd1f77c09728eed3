"""`make bench-runtime`: how long "how big?" takes: the book in memory, SQL, and the source's way.

The source's way is one PostgREST query for the overrides whose scope is contained in the action's
(`cd`), and the blend in Python. Ratios count: they are of one run on one machine.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from pm_strength import OverrideBook, StrengthClient
from pm_strength.local.stack import Stack
from pm_strength.project.api import Api
from pm_strength.project.connection import Connection

Row = dict[str, Any]
SIZES = (100, 1_000, 10_000, 100_000)
BAR = 100.0
DIMENSIONS = {f"dimension_{d}": [f"value_{v}" for v in range(3 + d % 5)] for d in range(28)}
SCOPE = {name: values[0] for name, values in DIMENSIONS.items()}
# What the source asks the database for, without the blend.
CONTAINED = (
    "select multiplier, confidence_score, scope_subset from public.pm_overrides "
    "where pattern_key = %s and action_category = 'entry' and scope_subset <@ %s"
)
SQL_BARS = {1_000: " (at least 1x)", 100_000: " (at least 5x)"}
PATTERN = "module=pm|pattern_key=uptrend.S1.buy_flag"


def make_rows(count: int) -> list[Row]:
    """Overrides of one group with up to three dimensions, all different."""
    rng = random.Random(count)
    rows: dict[tuple[Any, ...], Row] = {}
    while len(rows) < count:
        names = rng.sample(sorted(DIMENSIONS), min(3, 1 + int(rng.expovariate(0.4))))
        subset = {name: rng.choice(DIMENSIONS[name]) for name in sorted(names)}
        rows[tuple(subset.items())] = {
            "id": len(rows) + 1,
            "pattern_key": PATTERN,
            "action_category": "entry",
            "scope_subset": subset,
            "multiplier": round(rng.uniform(0.3, 3), 6),
            "confidence_score": round(rng.random(), 6),
        }
    return list(rows.values())


def median(work: Callable[[], Any], times: int) -> float:
    """Seconds."""
    work()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def source_way(api: Api) -> float:
    """One query with `cd`, and the blend."""
    rows = api.table(
        lambda client: (
            client.table("pm_overrides")
            .select("multiplier,confidence_score,scope_subset")
            .eq("pattern_key", PATTERN)
            .eq("action_category", "entry")
            .contained_by("scope_subset", SCOPE)
        )
    )
    weights = [row["confidence_score"] * (len(row["scope_subset"]) + 1) ** 1.5 for row in rows]
    total = sum(weights)
    products = (weight * row["multiplier"] for weight, row in zip(weights, rows, strict=True))
    return max(0.3, min(3.0, sum(products) / total))


def import_seconds() -> float:
    """What importing the runtime takes in a new process."""
    script = "import time; s = time.perf_counter(); import pm_strength; print(time.perf_counter() - s)"
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        for _ in range(5)
    ]
    return statistics.median(float(run.stdout) for run in runs)


def fill(db: psycopg.Connection[Any], rows: list[Row]) -> None:
    """Put overrides where a materialization puts them."""
    db.execute("truncate pm_strength.overrides, pm_strength.sets")
    db.execute(
        "insert into pm_strength.sets (id, kind, state, published_at) overriding system value "
        "values (1000000, 'overrides', 'live', now())"
    )
    db.execute("create temp table given as select * from pm_strength.overrides limit 0")
    with (
        db.cursor() as cursor,
        cursor.copy(
            "copy given (id, pattern_key, action_category, scope_subset, multiplier, confidence_score) "
            "from stdin"
        ) as copy,
    ):
        for number, row in enumerate(rows):
            subset = (
                "{" + ", ".join(f'"{name}": "{value}"' for name, value in row["scope_subset"].items()) + "}"
            )
            copy.write_row(
                (
                    (1_000_000 << 26) + number,
                    row["pattern_key"],
                    row["action_category"],
                    subset,
                    row["multiplier"],
                    row["confidence_score"],
                )
            )
    db.execute(
        "insert into pm_strength.overrides (id, pattern_key, action_category, scope_subset, multiplier, "
        "confidence_score, lead, dimensions) "
        "select id, pattern_key, action_category, scope_subset, multiplier, confidence_score, "
        "pm_strength.set_bits(1000000) # pm_strength.lead(pattern_key, action_category, scope_subset), "
        "pm_strength.dimension_count(scope_subset) from given"
    )
    db.execute("drop table given")
    db.execute("analyze pm_strength.overrides")


def main() -> int:
    """Print the table."""
    print(f"import pm_strength: {import_seconds() * 1000:.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack")
        try:
            variables = stack.up().variables()
            connection = Connection(variables["API_URL"], variables["SECRET_KEY"])
            api = Api(connection)
            with psycopg.connect(variables["DB_URL"], autocommit=True) as db:
                for size in SIZES:
                    measure(size, db, api, connection)
            api.close()
        finally:
            stack.down(purge=True)
    return 0


def measure(size: int, db: psycopg.Connection[Any], api: Api, connection: Connection) -> None:
    """One line of the table."""
    rows = make_rows(size)
    fill(db, rows)
    start = time.perf_counter()
    with StrengthClient(connection.url, connection.key, deadline_seconds=60) as client:
        assert client.refresh()
        loading = time.perf_counter() - start
        again = median(client.refresh, 20)
        resolution = client.resolve(PATTERN, "entry", SCOPE)
        book = OverrideBook(rows)
        ours = median(lambda: book.resolve(PATTERN, "entry", SCOPE), 500)
    source = median(lambda: source_way(api), 20)
    if resolution.matched <= 1000:  # beyond that, the source's way is cut by the API and wrong
        assert math.isclose(resolution.multiplier, source_way(api), rel_tol=1e-9)
    bar = f" (at least {BAR:.0f}x)" if size == 10_000 else ""
    scope = json.dumps(SCOPE)
    sql, plain = (
        median(lambda query=query: db.execute(query, (PATTERN, scope)).fetchall(), 30)
        for query in ("select public.resolve_pm_strength(%s, 'entry', %s)", CONTAINED)
    )
    print(
        f"{size:>8,} overrides, {resolution.matched:>5,} matches: {ours * 1e6:>7,.0f} us; source's way "
        f"{source * 1e3:>6.1f} ms = {source / ours:>5,.0f}x{bar}; load {loading:>5.2f} s, "
        f"refresh {again * 1e3:.1f} ms\n"
        f"{'':>18} in SQL: {sql * 1e3:.2f} ms; the source's filter alone {plain * 1e3:.2f} ms = "
        f"{plain / sql:.1f}x{SQL_BARS.get(size, '')}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
