"""Mining by pieces, on whatever runs them: two passes over the rows, and more where large groups are cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import pandas as pd
from pandas.api.types import union_categoricals

from ..errors import EngineError, EventsError, LessonLimitError, PmStrengthError
from ..mining.cut.across import Known, known_of, trades_of
from ..mining.cut.piece import mine_piece
from ..mining.cut.plan import Piece, Plan
from ..mining.cut.route import added_counts, count_values
from ..mining.cut.survey import added, survey_rows
from ..mining.encode import CodedEvents
from ..mining.evidence.drift import read_claims
from ..mining.lessons import LEVERS, lesson_frame
from ..mining.scope_array import ScopeArray
from ..service.machine import free_bytes
from ..settings import LearningSettings

# A group with more rows is cut; one of so many takes some 2 GB while it is mined.
ROWS = 2_000_000
PARTITIONS_PER_CORE = 4

T = TypeVar("T")
Progress = Callable[[str, float], None]
Mine = Callable[[Piece, pd.DataFrame], pd.DataFrame]


class Runner(Protocol):
    """Rows on an engine, in parts that it chose; `tell` is told the share that is done."""

    def each_part(self, look: Callable[[pd.DataFrame], T], tell: Callable[[float], None]) -> Iterator[T]:
        """What a function makes of each part of the rows, in any order."""
        ...

    def each_piece(self, plan: Plan, mine: Mine, tell: Callable[[float], None]) -> Iterator[pd.DataFrame]:
        """What a function makes of the rows of each of the plan's pieces, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Mined:
    """Lessons as they come, and the attrs of `mine_lessons` but for the warning."""

    parts: Iterator[pd.DataFrame]
    numbers: dict[str, Any]
    settings: LearningSettings

    def warning(self, count: int) -> str | None:
        """What to say of so many lessons, from half of the limit on."""
        limit = self.settings.max_lessons
        if count * 2 < limit:
            return None
        return f"{count:,} lessons, of at most {limit:,} (max_lessons). {LEVERS}"

    def frame(self) -> pd.DataFrame:
        """All lessons as `mine_lessons` gives them, in the order of their groups."""
        lessons = _joined([part for part in self.parts if len(part)], self.settings)
        lessons.attrs.update(self.numbers, warning=self.warning(len(lessons)))
        return lessons


def mine_on(
    runner: Runner,
    settings: LearningSettings,
    *,
    progress: Progress = lambda what, share: None,
    published: Iterable[Mapping[str, Any]] = (),
    rows: int = ROWS,
) -> Mined:
    """All lessons of the runner's rows; a group with more than `rows` is cut, without evidence.

    `published` are as `mine_lessons` takes them. Raises `LessonLimitError` over `max_lessons`, and
    `EngineError` where a group would have to be cut in the guarded profile, or a piece fails; it is named.
    """
    survey = added(runner.each_part(survey_rows, lambda share: progress("reading events", share)))
    plan = Plan(survey.rows, settings, rows)
    while plan.open_nodes:
        counted = runner.each_part(
            partial(count_values, plan=plan), lambda share: progress("counting values", share)
        )
        plan.cut(added_counts(counted, plan))
    _check(plan, survey.mixed, settings, rows)
    known = known_of(survey, settings, read_claims(published))
    numbers = {
        "baseline": known.baseline if survey.events else None,
        "events": survey.events,
        "trades": trades_of(survey),
    }
    parts = runner.each_piece(
        plan, partial(_mine, known=known, settings=settings), lambda share: progress("mining", share)
    )
    return Mined(_limited(parts, settings), numbers, settings)


def _check(plan: Plan, mixed: frozenset[tuple[str, str]], settings: LearningSettings, rows: int) -> None:
    for group in plan.cut_groups:
        name = f"group {', '.join(group)}"
        if settings.profile == "guarded":
            raise EngineError(
                f"The {name} has more than {rows:,} events and would have to be cut. The guarded profile "
                "weighs all slices of a group at once: raise --rows if the engine's workers have the memory "
                "(0.8 kB an event), or mine locally."
            )
        if group in mixed:
            raise EventsError(
                f"events: the {name} has a trade whose events differ in outcome or time, and more than "
                f"{rows:,} events, so that it would have to be cut: expected one outcome and time a trade."
            )


def _mine(piece: Piece, rows: pd.DataFrame, known: Known, settings: LearningSettings) -> pd.DataFrame:
    try:
        return mine_piece(rows, piece, known, settings, free_bytes)
    except PmStrengthError as error:
        raise type(error)(f"{piece}: {error}") from None
    except Exception as error:
        raise EngineError(f"{piece}: {type(error).__name__}: {error}") from error


def _limited(parts: Iterator[pd.DataFrame], settings: LearningSettings) -> Iterator[pd.DataFrame]:
    count = 0
    for part in parts:
        count += len(part)
        if count > settings.max_lessons:
            raise LessonLimitError(f"More than {settings.max_lessons:,} lessons (max_lessons). {LEVERS}")
        yield part


def partitions(plan: Plan, cores: int) -> int:
    """In how many partitions the rows of all pieces go: some for each core, none much larger than a piece."""
    rows = sum(piece.rows for piece in plan.pieces)
    return max(1, min(len(plan.pieces), max(PARTITIONS_PER_CORE * cores, -(-rows // plan.limit))))


def in_parts(lessons: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    """The lessons of one piece in parts of so many, each with its own scopes alone."""
    for start in range(0, len(lessons), size):
        part = lessons.iloc[start : start + size].copy()
        scopes: Any = part["scope_subset"].array
        part["scope_subset"] = ScopeArray.of_group(*scopes.only_table())
        yield part


def no_lessons(settings: LearningSettings) -> pd.DataFrame:
    """The frame of lessons without any."""
    return lesson_frame(CodedEvents([], 0, 0, 0.0), [], settings, [])


def _joined(parts: list[pd.DataFrame], settings: LearningSettings) -> pd.DataFrame:
    if not parts:
        return no_lessons(settings)
    parts = sorted(parts, key=lambda part: (part["pattern_key"].iloc[0], part["action_category"].iloc[0]))
    columns: dict[str, Any] = {}
    for name in parts[0].columns:
        held = [part[name] for part in parts]
        categories = isinstance(held[0].dtype, pd.CategoricalDtype)
        if categories and name != "decay_state":
            columns[name] = union_categoricals(held, sort_categories=True)
        else:
            columns[name] = pd.concat(held, ignore_index=True)
    return pd.DataFrame(columns)
