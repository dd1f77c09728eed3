"""All slices with enough distinct trades, of all groups: an iceberg cube with a distinct count.

Prepares each group for the compiled walk (`walk.py`), spreads the work over threads, and keeps
an eye on it: progress, a limit, and an end within a fraction of a second when it is told to stop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ..arrays import MISSING, CodeArray, FloatArray, IntArray
from ..encode import CodedGroup
from .rows import Rows, count_codes, make_records, recode
from .signed import sign_rows
from .walk import mine_group

# Told from time to time of the share that is done; may raise to end the walk.
Watch = Callable[[float], None]

POLL_SECONDS = 0.05
# A group with fewer rows, or less of all the work, is one task: splitting it gains nothing.
SPLIT_ROWS = 10_000
SPLIT_SHARE = 1 / 6


@dataclass(frozen=True, slots=True)
class Slices:
    """The slices of a group, one entry each in every array.

    `codes` has a column for each of `dimensions` (numbers of the group's), `MISSING` where the
    dimension is not in the subset.
    The sums are over distinct trades: `n`, the mean of y, and the sums of squares and products of y
    and t (hours) about their means in the slice, which is where nothing cancels.
    """

    dimensions: tuple[int, ...]
    codes: CodeArray
    n: IntArray
    mean_y: FloatArray
    yy: FloatArray
    tt: FloatArray
    ty: FloatArray


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A group as the kernel takes it, its dimensions in `order`; the sums and codes of its empty subset."""

    order: IntArray
    rows: Rows
    root: FloatArray
    empty: CodeArray


@dataclass(frozen=True, slots=True)
class _Task:
    group: int
    first_dim: int
    last_dim: int
    cost: float


def iceberg_cube(
    groups: Sequence[CodedGroup],
    n_min: int,
    max_dims: int | None,
    *,
    max_slices: int | None = None,
    threads: int = 1,
    watch: Watch = lambda share: None,
) -> list[Slices]:
    """Every slice of at most `max_dims` dimensions with `n_min` distinct trades, for each group.

    Once more than `max_slices` are found the walk ends, and what was found so far is returned: more
    than `max_slices`. The order of the slices depends on the values alone, not on the order of the
    events or on `threads`.
    """
    _compile(groups)
    with ThreadPoolExecutor(threads) as pool:
        prepared = list(pool.map(lambda group: _prepare(group, n_min), groups))
        tasks = _tasks(prepared, max_dims)
        parts = _run(pool, prepared, tasks, n_min, max_dims, max_slices, watch)
        return list(
            pool.map(
                lambda number: _assemble(
                    groups[number],
                    prepared[number],
                    [part for task, part in zip(tasks, parts, strict=True) if task.group == number],
                ),
                range(len(groups)),
            )
        )


def _prepare(group: CodedGroup, n_min: int) -> _Prepared | None:
    """The group for the kernel; None if it has fewer trades than a slice needs."""
    starts = np.ones(len(group.trade), dtype=bool)
    starts[1:] = group.trade[1:] != group.trade[:-1]
    first = np.flatnonzero(starts)
    if len(first) < n_min:
        return None
    y, t = group.y[first], group.t[first]
    # centred on the first values, so that equal ones differ from their mean by exactly 0
    with np.errstate(over="ignore", invalid="ignore"):
        (centre, dy), (middle, dt) = _centred(y), _centred(t)
        root = np.array([len(first), centre, dy @ dy, dt @ dt, dt @ dy])

    order, codes, cards = frequent_values(group, n_min)
    signed, weight, event, plain = sign_rows(codes, group.trade, cards.astype(codes.dtype))
    simple = len(signed)
    if len(plain):
        signed, event = np.concatenate((signed, codes[plain])), np.concatenate((event, plain))
        weight = np.concatenate((weight, np.ones(len(plain))))
    records = make_records(weight, group.y[event], group.t[event], centre, middle)
    rows = Rows(
        # unsigned codes index arrays faster
        codes=signed.view(f"u{signed.itemsize}"),
        weight=weight,
        records=records,
        trade=group.trade[event],
        simple=simple,
        cards=cards,
        centre=centre,
    )
    return _Prepared(order, rows, root, np.full(len(order), MISSING, codes.dtype))


def _centred(x: FloatArray) -> tuple[float, FloatArray]:
    """The mean, and the differences from it."""
    shifted: FloatArray = x - x[0]
    mean = float(shifted.mean())
    if not math.isfinite(mean):  # values at the end of what a double holds
        mean = math.fsum(x / len(x))
        return mean, x - mean
    shifted -= mean
    return float(x[0] + mean), shifted


def frequent_values(group: CodedGroup, n_min: int) -> tuple[IntArray, CodeArray, IntArray]:
    """The dimensions with a value of `n_min` events, those with most values first; codes and cards.

    Each rarer value, and a missing one, is the last code.
    """
    codes = group.codes
    cards = np.array([len(values) for values in group.values], dtype=np.int64)
    offset = np.zeros(len(cards) + 1, dtype=np.int64)
    offset[1:] = np.cumsum(cards + 1)
    # what each code becomes
    becomes = np.arange(offset[-1]) - np.repeat(offset[:-1], cards + 1)
    rare = count_codes(codes, offset) < n_min
    becomes[rare] = np.repeat(cards, cards + 1)[rare]
    becomes[offset[1:] - 1] = cards
    frequent = np.add.reduceat(~rare, offset[:-1]) if len(cards) else rare
    order = np.lexsort((np.arange(len(cards)), -cards))
    order = order[frequent[order] > 0]
    recoded = recode(codes, order, offset, cards, becomes.astype(codes.dtype))
    return order, recoded, cards[order]


def _tasks(prepared: Sequence[_Prepared | None], max_dims: int | None) -> list[_Task]:
    """One task a group, or one for each first dimension of a group that has most of the work."""
    wholes = []
    for number, group in enumerate(prepared):
        if group is not None:
            rows, width = group.rows.codes.shape
            limit = width if max_dims is None else min(max_dims, width)
            wholes.append((_Task(number, 0, width, float(rows) * _subsets(width, limit)), rows, limit))
    total = sum(whole.cost for whole, _, _ in wholes)
    tasks = []
    for whole, rows, limit in wholes:
        width = whole.last_dim
        if rows < SPLIT_ROWS or width < 3 or whole.cost < total * SPLIT_SHARE:
            tasks.append(whole)
            continue
        tasks += [
            _Task(whole.group, first, last, float(rows) * _subsets(width - first - 1, limit - 1))
            for first, last in pairwise([*range(width - 2), width])
        ]
    return tasks


def _subsets(dimensions: int, limit: int) -> int:
    return sum(math.comb(dimensions, size) for size in range(min(dimensions, limit) + 1))


def _run(
    pool: ThreadPoolExecutor,
    prepared: Sequence[_Prepared | None],
    tasks: Sequence[_Task],
    n_min: int,
    max_dims: int | None,
    max_slices: int | None,
    watch: Watch,
) -> list[tuple[CodeArray, FloatArray]]:
    """The slices of each task. The walk runs without Python's lock, and this thread watches it."""
    stop = np.zeros(1, dtype=np.int64)
    found = np.zeros((len(tasks), 1), dtype=np.int64)
    done = np.zeros((len(tasks), 1))
    cost = np.array([task.cost for task in tasks])

    def mine(number: int) -> tuple[CodeArray, FloatArray]:
        task = tasks[number]
        group = prepared[task.group]
        assert group is not None  # noqa: S101 - no task was made for such a group
        limit = len(group.order) if max_dims is None else min(max_dims, len(group.order))
        found_here, done_here = found[number], done[number]
        codes, sums = mine_group(
            *(group.rows, group.root, group.empty.copy(), limit, float(n_min), task.first_dim, task.last_dim),
            *(stop, found_here, done_here),
        )
        return codes, sums

    heaviest_first = np.argsort(-cost, kind="stable").tolist()
    futures = {number: pool.submit(mine, number) for number in heaviest_first}
    try:
        pending: Any = set(futures.values())
        while pending:
            pending = wait(pending, timeout=POLL_SECONDS).not_done
            watch(float((done[:, 0] * cost).sum() / max(cost.sum(), 1.0)))
            if max_slices is not None and found.sum() > max_slices:
                stop[0] = 1
    except BaseException:
        stop[0] = 1
        for future in futures.values():
            future.cancel()
        raise
    return [futures[number].result() for number in range(len(tasks))]


def _compile(groups: Sequence[CodedGroup]) -> None:
    """Compile everything in this thread, where Ctrl-C can end it; it takes no time once that is done."""
    for group in groups[:1]:
        one = replace(group, codes=group.codes[:1], trade=group.trade[:1], y=group.y[:1], t=group.t[:1])
        prepared = _prepare(one, 1)
        assert prepared is not None  # noqa: S101 - it has a trade
        counters = np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1)
        mine_group(prepared.rows, prepared.root, prepared.empty, 0, 1.0, 0, 0, *counters)


def _assemble(
    group: CodedGroup, prepared: _Prepared | None, parts: Sequence[tuple[CodeArray, FloatArray]]
) -> Slices:
    """The slices of a group's tasks, the empty subset first."""
    if prepared is None:
        none = np.empty(0)
        return Slices((), np.empty((0, 0), group.codes.dtype), none.astype(np.int64), none, none, none, none)
    codes, sums = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    return Slices(
        dimensions=tuple(prepared.order.tolist()),
        codes=codes,
        n=np.rint(sums[:, 0]).astype(np.int64),
        mean_y=sums[:, 1].copy(),
        yy=np.maximum(sums[:, 2], 0.0),
        tt=np.maximum(sums[:, 3], 0.0),
        ty=sums[:, 4].copy(),
    )
