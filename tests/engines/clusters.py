"""A Spark master and a Dask scheduler, each with two workers of one core, in processes of their own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def environment() -> dict[str, str]:
    """What a worker needs: the tests' own functions, and a Spark that talks on loopback alone."""
    spec = importlib.util.find_spec("pyspark")
    home = {} if spec is None or spec.origin is None else {"SPARK_HOME": str(Path(spec.origin).parent)}
    return (
        os.environ
        | home
        | {
            "PYTHONPATH": str(ROOT),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": HOST,
            "SPARK_NO_DAEMONIZE": "1",
            # the workers share two cores with the test
            "DASK_LOGGING__DISTRIBUTED": "warning",
        }
    )


class Cluster:
    """The processes of an engine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = ""
        self.workers: list[psutil.Process] = []
        self._all: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> psutil.Process:
        log = self._folder / f"{len(self._all)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, env=environment(), cwd=self._folder, stdout=file, stderr=file, start_new_session=True
            )
        self._all.append(process)
        return psutil.Process(process.pid)

    def kill_worker_of(self, pid: int) -> None:
        """kill -9 of the worker that a process belongs to, and of all of its children."""
        (victim,) = (
            worker
            for worker in self.workers
            if any(process.pid == pid for process in [worker, *worker.children(recursive=True)])
        )
        self.workers.remove(victim)
        kill(victim)

    def stop(self) -> None:
        for process in self._all:
            with contextlib.suppress(psutil.NoSuchProcess):
                kill(psutil.Process(process.pid))
            process.wait()

    def said(self) -> str:
        return "\n".join(
            path.read_text(errors="replace")[-2000:] for path in sorted(self._folder.glob("*.log"))
        )


def kill(process: psutil.Process) -> None:
    for one in [*process.children(recursive=True), process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)


@contextlib.contextmanager
def spark_cluster(folder: Path, memory: str = "1g") -> Iterator[Cluster]:
    cluster = Cluster(folder)
    port = free_port()
    cluster.address = f"spark://{HOST}:{port}"
    program = str(Path(environment()["SPARK_HOME"]) / "bin" / "spark-class")
    deploy = "org.apache.spark.deploy"
    try:
        cluster.start(
            *(program, f"{deploy}.master.Master", "--host", HOST, "--port", str(port)),
            *("--webui-port", str(free_port())),
        )
        wait_until(lambda: listens(port), 60, cluster.said)
        cluster.workers = [
            cluster.start(
                *(program, f"{deploy}.worker.Worker", "--host", HOST, "--cores", "1", "--memory", memory),
                *("--webui-port", str(free_port()), "--work-dir", str(folder / f"work-{n}"), cluster.address),
            )
            for n in range(2)
        ]
        wait_until(lambda: cluster.said().count("Registering worker") == 2, 60, cluster.said)
        yield cluster
    finally:
        cluster.stop()


@contextlib.contextmanager
def dask_cluster(folder: Path, memory: str = "2GB") -> Iterator[Cluster]:
    cluster = Cluster(folder)
    port = free_port()
    cluster.address = f"tcp://{HOST}:{port}"
    program = str(Path(sys.executable).parent / "dask")
    try:
        cluster.start(
            program, "scheduler", "--host", HOST, "--port", str(port), "--no-dashboard", "--no-jupyter"
        )
        wait_until(lambda: listens(port), 60, cluster.said)
        cluster.workers = [
            cluster.start(
                *(program, "worker", cluster.address, "--nthreads", "1", "--memory-limit", memory),
                *("--no-dashboard", "--local-directory", str(folder / f"work-{n}")),
            )
            for n in range(2)
        ]
        yield cluster
    finally:
        cluster.stop()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def wait_until(done: Callable[[], bool], seconds: float, said: Callable[[], str] = lambda: "") -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"not done after {seconds} s: {said()}"
        time.sleep(0.05)
