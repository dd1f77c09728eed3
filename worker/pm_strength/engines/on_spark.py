"""Mining on Spark: its own readers, shuffle and spilling."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from .. import errors
from ..errors import EngineError, FileError, PmStrengthError
from ..files.events import check_columns, checked_events, frame_of, mined_columns
from ..mining.cut.plan import Plan
from ..mining.cut.route import SENT, route
from ..mining.cut.rows import KINDS, event_rows
from ..settings import LearningSettings
from .mine import Mine, in_parts, partitions
from .watch import POLL_SECONDS, Watch, check_reachable

T = TypeVar("T")

# Columns as they go through Spark, with their kinds; results go as one column of pickles.
_SENT = {name: KINDS[name] for name in SENT} | {"piece": "int64"}
_VALUES = "value binary"
BATCH_ROWS = 100_000
LESSONS = 50_000
# The place of a row in its file; the number of the file stands above.
FILE_BITS = 40
MAX_PARTITIONS = 2_000


class SparkRunner:
    """Rows on a Spark cluster, checked; kept as Spark keeps what is persisted."""

    def __init__(self, session: Any, rows: Any, watch: Watch) -> None:
        self._session = session
        self._watch = watch
        self._rows = rows.persist()

    def each_part(self, look: Callable[[pd.DataFrame], T], tell: Callable[[float], None]) -> Iterator[T]:
        """As `mine.Runner` has it; a part is a batch of a partition."""
        seen = self._rows.mapInArrow(partial(_look, look=look), _VALUES)
        return (pickle.loads(row.value) for row in self._results(seen, tell))  # noqa: S301 - our own

    def each_piece(self, plan: Plan, mine: Mine, tell: Callable[[float], None]) -> Iterator[pd.DataFrame]:
        """As `mine.Runner` has it."""
        count = partitions(plan, self._session.sparkContext.defaultParallelism)
        self._session.conf.set("spark.sql.shuffle.partitions", count)
        routed = self._rows.mapInArrow(partial(_route, plan=plan), _columns(_SENT))
        mined = routed.groupBy("piece").applyInArrow(_miner(plan, mine), _VALUES)
        return (pickle.loads(row.value) for row in self._results(mined, tell))  # noqa: S301 - our own

    def _results(self, frame: Any, tell: Callable[[float], None]) -> Iterator[Any]:
        """All rows of a frame: computed on the cluster and kept there, then read partition by partition."""
        frame = frame.persist()
        try:
            self._wait(frame.count, tell)
            yield from frame.toLocalIterator()
        except PmStrengthError:
            raise
        except Exception as error:
            raise _translated(error, self._watch.name) from error
        finally:
            frame.unpersist()

    def _wait(self, action: Callable[[], Any], tell: Callable[[float], None]) -> None:
        context = self._session.sparkContext
        stages: dict[int, tuple[int, int]] = {}
        pool = ThreadPoolExecutor(1)
        try:
            future = pool.submit(action)
            while True:
                try:
                    future.result(timeout=POLL_SECONDS)
                    return
                except NotYet:
                    pass
                tracker = context.statusTracker()
                for number in tracker.getActiveStageIds():
                    stage = tracker.getStageInfo(number)
                    if stage is not None:
                        stages[number] = stage.numCompletedTasks, stage.numTasks
                done, total = (sum(column) for column in zip((0, 0), *stages.values(), strict=True))
                tell(min(1.0, done / max(total, 1)))
                self._watch.look(executors(self._session))
        except BaseException:
            context.cancelAllJobs()
            raise
        finally:
            pool.shutdown(wait=False)


@contextmanager
def spark_session(master: str, watch: Watch) -> Iterator[Any]:
    """A session on a Spark master, ended with the block unless it was there before.

    Raises `EngineError` where pyspark, Java or the master are not there.
    """
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError:
        raise EngineError("Spark needs pyspark: pip install 'pm-strength[worker,spark]'.") from None
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java") is None and not (home and (Path(home) / "bin" / "java").exists()):
        raise EngineError(
            "Spark needs Java 17 or newer: install it (Debian: openjdk-17-jre-headless), or set JAVA_HOME."
        )
    if master.startswith("spark://"):
        check_reachable(watch.name, _addresses(master))
    # the tests run on pandas 3
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
    # workers must run the Python that this one is
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder: Any = SparkSession.builder
    builder = builder.master(master).appName("pm-strength")
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    jar = _postgres_jar()
    if jar is not None:
        builder = builder.config("spark.jars", jar)
    theirs = SparkSession.getActiveSession()
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise _translated(error, watch.name) from None
    try:
        yield session
    finally:
        if theirs is None:
            session.stop()


_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
    # a large group has more than 2 GB of texts
    "spark.sql.execution.arrow.useLargeVarTypes": "true",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}


def executors(session: Any) -> int:
    """How many executors there are; 1 where the driver is one."""
    context = session.sparkContext
    if context.master.startswith("local"):
        return 1
    return int(context._jsc.sc().getExecutorMemoryStatus().size()) - 1


def rows_of_parquet(session: Any, events: str, settings: LearningSettings) -> Any:
    """The rows of a Parquet file, or a folder of them, in the order of their names. Raises `FileError`."""
    path = Path(events)
    try:
        found = session.read.parquet(path.absolute().as_uri() if path.exists() else events)
        files = {name: number for number, name in enumerate(sorted(map(_plain, found.inputFiles())))}
    except Exception as error:
        raise _translated(error, events, FileError) from None
    check_columns(found.columns, settings.outcome, events)
    wanted = [name for name in mined_columns(settings.outcome) if name in found.columns]
    placed = found.select(*wanted, "_metadata.file_path", "_metadata.row_index")
    return placed.mapInArrow(partial(_checked, files=files, settings=settings), _columns(KINDS))


def rows_of_table(session: Any, url: str, module: str, settings: LearningSettings) -> Any:
    """The rows of `pattern_trade_events` of a Postgres; PGUSER and PGPASSWORD say who asks."""
    columns = ", ".join(f'"{name}"' for name in ("id", *mined_columns(settings.outcome)))
    quoted = module.replace("'", "''")
    events = f"from public.pattern_trade_events where module = '{quoted}'"
    bounded = f"select min(id) as low, max(id) as high {events}"
    try:
        bounds = _reader(session, url).option("query", bounded).load().first()
        low, high = (bounds.low or 0), (bounds.high or 0)
        parts = max(1, min(MAX_PARTITIONS, (high - low) // BATCH_ROWS + 1))
        table = (
            _reader(session, url)
            .option("dbtable", f"(select {columns} {events}) e")
            .option("partitionColumn", "id")
            .option("lowerBound", low)
            .option("upperBound", high + 1)
            .option("numPartitions", parts)
            .option("fetchsize", 10_000)
            .load()
        )
    except Exception as error:
        raise _translated(error, "The database") from None
    return table.mapInArrow(partial(_checked_table, settings=settings), _columns(KINDS))


def rows_of_frame(session: Any, rows: pd.DataFrame) -> Any:
    """Rows that this process has."""
    import pyarrow as pa

    return session.createDataFrame(pa.Table.from_pandas(rows, preserve_index=False), schema=_columns(KINDS))


def _reader(session: Any, url: str) -> Any:
    reader = session.read.format("jdbc").option("url", url).option("driver", "org.postgresql.Driver")
    for option, variable in (("user", "PGUSER"), ("password", "PGPASSWORD")):
        if variable in os.environ:
            reader = reader.option(option, os.environ[variable])
    return reader


def _checked(batches: Iterator[Any], files: dict[str, int], settings: LearningSettings) -> Iterator[Any]:
    import pyarrow as pa

    for batch in batches:
        table = pa.Table.from_batches([batch])
        # a batch may have rows of several files
        for name in table["file_path"].unique().to_pylist():
            of_file = table.filter(pa.compute.equal(table["file_path"], name))
            index = of_file["row_index"].to_numpy()
            frame = frame_of(of_file.drop_columns(["file_path", "row_index"]))
            events = checked_events(frame, settings.outcome, name, int(index[0]))
            position = (np.int64(files[_plain(name)]) << FILE_BITS) + index
            yield from _batches(event_rows(events, settings, position), KINDS)


def _plain(file: str) -> str:
    """A file's address as Spark writes it in any place."""
    return re.sub(r"^file:/+", "file:/", file)


