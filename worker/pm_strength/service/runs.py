"""Mining and materializing on a project: read, compute, stage, publish; whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import PmStrengthError, SupersededRunError
from ..json_values import Row
from ..overrides.exposure import exposure_scale
from ..project.store import Store
from ..settings import DEFAULT_MODULE, PROFILES, LearningSettings
from .events import Cache, Progress, read_all_events, silent
from .gate import pass_gate
from .machine import mine_lessons
from .staging import stage_lessons, stage_overrides

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# So many of the newest sized actions tell how much sizes grow.
EXPOSURE_ACTIONS = 2000


# Makes lessons of events, with the overrides that are live: as `mine_lessons` does, here or elsewhere.
Maker = Callable[["pd.DataFrame", LearningSettings, Progress, Iterable[Row]], "pd.DataFrame"]


def here(
    events: pd.DataFrame, settings: LearningSettings, progress: Progress, published: Iterable[Row]
) -> pd.DataFrame:
    """Mine in this process."""
    return mine_lessons(
        events, settings, progress=lambda share: progress("mining", share), published=published
    )


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a published run did: its id and the counts of its `learning_runs` row."""

    run_id: int
    module: str
    kind: str
    events: int | None = None
    trades: int | None = None
    lessons: int | None = None
    overrides: int | None = None
    baseline: float | None = None
    warning: str | None = None


def mine(
    store: Store,
    module: str = DEFAULT_MODULE,
    progress: Progress = silent,
    role: str = "live",
    cache: Cache | None = None,
    make: Maker = here,
) -> RunReport:
    """Mine all events of a module and publish the lessons, of the shadow profile in that role.

    With a `cache` of what earlier runs have read, only new events are read. `make` makes the lessons.

    Raises `SettingsError`, `LessonLimitError`, or `GateError` where the setting `gate` is on and the
    lessons do not pay on trades they have not seen (the run is marked as failed, what was live stays),
    and `SupersededRunError` if a newer run was published first.
    """
    raw = _settings_of(store.settings_row(module), role)
    run = _begin(store, module, "mine", raw, role)
    assert run is not None  # noqa: S101 - only a materialization can find nothing to start from
    with _failing(store, run["run_id"]):
        settings = LearningSettings.from_mapping(raw)
        events = read_all_events(store, module, progress, run["horizon"], run["epoch"], cache)
        published = _published(store, module, role) if settings.profile == "guarded" else ()
        lessons = make(events, settings, progress, published)
        warnings = [lessons.attrs.get("warning")]
        if settings.gate and role == "live":
            warnings.append(pass_gate(events, settings, lambda share: progress("evaluating", share)))

        # what the run before has dropped makes room
        for _removed in store.purge_sets():
            progress("removing old sets", 0.0)
        stage_lessons(store, run["run_id"], lessons, progress)
        summary = {
            "events": lessons.attrs["events"],
            "trades": lessons.attrs["trades"],
            "lessons": len(lessons),
            "baseline": lessons.attrs["baseline"],
            "warning": " ".join(filter(None, warnings)) or None,
        }
        _publish(store, run["run_id"], len(lessons), summary)
    if summary["warning"]:
        log.warning(summary["warning"], extra={"run_id": run["run_id"]})
    _purge(store, progress)
    return RunReport(run_id=run["run_id"], module=module, kind="mine", **summary)


def _published(store: Store, module: str, role: str) -> Iterator[Row]:
    """The guarded overrides that are live, or in the shadow; there are few."""
    page = store.override_page(page_size=0, module=module)
    if role == "shadow" and page.get("shadow_set_id") is not None:
        page = store.override_page(page["shadow_set_id"], 0, 0, module)
    elif role == "shadow":
        return
    if page.get("profile") == "guarded":
        yield from store.override_rows(page["set_id"], module)


def shadow_profile(store: Store, module: str) -> str | None:
    """The profile that is learned beside the module's own; None where there is none, or it is the same."""
    raw = store.settings_row(module)
    chosen = raw.get("shadow_profile")
    return chosen if chosen in PROFILES and chosen != raw.get("profile", "source") else None


