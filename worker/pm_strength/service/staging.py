"""Lessons and overrides on their way into the set of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from ..project import store as pages
from ..project.store import Store
from .events import Progress

if TYPE_CHECKING:
    import pandas as pd

# The database works on so many pages at the same time.
CALLS = 2

T = TypeVar("T")
Page = TypeVar("Page")


def stage_lessons(store: Store, run_id: int, lessons: pd.DataFrame, progress: Progress) -> None:
    """Send what `mine_lessons` returned, carry over what was not found again, and make the indexes."""
    from ..mining.lesson_columns import LessonColumns

    columns = LessonColumns(lessons)
    columns.know(*store.scope_bits(columns.members, columns.groups))
    count = store.open_set(run_id, len(columns), lessons.attrs["baseline"])
    starts = range(0, count, pages.STAGE_PAGE)
    parts = (columns.part(start, start + pages.STAGE_PAGE) for start in starts)
    progress("publishing lessons", 0.0)
    for sent, _new in enumerate(_side_by_side(lambda part: store.stage_lessons(run_id, part), parts), 1):
        progress("publishing lessons", sent / len(starts))
    for _left in store.stage_retired(run_id):
        progress("retiring lessons", 0.0)
    make_indexes(store, run_id, progress)


def stage_overrides(store: Store, run_id: int, expected: int, progress: Progress) -> tuple[int, int]:
    """Make the overrides of a run and their indexes: how many lessons were looked at, and how many made."""
    count = store.open_set(run_id, expected)
    looked_at = overrides = 0
    progress("making overrides", 0.0)
    starts = range(0, count, pages.STAGE_PAGE)
    for page in _side_by_side(
        lambda start: store.stage_overrides(run_id, start, pages.STAGE_PAGE), iter(starts)
    ):
        looked_at += page["looked_at"]
        overrides = max(overrides, page["overrides"])
        progress("making overrides", min(1.0, looked_at / count))
    make_indexes(store, run_id, progress)
    return looked_at, overrides


def make_indexes(store: Store, run_id: int, progress: Progress) -> None:
    """Make the indexes that the set of a run still lacks."""
    for _index in store.index_set(run_id):
        progress("making indexes", 0.0)


def _side_by_side(send: Callable[[T], Page], jobs: Iterable[T]) -> Iterator[Page]:
    """The answers to all jobs, in their order; while they are under way, the next job is made."""
    with ThreadPoolExecutor(CALLS) as pool:
        waiting = []
        try:
            for job in jobs:
                waiting.append(pool.submit(send, job))
                if len(waiting) > CALLS:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