def _checked_table(batches: Iterator[Any], settings: LearningSettings) -> Iterator[Any]:
    import pyarrow as pa

    for batch in batches:
        frame = frame_of(pa.Table.from_batches([batch]))
        where = f"pattern_trade_events, from id {frame['id'].iloc[0]}" if len(frame) else ""
        events = checked_events(frame, settings.outcome, where)
        yield from _batches(event_rows(events, settings, frame["id"].to_numpy(np.int64)), KINDS)


def _columns(kinds: Mapping[str, str]) -> str:
    types = {"int64": "bigint", "float64": "double", "object": "string"}
    return ", ".join(f"{name} {types[kind]}" for name, kind in kinds.items())


def _batches(frame: pd.DataFrame, kinds: Mapping[str, str]) -> list[Any]:
    """A frame as Arrow batches with these columns; pyspark does not know all of pandas 3."""
    import pyarrow as pa

    types = {"int64": pa.int64(), "float64": pa.float64(), "object": pa.large_string()}
    schema = pa.schema([(name, types[kind]) for name, kind in kinds.items()])
    table = pa.Table.from_pandas(frame[list(kinds)], schema=schema, preserve_index=False)
    batches: list[Any] = table.combine_chunks().to_batches()
    return batches


def _pickled(values: list[Any]) -> Any:
    import pyarrow as pa

    return pa.record_batch({"value": pa.array([pickle.dumps(value) for value in values], pa.large_binary())})


