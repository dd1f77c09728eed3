"""Mining on Dask: rows as futures that can be made again, its own shuffle and spilling."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ..errors import EngineError, FileError, PmStrengthError
from ..files.events import check_columns, checked_events, frame_of, mined_columns
from ..mining.cut.plan import Plan
from ..mining.cut.route import route
from ..mining.cut.rows import event_rows, no_rows
from ..settings import LearningSettings
from .mine import Mine, partitions
from .watch import POLL_SECONDS, REACH_SECONDS, Watch, check_reachable

T = TypeVar("T")

# Rows that this process has are handed on in parts of so many.
PART_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A part of a Parquet file: its row group, the place of its first row in the file, and in all files."""

    events: str
    file: str
    number: int
    row: int
    first: int


class DaskRunner:
    """Rows on a Dask cluster, checked; each part is kept as Dask keeps a future."""

    def __init__(self, client: Any, parts: Sequence[Any], watch: Watch) -> None:
        self._client = client
        self._parts = list(parts)
        self._watch = watch

    def each_part(self, look: Callable[[pd.DataFrame], T], tell: Callable[[float], None]) -> Iterator[T]:
        """As `mine.Runner` has it; a part is a row group."""
        return self._results(self._client.map(look, self._parts, pure=False), tell)

    def each_piece(self, plan: Plan, mine: Mine, tell: Callable[[float], None]) -> Iterator[pd.DataFrame]:
        """As `mine.Runner` has it."""
        import dask
        import dask.dataframe as dd

        # a task and not scattered data: it is made again where a worker dies
        plan_there = self._client.submit(_same, plan, pure=False)
        mine_there = self._client.submit(_same, mine, pure=False)
        routed = self._client.map(_routed, self._parts, plan=plan_there, pure=False)
        meta = _routed(no_rows(), plan)
        count = partitions(plan, sum(self._client.nthreads().values()))
        with dask.config.set({"dataframe.convert-string": False}):
            frame = dd.from_delayed(routed, meta=meta, verify_meta=False)
            shuffled = frame.shuffle("piece", npartitions=count, shuffle_method="p2p", ignore_index=True)
            delayed = [dask.delayed(_mined)(part, plan_there, mine_there) for part in shuffled.to_delayed()]
            futures = self._client.compute(delayed)
        for found in self._results(futures, tell):
            yield from found

    def _results(self, futures: Sequence[Any], tell: Callable[[float], None]) -> Iterator[Any]:
        return (result for _, result in results(self._client, futures, self._watch, tell))


