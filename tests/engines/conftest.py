"""A real Spark and a real Dask on loopback: `make test-engines`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pm_strength.engines.on_spark import spark_session
from pm_strength.engines.watch import Watch

from .clusters import Cluster, dask_cluster, environment, spark_cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.engines)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    names = ("SPARK_HOME", "SPARK_LOCAL_IP", "PYSPARK_PYTHON", "PYTHONPATH")
    os.environ.update({name: environment()[name] for name in names})
    # to begin a session takes longer than any of the tests: they all use this one
    with (
        spark_cluster(tmp_path_factory.mktemp("spark")) as cluster,
        spark_session(cluster.address, Watch("Spark", 1.0)),
    ):
        yield cluster


@pytest.fixture(scope="session")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Any:
    return request.param, request.getfixturevalue(request.param)
