"""A closed trade and its actions become events, or the reasons why not (contract section 1)."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ..errors import JsonError, PatternKeyError, ScopeError, StrandError
from ..json_values import Row, Scalar, parse_json, shown
from ..patterns import CATEGORIES, canonical_action_category
from ..scopes import SMALL_CHARACTERS, checked_scope
from ..settings import DEFAULT_MODULE

MAX_ID_CHARACTERS = 500
MAX_PATTERN_KEY_CHARACTERS = 500
TOO_LARGE = "content: expected at most 1 MB of trade_summary, entry_context and scope"

_UUID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class BadStrand:
    """A strand that cannot be learned from; `reason` begins with the field at fault."""

    strand_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Strand:
    """One row of `ad_strands`: `trade_id` is the column, `created_at` ISO 8601, `content` parsed.

    `content` may hold only what capture needs; `characters` is its length as JSON.
    """

    id: str
    kind: str
    trade_id: str | None
    created_at: str | None
    content: Any
    characters: float = math.inf
    module: str = DEFAULT_MODULE

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Strand | BadStrand:
        """The strand of a row whose content is JSON text, or None where it is over the database's limit."""
        if len(row["id"]) > MAX_ID_CHARACTERS:
            reason = f"id: expected at most {MAX_ID_CHARACTERS} characters, got {len(row['id'])}"
            return BadStrand(row["id"], reason)
        text = row["content"]
        if text is None:
            return BadStrand(row["id"], TOO_LARGE)
        try:
            content = parse_json(text)
        except JsonError as error:
            return BadStrand(row["id"], f"content: expected JSON that can be read, got {error}"[:300])
        module = row.get("module") or DEFAULT_MODULE
        return cls(row["id"], row["kind"], row["trade_id"], row["created_at"], content, len(text), module)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trade ended: rr in R, pnl_usd in USD, rpnl_pct in percent, `timestamp` in UTC.

    `closed_by` is the closing strand that says so, `module` the one that wrote it.
    """

    rr: float
    pnl_usd: float | None
    rpnl_pct: float | None
    trimmed: bool | None
    reached_s3: bool | None
    timestamp: str
    closed_by: str | None
    module: str = DEFAULT_MODULE

    def to_row(self) -> Row:
        """The columns of `pattern_trade_events` that say how the trade ended."""
        # not `asdict`: its deep copies took a third of the time of capture
        return {
            "rr": self.rr,
            "pnl_usd": self.pnl_usd,
            "rpnl_pct": self.rpnl_pct,
            "trimmed": self.trimmed,
            "reached_s3": self.reached_s3,
            "timestamp": self.timestamp,
            "closed_by": self.closed_by,
            "module": self.module,
        }


@dataclass(frozen=True, slots=True)
class TradeEvent:
    """One action of a closed trade: a row of `pattern_trade_events`.

    `action_at` is when the action was taken, in UTC; None where that is not known.
    """

    strand_id: str
    trade_id: str
    pattern_key: str
    action_category: str
    scope: dict[str, Scalar]
    outcome: Outcome
    action_at: str | None = None

    def to_row(self) -> Row:
        """The row as JSON-compatible values."""
        return {
            "strand_id": self.strand_id,
            "trade_id": self.trade_id,
            "pattern_key": self.pattern_key,
            "action_category": self.action_category,
            "scope": self.scope,
            "action_at": self.action_at,
            **self.outcome.to_row(),
        }


@dataclass(frozen=True, slots=True)
class Capture:
    """What a trade gave: new events, bad strands, and its outcome if it has a valid close."""

    events: list[TradeEvent]
    bad: list[BadStrand]
    outcome: Outcome | None


def strand_trade(strand: Strand) -> str:
    """The trade of a strand as a canonical uuid; raises `StrandError` naming the field at fault."""
    content = strand.content if isinstance(strand.content, dict) else {}
    given = content.get("trade_id")
    column = _uuid("trade_id", strand.trade_id)
    inner = column if given == strand.trade_id else _uuid("content.trade_id", given)
    if column is None and inner is None:
        raise _bad("trade_id", "a uuid here or in content.trade_id", None)
    if column is not None and inner is not None and column != inner:
        raise _bad("trade_id", f"the same uuid as content.trade_id ({inner})", column)
    return column or inner or ""


def group_by_trade(
    strands: Iterable[Strand],
) -> tuple[dict[str, tuple[list[Strand], list[Strand]]], list[BadStrand]]:
    """Closes and actions by trade, in the order given, and the strands that have no trade."""
    trades: dict[str, tuple[list[Strand], list[Strand]]] = {}
    bad: list[BadStrand] = []
    for strand in strands:
        try:
            trade_id = strand_trade(strand)
        except StrandError as error:
            bad.append(BadStrand(strand.id, str(error)))
            continue
        closes, actions = trades.setdefault(trade_id, ([], []))
        (closes if strand.kind == "position_closed" else actions).append(strand)
    return trades, bad


def capture_trade(
    trade_id: str,
    closes: Sequence[Strand],
    actions: Sequence[Strand],
    known: Outcome | None = None,
    captured: Collection[str] = (),
) -> Capture:
    """The events of a trade.

    `closes` come in order of (created_at, id): the first valid one gives the outcome. A trade that
    has events already keeps their outcome, `known`; actions in `captured` make no second event.
    """
    bad: list[BadStrand] = []
    valid: dict[str, tuple[Outcome, dict[str, Any]]] = {}
    for strand in closes:
        try:
            valid[strand.id] = read_close(strand)
        except StrandError as error:
            bad.append(BadStrand(strand.id, str(error)))
    first = next(iter(valid.values()), None)
    outcome, context = first if first is not None else (None, {})
    if known is not None:
        outcome = known
        if known.closed_by in valid:
            context = valid[known.closed_by][1]
    if outcome is None:
        return Capture([], bad, None)

    events: list[TradeEvent] = []
    close_characters = sum(strand.characters for strand in closes)
    for action in actions:
        if action.id in captured:
            continue
        try:
            small = action.characters + close_characters <= SMALL_CHARACTERS
            event = _event(trade_id, action, outcome, context, small)
        except (StrandError, ScopeError) as error:
            bad.append(BadStrand(action.id, str(error)))
            continue
        if event is not None:
            events.append(event)
    return Capture(events, bad, outcome)


def read_close(strand: Strand) -> tuple[Outcome, dict[str, Any]]:
    """The outcome and the entry context of a closing strand; raises `StrandError` naming the field."""
    content = _object("content", strand.content)
    summary = _object("content.trade_summary", content.get("trade_summary"))
    context = content.get("entry_context")
    path = "content.trade_summary."
    rr = _number(path + "rr", summary.get("rr"))
    if rr is None:
        raise _bad(path + "rr", "a finite number", None)
    exit_timestamp = summary.get("exit_timestamp")
    if exit_timestamp is None:
        timestamp = _timestamp("created_at", strand.created_at)
    else:
        timestamp = _timestamp(path + "exit_timestamp", exit_timestamp)
    outcome = Outcome(
        rr=rr,
        pnl_usd=_number(path + "pnl_usd", summary.get("pnl_usd")),
        rpnl_pct=_number(path + "rpnl_pct", summary.get("rpnl_pct")),
        trimmed=_boolean(path + "trimmed", summary.get("trimmed")),
        reached_s3=_boolean(path + "reached_s3", summary.get("reached_s3")),
        timestamp=timestamp,
        closed_by=strand.id,
        module=strand.module,
    )
    return outcome, {} if context is None else _object("content.entry_context", context)


def _event(
    trade_id: str, action: Strand, outcome: Outcome, context: Mapping[str, Any], small: bool
) -> TradeEvent | None:
    content = _object("content", action.content)
    pattern_key, category = content.get("pattern_key"), content.get("action_category")
    if pattern_key is None or category is None:
        return None
    if not isinstance(pattern_key, str) or not 0 < len(pattern_key) <= MAX_PATTERN_KEY_CHARACTERS:
        expected = f"a string of 1 to {MAX_PATTERN_KEY_CHARACTERS} characters"
        raise _bad("content.pattern_key", expected, pattern_key)
    try:
        category = canonical_action_category(category)
    except PatternKeyError:
        expected = f"{', '.join(CATEGORIES)} or an alias of one"
        raise _bad("content.action_category", expected, category) from None
    scope = content.get("scope")
    own = {} if scope is None else _object("content.scope", scope)
    checked = checked_scope(own, context, small)
    return TradeEvent(
        action.id, trade_id, pattern_key, category, checked, outcome, _moment(action.created_at)
    )


def _bad(field: str, expected: str, got: Any) -> StrandError:
    return StrandError(field, expected, shown(got))


def _uuid(field: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= 36:
        digits = value.replace("-", "").lower()
        if _UUID.fullmatch(digits):
            return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    raise _bad(field, "a uuid", value)


def _object(field: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(field, "an object", value)
    return value


def _number(field: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        # a double holds 1e-400 as 0, which would be another outcome
        if math.isfinite(number) and (number != 0 or value == 0):
            return number
    raise _bad(field, "a finite number", value)


def _boolean(field: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise _bad(field, "true, false or null", value)


def _timestamp(field: str, value: Any) -> str:
    moment = _moment(value)
    if moment is None:
        raise _bad(field, "an ISO 8601 time", value)
    return moment


def _moment(value: Any) -> str | None:
    """A time in UTC, as which one without an offset counts; None for what is none in the years 1 to 9999."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return None