def _settings_of(raw: Row, role: str) -> Row:
    """The settings of a run: in the shadow those of the module with the other profile, and its strategy."""
    if role == "live":
        return raw
    return {name: value for name, value in raw.items() if name != "strategy"} | {
        "profile": raw.get("shadow_profile")
    }


def materialize(
    store: Store, module: str = DEFAULT_MODULE, progress: Progress = silent, role: str = "live"
) -> RunReport | None:
    """Have the database turn the lessons of the last complete mining run into overrides, and publish them.

    `overrides.materialize.materialize_overrides` defines what is made. Returns None if nothing was ever
    mined. Raises as `mine` does.
    """
    raw = _settings_of(store.settings_row(module), role)
    run = _begin(store, module, "materialize", raw, role)
    if run is None:
        return None
    with _failing(store, run["run_id"]):
        settings = LearningSettings.from_mapping(raw)
        _looked_at, overrides = stage_overrides(store, run["run_id"], run["expected"], progress)
        if settings.max_change is not None:
            for _page in store.stage_leaving(run["run_id"]):
                progress("limiting changes", 0.0)
        scale, warning = _limit_exposure(store, run["run_id"], settings.max_added_exposure, progress)
        _publish(store, run["run_id"], summary={"exposure_scale": scale, "warning": warning})
    if warning:
        log.warning(warning, extra={"run_id": run["run_id"]})
    _purge(store, progress)
    return RunReport(
        run_id=run["run_id"],
        module=module,
        kind="materialize",
        lessons=run["lessons"],
        overrides=overrides,
        warning=warning,
    )


def _limit_exposure(
    store: Store, run_id: int, limit: float | None, progress: Progress
) -> tuple[float, str | None]:
    """The exposure scale of a run's overrides, and what to say of it."""
    if limit is None:
        return 1.0, None
    actions, below, above = 0, 0.0, 0.0
    for page in store.weigh_exposure(run_id, EXPOSURE_ACTIONS):
        actions, below, above = (actions + page["actions"], below + page["below"], above + page["above"])
        progress("limiting exposure", actions / EXPOSURE_ACTIONS)
    scale = exposure_scale(actions, below, above, limit)
    if scale == 1.0:
        return scale, None
    return scale, (
        f"max_added_exposure: the multipliers of the newest {actions:,} entries and adds have a mean of "
        f"{(below + above) / actions:.3f}, so what is above 1 is multiplied by {scale:.3f}."
    )


def _begin(store: Store, module: str, kind: str, raw: Row, role: str) -> Row | None:
    # Read once, so that the run uses the settings that are recorded, even if someone changes them meanwhile.
    # An invalid row is recorded as it is: a run that fails because of its settings then shows them.
    try:
        recorded = LearningSettings.from_mapping(raw).to_dict()
    except PmStrengthError:
        recorded = raw
    return store.begin_run(module, kind, recorded, role)


def _publish(store: Store, run_id: int, active: int | None = None, summary: Row | None = None) -> None:
    answer = store.publish_run(run_id, active, summary)
    if answer == "pinned":
        raise SupersededRunError(
            f"Run {run_id} was not published: the overrides are pinned by a rollback. "
            "`pm-strength overrides unpin` lets runs publish again."
        )
    if answer != "published":
        raise SupersededRunError(f"Run {run_id} was not published: {answer} by a run that went live first.")


def _purge(store: Store, progress: Progress) -> None:
    for _removed in store.purge_sets():
        progress("removing old sets", 0.0)
    for _removed in store.prune():
        progress("removing what is past its time", 0.0)


class _failing:  # noqa: N801 - reads as what the block does to its run
    """Marks the run as failed if the block raises; what it staged is never seen."""

    def __init__(self, store: Store, run_id: int) -> None:
        self._store = store
        self._run_id = run_id

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and not isinstance(error, SupersededRunError):
            try:
                self._store.fail_run(self._run_id, f"{type(error).__name__}: {error}")
            except PmStrengthError as second:
                log.warning(
                    "could not mark a run as failed",
                    extra={"run_id": self._run_id, "error": str(second)},
                )
