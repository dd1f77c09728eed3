"""`pm-strength mine --engine`: where a command mines, if not here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..settings import LearningSettings
from .output import Steps, progress_bars

if TYPE_CHECKING:
    import pandas as pd

    from ..engines.mine import Mined, Runner
    from ..engines.watch import Watch

# As `engines.mine.ROWS`, which takes a second to import.
ROWS = 2_000_000
HOURS = 12.0


class Engine(StrEnum):
    """What mines elsewhere."""

    DASK = "dask"
    SPARK = "spark"


EngineOption = Annotated[
    Engine | None, typer.Option("--engine", help="Mine on a cluster that stands: dask or spark.")
]
MasterOption = Annotated[
    str | None,
    typer.Option(
        "--master",
        help="With --engine: the address of Dask's scheduler (tcp://host:8786) or Spark's master "
        "(spark://host:7077, yarn, k8s://..., local[4]).",
    ),
]
RowsOption = Annotated[
    int, typer.Option("--rows", min=1, help="With --engine: a group with more events is cut.")
]
HoursOption = Annotated[
    float, typer.Option("--hours", min=0.001, help="With --engine: it ends with an error after so long.")
]


@dataclass(frozen=True, slots=True)
class Cluster:
    """An engine by its address; `rows` and `hours` are the options of that name."""

    engine: Engine
    master: str | None
    rows: int
    hours: float

    @contextmanager
    def mined(self, events: str, module: str, settings: LearningSettings) -> Iterator[Mined]:
        """The lessons of what `--events` names, while a block runs."""
        from ..engines.mine import mine_on

        table = events.startswith("jdbc:")
        if table and self.engine is not Engine.SPARK:
            raise typer.BadParameter("jdbc: goes with --engine spark", param_hint="--events")
        if events.lower().endswith(".csv"):
            raise typer.BadParameter("an engine reads Parquet, not CSV", param_hint="--events")
        with self._open() as (cluster, watch), progress_bars() as bars:
            runner: Runner
            if self.engine is Engine.DASK:
                from ..engines.on_dask import DaskRunner, parts_of_parquet

                runner = DaskRunner(cluster, parts_of_parquet(cluster, events, settings, watch), watch)
            else:
                from ..engines.on_spark import SparkRunner, rows_of_parquet, rows_of_table

                found = (
                    rows_of_table(cluster, events, module, settings)
                    if table
                    else rows_of_parquet(cluster, events, settings)
                )
                runner = SparkRunner(cluster, found, watch)
            steps = Steps(bars)
            yield mine_on(runner, settings, progress=steps, rows=self.rows)
            steps.finish()

    @contextmanager
    def maker(self) -> Iterator[Callable[..., pd.DataFrame]]:
        """What makes lessons of a project's events, while a block runs."""
        import numpy as np

        from ..engines.mine import mine_on
        from ..mining.cut.rows import event_rows

        with self._open() as (cluster, watch):

            def make(
                events: pd.DataFrame,
                settings: LearningSettings,
                progress: Callable[[str, float], None],
                published: Iterable[Any],
            ) -> pd.DataFrame:
                rows = event_rows(events, settings, np.arange(len(events)))
                runner: Runner
                if self.engine is Engine.DASK:
                    from ..engines.on_dask import DaskRunner, parts_of_frame

                    runner = DaskRunner(cluster, parts_of_frame(cluster, rows), watch)
                else:
                    from ..engines.on_spark import SparkRunner, rows_of_frame

                    runner = SparkRunner(cluster, rows_of_frame(cluster, rows), watch)
                mined = mine_on(runner, settings, progress=progress, published=published, rows=self.rows)
                return mined.frame()

            yield make

    @contextmanager
    def _open(self) -> Iterator[tuple[Any, Watch]]:
        from ..engines.watch import Watch

        if self.master is None:
            raise typer.BadParameter("--engine needs the address of its --master")
        watch = Watch(f"{self.engine.title()} at {self.master}", self.hours)
        if self.engine is Engine.DASK:
            from ..engines.on_dask import dask_client

            with dask_client(self.master, watch) as cluster:
                yield cluster, watch
        else:
            from ..engines.on_spark import spark_session

            with spark_session(self.master, watch) as cluster:
                yield cluster, watch