def results(
    client: Any, futures: Sequence[Any], watch: Watch, tell: Callable[[float], None] = lambda share: None
) -> Iterator[tuple[int, Any]]:
    """The results of futures as they come, with their places; they are gone from the cluster then.

    Raises `EngineError` as `watch` says.
    """
    from distributed import wait

    pending = {future: at for at, future in enumerate(futures)}
    try:
        while pending:
            try:
                ended = wait(list(pending), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                ended = set()
            watch.look(workers(client))
            for future in ended:
                yield pending.pop(future), client.gather(future)
            tell(1.0 - len(pending) / len(futures))
    except PmStrengthError:
        raise
    except Exception as error:
        raise _translated(error, watch.name) from error
    finally:
        client.cancel(list(pending))


@contextmanager
def dask_client(address: str, watch: Watch) -> Iterator[Any]:
    """A client of a Dask scheduler. Raises `EngineError` where Dask or the scheduler are not there."""
    try:
        import dask.dataframe  # noqa: F401 - it says if pandas or pyarrow are too old
        from distributed import Client
    except ImportError:
        raise EngineError("Dask needs its packages: pip install 'pm-strength[worker,dask]'.") from None
    plain = re.fullmatch(r"(?:tcp|tls)://([^:/]+):(\d+)", address if "://" in address else f"tcp://{address}")
    if plain is not None:
        check_reachable(watch.name, [(plain[1], int(plain[2]))])
    try:
        client = Client(address, timeout=REACH_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise EngineError(f"{watch.name} is not reached: {error}") from None
    try:
        yield client
    finally:
        client.close(timeout=REACH_SECONDS)


def workers(client: Any) -> int:
    """How many workers the scheduler has."""
    return len(client.scheduler_info(n_workers=-1)["workers"])


def parts_of_parquet(client: Any, events: str, settings: LearningSettings, watch: Watch) -> list[Any]:
    """The row groups of a Parquet file, or of a folder of them in the order of their names, as rows.

    Raises `FileError`.
    """
    files = _files(events)
    looked = client.map(_row_groups, files, events=events, pure=False)
    numbers = [found for _, found in sorted(results(client, looked, watch))]
    groups, first = [], 0
    for file, (columns, sizes) in zip(files, numbers, strict=True):
        check_columns(columns, settings.outcome, file)
        row = 0
        for number, size in enumerate(sizes):
            groups.append(RowGroup(events, file, number, row, first + row))
            row += size
        first += row
    parts: list[Any] = client.map(_read, groups, settings=settings, pure=False)
    return parts


def parts_of_frame(client: Any, rows: pd.DataFrame) -> list[Any]:
    """Rows that this process has."""
    starts = range(0, len(rows), PART_ROWS)
    return [client.submit(_same, rows.iloc[start : start + PART_ROWS], pure=False) for start in starts]


def _files(events: str) -> list[str]:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(events)
        found = [path] if system.isfile(path) else system.find(path)
    except (OSError, ValueError, ImportError) as error:
        raise FileError(f"{events}: {error}") from None
    # what other programs leave beside the data begins so
    files = sorted(
        name
        for name in found
        if name.endswith((".parquet", ".pq")) and not name.rsplit("/", 1)[-1].startswith(("_", "."))
    )
    if not files:
        raise FileError(f"{events}: expected a Parquet file, or a folder with files that end in .parquet")
    return files


def _opened(events: str, file: str) -> Any:
    import fsspec
    import pyarrow.parquet as pq

    system, _ = fsspec.core.url_to_fs(events)
    return pq.ParquetFile(system.open(file, "rb"))


def _row_groups(file: str, events: str) -> tuple[list[str], list[int]]:
    """The columns of a file and the rows of each of its row groups."""
    import pyarrow as pa

    try:
        found = _opened(events, file)
    except (pa.ArrowInvalid, OSError) as error:
        raise FileError(f"{file}: not a Parquet file: {error}") from None
    about = found.metadata
    return found.schema_arrow.names, [about.row_group(n).num_rows for n in range(about.num_row_groups)]


def _read(group: RowGroup, settings: LearningSettings) -> pd.DataFrame:
    found = _opened(group.events, group.file)
    there = set(found.schema_arrow.names)
    wanted = [name for name in mined_columns(settings.outcome) if name in there]
    frame = frame_of(found.read_row_group(group.number, columns=wanted))
    events = checked_events(frame, settings.outcome, group.file, group.row)
    return event_rows(events, settings, group.first + np.arange(len(events)))


def _same(value: T) -> T:
    return value


def _routed(rows: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    texts = {"trade_id": "string[pyarrow]", "scope": "string[pyarrow]"}
    return route(rows, plan).astype(texts)


def _mined(rows: pd.DataFrame, plan: Plan, mine: Mine) -> list[pd.DataFrame]:
    groups: Any = rows.groupby("piece")
    found = (mine(plan.pieces[number], of_piece) for number, of_piece in groups)
    return [lessons for lessons in found if len(lessons)]


def _translated(error: Exception, where: str) -> Exception:
    """What Dask says, as an error of ours; those of ours come as they are."""
    text = str(error)
    if "No module named 'pm_strength'" in text:
        return EngineError(
            f"{where}: its workers lack pm-strength: pip install 'pm-strength[worker,dask]' there."
        )
    if type(error).__name__ == "KilledWorker":
        return EngineError(
            f"{where}: workers died at a task again and again, of too little memory? {text[:300]}"
        )
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PmStrengthError):
            return cause
        cause = cause.__cause__
    return EngineError(f"{where}: {type(error).__name__}: {text[:500]}")
