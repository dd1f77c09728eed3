"""`make bench-mining`: our mining beside its peers on S1 to S4, one thread each unless it says otherwise.

Each is measured in a process of its own, which tells its time (the median of its runs) and peak memory
and leaves its slices in a file; the files of a table are then compared. Ratios count: they are of one
run on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import mining_ours as ours
from tests.benchmarks.mining_data import SHAPES, make_table
from tests.benchmarks.mining_peers import PEERS, Result, signed_table

# The least ratio to the faster peer that we accept, and the most memory.
BARS = {"S1": 8, "S2": 40, "S3": 10, "S4": 8}
# S4 has 3,000,000 lessons, of 30 columns.
PEAK_MB = {"S3": 1500, "S4": 2000}
THREADS_BAR = 1.6
# A peer that takes longer is measured once, anything else five times.
LONG_SECONDS = 2.0
CUBE, CUBE_2, EVERYTHING, RECURSION = "ours", "ours, 2 threads", "ours, everything", "source's recursion"
COMPILE = "ours, first call of all"


def measure(shape_name: str, engine: str, seed: int, file: Path) -> dict[str, float]:
    """Run one engine on one table, in this process."""
    shape = replace(SHAPES[shape_name], seed=seed)
    table = make_table(shape)
    limit = shape.max_dims if shape.max_dims is not None else len(shape.cardinalities)
    run: Any
    if engine in PEERS:
        run = PEERS[engine](signed_table(table), ours.N_MIN, limit)
    elif engine == EVERYTHING:
        run = ours.everything(table, shape.max_dims)
    elif engine == RECURSION:
        run = ours.recursion(table)
    else:
        run = ours.cube(table, shape.max_dims, threads=2 if engine == CUBE_2 else 1)
    if engine in (CUBE, CUBE_2, EVERYTHING):
        warm_up(limit)
    seconds: list[float] = []
    while not seconds or (len(seconds) < 5 and seconds[0] < (LONG_SECONDS if engine in PEERS else 60)):
        result = None
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if isinstance(result, Result):
        result = ours.unpacked(result, table.codes.shape[1])
        save(file, result)
    return {"seconds": statistics.median(seconds), "slices": len(getattr(result, "n", result)), "peak": peak}


def warm_up(limit: int) -> None:
    """Load the compiled code, which a worker does once."""
    ours.cube(make_table(replace(SHAPES["S1"], events=500)), min(limit, 3))()


def save(file: Path, result: Result) -> None:
    """Slices in an order of their own: by a number made of group and codes."""
    factors = np.random.default_rng(0).integers(1, 2**63, result.codes.shape[1] + 1, np.uint64)
    key = result.group.astype(np.uint64) * factors[-1]
    for d in range(result.codes.shape[1]):
        key += (result.codes[:, d] + 1).astype(np.uint64) * factors[d]
    order = np.argsort(key)
    np.savez(
        file, key=key[order], n=result.n[order], mean=result.mean[order], variance=result.variance[order]
    )


def same(one: Path, other: Path) -> bool:
    """Whether two files hold the same slices and numbers."""
    a, b = np.load(one), np.load(other)
    return (
        np.array_equal(a["key"], b["key"])
        and np.array_equal(a["n"], b["n"])
        and np.allclose(a["mean"], b["mean"], rtol=1e-9, atol=1e-9)
        and np.allclose(a["variance"], b["variance"], rtol=1e-9, atol=1e-9)
    )


def in_process(shape: str, engine: str, seed: int, file: Path, **environment: str) -> dict[str, float]:
    """`measure` in a new process, which has one thread for each library unless it asks for two."""
    one_thread = dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "tests.benchmarks.mining", "--measure", engine]
    done = subprocess.run(
        [*command, "--file", str(file), "--seed", str(seed), shape],
        env={**os.environ, **one_thread, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{shape}, {engine}: {done.stderr}")
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def compare(shape: str, seed: int) -> bool:
    """Measure and print one table; whether all slices agree."""
    engines = [CUBE, *([CUBE_2] if shape in ("S3", "S4") else []), EVERYTHING, *PEERS]
    # rolling up thousands of subsets of small tables is slower than reading the rows: it is left out there
    if shape in ("S2", "S4"):
        engines = [engine for engine in engines if "rolled up" not in engine]
    if shape == "S1":
        engines.append(RECURSION)
    agreed = True
    with tempfile.TemporaryDirectory() as folder:
        files = {engine: Path(folder) / f"{number}.npz" for number, engine in enumerate(engines)}
        results: dict[str, dict[str, float]] = {}
        for engine in engines:
            results[engine] = result = in_process(shape, engine, seed, files[engine])
            ratio = result["seconds"] / results[CUBE]["seconds"]
            agree = not files[engine].exists() or same(files[CUBE], files[engine])
            agree &= result["slices"] == results[CUBE]["slices"]
            agreed &= agree
            print(
                f"{shape}  {engine:<22} {result['seconds']:>10.4f} s {ratio:>9.1f}x"
                f" {result['slices']:>12,.0f} {result['peak']:>8,.0f} MB"
                f"{'' if agree else '  DIFFERENT SLICES'}",
                flush=True,
            )
    peer = min(results[engine]["seconds"] for engine in engines if engine in PEERS)
    bar(f"{shape} against the faster peer", peer / results[CUBE]["seconds"], BARS[shape])
    if shape != "S1":
        whole = results[EVERYTHING]
        bar(f"{shape} everything included against its bare aggregation", peer / whole["seconds"], 1)
    if shape in ("S3", "S4"):
        peak = max(results[engine]["peak"] for engine in (CUBE, CUBE_2, EVERYTHING))
        bar(f"{shape} {PEAK_MB[shape]} MB against our peak memory", PEAK_MB[shape] / peak, 1)
    if shape == "S4":
        speed_up = results[CUBE]["seconds"] / results[CUBE_2]["seconds"]
        bar("S4 second thread", speed_up, THREADS_BAR)
    return agreed


def bar(what: str, ratio: float, least: float) -> None:
    """Print whether a ratio is as high as it has to be."""
    print(f"{'ok  ' if ratio >= least else 'LOW '} {what}: {ratio:.1f}x (at least {least}x)", flush=True)


def first_call(seed: int) -> None:
    """Print what compiling costs once a machine, and loading what was compiled once a process."""
    with tempfile.TemporaryDirectory() as folder:
        for what in ("compiled", "from the cache"):
            result = in_process("S1", COMPILE, seed, Path(folder) / "slices.npz", NUMBA_CACHE_DIR=folder)
            print(f"First call, {what}: {result['seconds']:.1f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; 1 if slices differ. A ratio below its bar is marked LOW."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="*", default=[*SHAPES], help="S1 S2 S3 S4")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure == COMPILE:
        start = time.perf_counter()
        warm_up(6)
        print(json.dumps({"seconds": time.perf_counter() - start}))
        return 0
    if options.measure:
        print(json.dumps(measure(options.shapes[0], options.measure, options.seed, options.file)))
        return 0
    print(f"{'':<26} {'seconds':>12} {'to ours':>10} {'slices':>12} {'peak memory':>11}")
    agreed = [compare(shape, options.seed) for shape in options.shapes]
    first_call(options.seed)
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
