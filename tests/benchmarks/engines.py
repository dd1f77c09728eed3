"""`make bench-engines`: local mining beside Spark and Dask with two workers of one core, in one run.

Each takes the same folder of Parquet and gives its lessons as parts or a frame. "First" is the first job of a
fresh session on workers that have loaded nothing yet; "warm" the one after it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from pm_strength import LearningSettings, mine_lessons
from pm_strength.engines.mine import mine_on
from pm_strength.engines.on_dask import DaskRunner, dask_client, parts_of_parquet
from pm_strength.engines.on_spark import SparkRunner, rows_of_parquet, spark_session
from pm_strength.engines.watch import Watch
from pm_strength.files.events import read_events
from tests.benchmarks.mining_data import Shape, make_table, to_frame
from tests.engines.clusters import dask_cluster, environment, spark_cluster

SETTINGS = LearningSettings(n_min=33, max_dims=None, max_lessons=10_000_000)
FILES = 4


def main(sizes: list[int]) -> None:
    print(f"{'events':>10} {'lessons':>9}  {'way':<12} {'seconds':>8} {'of local':>9}")
    for size in sizes:
        measure(size)


def measure(size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events"
        write(size, events)
        # the compiler's work is kept: it is not what is measured
        local(events)
        began = time.perf_counter()
        count = local(events)
        base = time.perf_counter() - began
        row(size, count, "local", base, base)
        for way, run in (("spark", on_spark), ("dask", on_dask)):
            (Path(folder) / way).mkdir()
            for name, seconds, found in run(events, Path(folder) / way):
                assert found == count, f"{way}: {found} lessons"
                row(size, found, f"{way}, {name}", seconds, base)


def row(size: int, count: int, way: str, seconds: float, base: float) -> None:
    print(f"{size:>10,} {count:>9,}  {way:<12} {seconds:>8.1f} {seconds / base:>8.1f}x", flush=True)


def write(size: int, folder: Path) -> None:
    shape = Shape("S", size, (3, 4, 6, 5, 8, 3, 10, 6), 12, None, zipf=True)
    frame = to_frame(make_table(shape))
    frame["scope"] = frame["scope"].map(json.dumps)
    frame["timestamp"] = frame["timestamp"].dt.as_unit("us")
    folder.mkdir()
    part = -(-size // FILES)
    for number in range(FILES):
        file = folder / f"{number}.parquet"
        frame.iloc[number * part : (number + 1) * part].to_parquet(file, row_group_size=max(part // 2, 1))


def local(folder: Path) -> int:
    frames = [read_events(path, "rr") for path in sorted(folder.iterdir())]
    return len(mine_lessons(pd.concat(frames, ignore_index=True), SETTINGS))


def twice(began: float, mine: Callable[[], int]) -> list[tuple[str, float, int]]:
    """The first job, with all that came since `began`, and the next."""
    first = mine()
    middle = time.perf_counter()
    again = mine()
    return [("first", middle - began, first), ("warm", time.perf_counter() - middle, again)]


def on_spark(events: Path, folder: Path) -> list[tuple[str, float, int]]:
    for name in ("SPARK_HOME", "SPARK_LOCAL_IP", "PYSPARK_PYTHON"):
        os.environ[name] = environment()[name]
    watch = Watch("Spark", 1.0)
    with spark_cluster(folder, memory="3g") as cluster:
        began = time.perf_counter()
        with spark_session(cluster.address, watch) as session:

            def mine() -> int:
                runner = SparkRunner(session, rows_of_parquet(session, str(events), SETTINGS), watch)
                return sum(map(len, mine_on(runner, SETTINGS).parts))

            return twice(began, mine)


def on_dask(events: Path, folder: Path) -> list[tuple[str, float, int]]:
    watch = Watch("Dask", 1.0)
    with dask_cluster(folder, memory="4GB") as cluster:
        began = time.perf_counter()
        with dask_client(cluster.address, watch) as client:

            def mine() -> int:
                runner = DaskRunner(client, parts_of_parquet(client, str(events), SETTINGS, watch), watch)
                return sum(map(len, mine_on(runner, SETTINGS).parts))

            return twice(began, mine)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [100_000, 1_000_000])
