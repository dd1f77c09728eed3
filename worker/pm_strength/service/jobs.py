"""What each message makes the worker do: capture trades, sweep, mine or materialize."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ..capture.batch import BatchPlan
from ..errors import PmStrengthError
from ..project.store import TRADES_QUEUE, Store
from ..settings import DEFAULT_MODULE
from . import runs as learning

log = logging.getLogger(__name__)


def commit(store: Store, plan: BatchPlan) -> int:
    """Write a planned batch; returns the number of new events."""
    added = store.commit_trades(plan.events, plan.done_ids, plan.retries, list(plan.dead.values()))
    for msg_id in plan.unreadable:
        store.dead_letter(TRADES_QUEUE, msg_id, "message.strand_id: expected the id of a strand")
    for letter in plan.dead.values():
        trade_id = plan.trade_of.get(letter["strand_id"])
        log.warning(
            "dead letter",
            extra={"strand_id": letter["strand_id"], "trade_id": trade_id, "reason": letter["reason"]},
        )
    if log.isEnabledFor(logging.DEBUG):
        for trade_id in dict.fromkeys(event["trade_id"] for event in plan.events):
            log.debug("trade captured", extra={"trade_id": trade_id})
    return added


def run_job(
    store: Store, message: Mapping[str, Any], progress: learning.Progress
) -> learning.RunReport | None:
    """Do the job that a message names, and return the run that it published.

    Raises what the job raises, or an error naming the job.
    """
    job = message.get("job")
    module = message.get("module") or DEFAULT_MODULE
    if job == "sweep":
        found = sum(store.sweep())
        log.info("swept", extra={"found": found})
    elif job == "mine":
        report = learning.mine(store, module, progress)
        log.info("mined", extra={"run_id": report.run_id, "lessons": report.lessons})
        return report
    elif job == "materialize":
        result = learning.materialize(store, module, progress)
        if result is not None:
            log.info("materialized", extra={"run_id": result.run_id, "overrides": result.overrides})
        return result
    else:
        raise PmStrengthError(f"message.job: expected sweep, mine or materialize, got {job!r}")
    return None
