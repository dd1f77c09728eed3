"""Jobs of the schedule: sweep, mine and materialize, read off their queue one by one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..errors import (
    GateError,
    PermanentStoreError,
    PmStrengthError,
    StoppedError,
    SupersededRunError,
    TransientStoreError,
)
from ..json_values import Row
from ..project.retry import is_data_error
from ..project.store import JOBS_QUEUE, Store
from ..settings import DEFAULT_MODULE
from . import runs as learning
from .events import Cache, Progress
from .lease import Lease
from .liveness import Liveness
from .metrics import Metrics, NoMetrics

log = logging.getLogger(__name__)

# A job that broke for a reason that may pass, such as a database that restarts.
JOB_TRIES = 5
# What Postgres answers for a run that is not running, as after a day.
RUN_ENDED = "55000"


@dataclass(frozen=True, slots=True)
class Jobs:
    """The queue of jobs; when a worker dies, its job goes to another one after `visibility_seconds`."""

    visibility_seconds: int
    liveness: Liveness
    metrics: Metrics | NoMetrics
    cache: Cache | None = None

    def do_next(self, store: Store) -> int:
        """Do the job that is due, if there is one; returns how many there were (0 or 1).

        Raises `PermanentStoreError`, after it put the job back, where no job can be done: for a wrong key,
        or a missing migration.
        """
        entry = store.read_job(self.visibility_seconds)
        self.liveness.answered()
        if entry is None:
            return 0
        msg_id = int(entry["msg_id"])
        start = time.monotonic()
        try:
            with Lease(store, JOBS_QUEUE, [msg_id], self.visibility_seconds):
                report = run_job(store, entry["message"], self.liveness.progress, self.cache)
        except StoppedError:
            store.extend(JOBS_QUEUE, [msg_id], 0)
        except SupersededRunError as error:
            log.info("superseded", extra={"reason": str(error)})
            store.archive(JOBS_QUEUE, [msg_id])
        except GateError as error:
            # not a failure: the run says why, and what was published before stays
            log.warning("held back by the gate", extra={"reason": str(error)})
            store.archive(JOBS_QUEUE, [msg_id])
        except TransientStoreError as error:
            _put_back(store, entry, error)
        except PermanentStoreError as error:
            if not (is_data_error(error.code) or error.code == RUN_ENDED):
                store.extend(JOBS_QUEUE, [msg_id], 0)
                raise
            _set_aside(store, entry, error)
        except Exception as error:
            # A bug, or bad settings: another try would end the same way.
            _set_aside(store, entry, error)
        else:
            store.archive(JOBS_QUEUE, [msg_id])
            self.metrics.job(str(entry["message"].get("job")), time.monotonic() - start)
            if report is not None:
                self.metrics.run(report)
        return 1


def run_job(
    store: Store, message: Mapping[str, Any], progress: Progress, cache: Cache | None = None
) -> learning.RunReport | None:
    """Do the job that a message names, and return the run that it published.

    Raises what the job raises, or an error naming the job.
    """
    job = message.get("job")
    module = message.get("module") or DEFAULT_MODULE
    if job == "sweep":
        found = 0
        for count in store.sweep():
            found += count
            progress("sweeping", 0.0)
        log.info("swept", extra={"found": found})
    elif job == "mine":
        mine = partial(learning.mine, cache=cache)
        report = mine(store, module, progress)
        log.info("mined", extra={"run_id": report.run_id, "lessons": report.lessons})
        _in_the_shadow(mine, store, module, progress)
        return report
    elif job == "materialize":
        result = learning.materialize(store, module, progress)
        if result is not None:
            log.info("materialized", extra={"run_id": result.run_id, "overrides": result.overrides})
        _in_the_shadow(learning.materialize, store, module, progress)
        return result
    else:
        raise PmStrengthError(f"message.job: expected sweep, mine or materialize, got {job!r}")
    return None


def _in_the_shadow(
    run: Callable[..., learning.RunReport | None], store: Store, module: str, progress: Progress
) -> None:
    """The same for the profile in the shadow, where there is one; what fails there sizes nothing."""
    if learning.shadow_profile(store, module) is None:
        return
    try:
        report = run(store, module, progress, "shadow")
    except (StoppedError, TransientStoreError):
        raise
    except PmStrengthError as error:
        log.warning("the shadow failed", extra={"learned_for": module, "error": str(error)})
        return
    if report is not None:
        log.info("learned in the shadow", extra={"run_id": report.run_id, "kind": report.kind})


def _set_aside(store: Store, entry: Row, error: Exception) -> None:
    log.error("job failed", extra={"job": entry["message"]}, exc_info=error)
    store.dead_letter(JOBS_QUEUE, int(entry["msg_id"]), f"{type(error).__name__}: {error}")


def _put_back(store: Store, entry: Row, error: TransientStoreError) -> None:
    tries = int(entry["read_ct"])
    if tries >= JOB_TRIES:
        store.dead_letter(JOBS_QUEUE, int(entry["msg_id"]), f"after {tries} tries: {error}")
        return
    log.warning("job put back", extra={"job": entry["message"], "error": str(error)})
    store.extend(JOBS_QUEUE, [int(entry["msg_id"])], round(30 * 2.0**tries))
