"""What becomes of a batch of trade messages: new events, dead letters, and messages to see again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..json_values import Row
from .trade import BadStrand, Capture, Outcome, Strand, capture_trade, group_by_trade

# A close whose actions are not there yet: five tries over about an hour (contract section 1).
NO_ACTIONS_DELAYS_SECONDS = (60, 300, 900, 2400)


@dataclass(slots=True)
class BatchPlan:
    """What becomes of a batch of trade messages.

    `events` are new rows. By message id: `done_ids` leave the queue, `retries` come again later, and
    `unreadable` ones name no strand. `dead` are dead letters by strand; `trade_of` is the trade of each
    strand that has one.
    """

    events: list[Row] = field(default_factory=list)
    done_ids: list[int] = field(default_factory=list)
    retries: list[Row] = field(default_factory=list)
    dead: dict[str, Row] = field(default_factory=dict)
    unreadable: list[int] = field(default_factory=list)
    trade_of: dict[str, str] = field(default_factory=dict)

    def dead_letter(self, strand_id: str, code: str, reason: str) -> None:
        """Make a dead letter of a strand."""
        message = {"strand_id": strand_id}
        self.dead[strand_id] = {"strand_id": strand_id, "code": code, "reason": reason, "message": message}


def plan_batch(messages: Sequence[Row], read: Mapping[str, Any]) -> BatchPlan:
    """Decide what becomes of each message, with the strands and events of its trade.

    `messages` are as `Store.claim_trades` returned them, `read` is what `Store.read_trades` returned.
    """
    plan = BatchPlan()
    strands, unreadable = _parse(read["strands"])
    trades, bad = group_by_trade(strands)
    faults = {fault.strand_id: fault for fault in (*unreadable, *bad)}
    for fault in faults.values():
        plan.dead_letter(fault.strand_id, "bad_strand", fault.reason)

    known = {row["trade_id"]: row for row in read["events"]}
    trade_of = plan.trade_of = {
        strand.id: trade_id
        for trade_id, (closes, actions) in trades.items()
        for strand in (*closes, *actions)
    }
    captures: dict[str, Capture] = {}
    for entry in messages:
        strand_id = subject(entry)
        if strand_id is None:
            plan.unreadable.append(entry["msg_id"])
            continue
        trade_id = trade_of.get(strand_id)
        if trade_id is None:
            if strand_id not in faults:
                plan.dead_letter(
                    strand_id, "bad_strand", "strand_id: expected a strand with this id, found none"
                )
            plan.done_ids.append(entry["msg_id"])
            continue
        if trade_id not in captures:
            closes, actions = trades[trade_id]
            captures[trade_id] = _capture(plan, trade_id, closes, actions, known.get(trade_id))
        _settle(plan, entry["msg_id"], entry["message"], captures[trade_id], trade_id in known)
    return plan


def subject(entry: Mapping[str, Any]) -> str | None:
    """The strand that a message is about; None if it names none."""
    message = entry["message"] if isinstance(entry["message"], dict) else {}
    strand_id = message.get("strand_id")
    return strand_id if isinstance(strand_id, str) else None


def _parse(rows: list[Row]) -> tuple[list[Strand], list[BadStrand]]:
    strands: list[Strand] = []
    bad: list[BadStrand] = []
    for row in rows:
        strand = Strand.from_row(row)
        if isinstance(strand, BadStrand):
            bad.append(strand)
        else:
            strands.append(strand)
    return strands, bad


def _capture(
    plan: BatchPlan,
    trade_id: str,
    closes: list[Strand],
    actions: list[Strand],
    known: Row | None,
) -> Capture:
    outcome = Outcome(**known["outcome"]) if known is not None else None
    captured = set(known["strand_ids"]) if known is not None else set()
    capture = capture_trade(trade_id, closes, actions, outcome, captured)
    plan.events.extend(event.to_row() for event in capture.events)
    for fault in capture.bad:
        plan.dead_letter(fault.strand_id, "bad_strand", fault.reason)
    return capture


def _settle(plan: BatchPlan, msg_id: int, message: Row, capture: Capture, has_events: bool) -> None:
    strand_id = message["strand_id"]
    waits_for_actions = (
        capture.outcome is not None
        and not capture.events
        and not has_events
        and all(fault.strand_id != strand_id for fault in capture.bad)
    )
    if not waits_for_actions:
        plan.done_ids.append(msg_id)
        return
    given = message.get("attempt")
    attempt = given if isinstance(given, int) and given >= 1 else 1
    if attempt <= len(NO_ACTIONS_DELAYS_SECONDS):
        plan.retries.append(
            {
                "msg_id": msg_id,
                "message": {"strand_id": strand_id, "attempt": attempt + 1},
                "delay_seconds": NO_ACTIONS_DELAYS_SECONDS[attempt - 1],
            }
        )
        return
    plan.dead_letter(strand_id, "no_actions", "no_actions: the trade has no action that can be learned from")
    plan.done_ids.append(msg_id)