def _look(batches: Iterator[Any], look: Callable[[pd.DataFrame], Any]) -> Iterator[Any]:
    for batch in batches:
        yield _pickled([look(batch.to_pandas())])


def _route(batches: Iterator[Any], plan: Plan) -> Iterator[Any]:
    for batch in batches:
        yield from _batches(route(batch.to_pandas(), plan), _SENT)


def _miner(plan: Plan, mine: Mine) -> Any:
    pieces = plan.pieces

    # pyspark counts the arguments
    def of_piece(key: Any, table: Any) -> Any:
        import pyarrow as pa

        lessons = mine(pieces[key[0].as_py()], table.to_pandas())
        return pa.Table.from_batches([_pickled(list(in_parts(lessons, LESSONS)))])

    return of_piece


def _addresses(master: str) -> list[tuple[str, int]]:
    found = re.findall(r"([^,/:\s]+):(\d+)", master.removeprefix("spark://"))
    return [(host, int(port)) for host, port in found]


def _postgres_jar() -> str | None:
    """The driver for jdbc: addresses, where PM_STRENGTH_JDBC_JAR or Debian has it."""
    jar = os.environ.get("PM_STRENGTH_JDBC_JAR", "/usr/share/java/postgresql.jar")
    return jar if Path(jar).exists() else None


def _translated(error: Exception, where: str, otherwise: type[PmStrengthError] = EngineError) -> Exception:
    """What a worker raised, or what Spark says, as an error of ours."""
    text = str(error)
    ours = re.findall(r"pm_strength\.errors\.(\w+): (.+)", text)
    if ours:
        name, said = ours[-1]
        return getattr(errors, name, EngineError)(said)
    if "TIMESTAMP(NANOS" in text:
        return FileError(
            f"{where}: Spark cannot read times in nanoseconds: write them in microseconds "
            "(pandas: to_parquet(..., coerce_timestamps='us'))."
        )
    if "No module named 'pm_strength'" in text:
        return EngineError(
            f"{where}: its workers lack pm-strength: pip install 'pm-strength[worker,spark]' there, and set "
            "PYSPARK_PYTHON to that Python."
        )
    # of a worker's traceback the last line tells most, of Spark's own errors the first
    raised = re.findall(r"^\s*((?:\w+\.)*\w+(?:Error|Exception)(?:: .+)?)$", text, re.MULTILINE)
    lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
    said = raised[0] if raised and "Traceback" in text else lines[0]
    return otherwise(f"{where}: {said[:500]}")
