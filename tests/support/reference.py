"""The contract once more, plainly: what the tests compare the package with.

Nothing here comes from the package; every slice is counted by brute force, statistics come from
`statistics` and `scipy.stats`.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import statistics
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import scipy.stats

Row = dict[str, Any]
Key = tuple[str, str, frozenset[Any]]

ALIASES = {
    "entry": ["entry_immediate", "e1", "e2", "entry", "buy", "rebuy"],
    "add": ["add", "scale_up"],
    "trim": ["trim", "partial_exit"],
    "exit": ["cut", "emergency_exit", "panic_exit", "exit", "sell"],
}


def value_key(value: Any) -> Any:
    """Values compare as jsonb does."""
    if value is True or value is False:
        return ("b", value)
    return ("s", value) if isinstance(value, str) else ("n", float(value))


def is_dimension(value: Any) -> bool:
    return (isinstance(value, str) and value != "") or isinstance(value, bool | int | float)


def scope_key(scope: Row) -> frozenset[Any]:
    return frozenset((name, value_key(value)) for name, value in scope.items() if is_dimension(value))


def category(text: Any) -> str | None:
    for name, aliases in ALIASES.items():
        if isinstance(text, str) and text.lower() in aliases:
            return name
    return None


def uuid_of(value: Any) -> str | None:
    """A canonical uuid; None if there is none; raises ValueError if it is no uuid."""
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F-]{32,36}", value):
        raise ValueError
    digits = value.replace("-", "").lower()
    if len(digits) != 32:
        raise ValueError
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def trade_of(row: Row) -> str | None:
    """The trade of a strand; None if it is bad."""
    try:
        column, inner = uuid_of(row.get("trade_id")), uuid_of(row["content"].get("trade_id"))
    except ValueError:
        return None
    if column and inner and column != inner:
        return None
    return column or inner


def moment(text: Any) -> datetime:
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def action_time(action: Row) -> datetime | None:
    """When an action was taken; None where its strand does not say."""
    try:
        return moment(action.get("created_at"))
    except (ValueError, TypeError, OverflowError):
        return None


def outcome(close: Row) -> Row | None:
    """What a close says of its trade; None if it is bad."""
    summary = close["content"].get("trade_summary")
    if not isinstance(summary, dict):
        return None
    rr = summary.get("rr")
    if isinstance(rr, bool) or not isinstance(rr, int | float) or not math.isfinite(rr):
        return None
    at = summary.get("exit_timestamp")
    try:
        when = moment(close["created_at"] if at is None else at)
    except (ValueError, TypeError):
        return None
    return {
        "rr": float(rr),
        "pnl_usd": summary.get("pnl_usd"),
        "rpnl_pct": summary.get("rpnl_pct"),
        "trimmed": summary.get("trimmed"),
        "reached_s3": summary.get("reached_s3"),
        "timestamp": when.isoformat(),
    }


def bad_scope(scope: Any) -> bool:
    dims = {name: value for name, value in scope.items() if is_dimension(value)}
    return (
        len(dims) > 64
        or len(json.dumps(scope, separators=(",", ":"), ensure_ascii=False).encode()) > 16384
        or any(
            len(name) > 200 or (isinstance(value, str) and len(value) > 200) for name, value in dims.items()
        )
        or any(
            isinstance(value, int | float) and value == value // 1 and abs(value) > 2**53
            for value in dims.values()
        )
    )


def reference_events(strands: list[Row]) -> list[Row]:
    """The events of a table of strands that is complete (no close came after its trade's events)."""
    closes: dict[str, list[Row]] = defaultdict(list)
    actions: dict[str, list[Row]] = defaultdict(list)
    for row in strands:
        trade_id = trade_of(row)
        if trade_id is not None and row["kind"] == "position_closed" and row["module"] == "pm":
            closes[trade_id].append(row)
        elif trade_id is not None and row["kind"] == "pm_action":
            actions[trade_id].append(row)

    events = []
    for trade_id, rows in closes.items():
        rows.sort(key=lambda row: (moment(row["created_at"]), row["id"]))
        valid = [row for row in rows if outcome(row) is not None]
        if not valid:
            continue
        final = outcome(valid[0])
        context = valid[0]["content"].get("entry_context") or {}
        for row in actions[trade_id]:
            content = row["content"]
            if content.get("pattern_key") is None or content.get("action_category") is None:
                continue
            own = content.get("scope")
            own = {} if own is None else own
            if category(content["action_category"]) is None or not isinstance(own, dict):
                continue
            merged = {name: value for name, value in {**context}.items() if is_dimension(value)}
            merged |= {name: value for name, value in own.items() if is_dimension(value)}
            if bad_scope(merged) or bad_scope(own):
                continue
            events.append(
                {
                    "strand_id": row["id"],
                    "trade_id": trade_id,
                    "pattern_key": content["pattern_key"],
                    "action_category": category(content["action_category"]),
                    "scope": merged,
                    "action_at": action_time(row),
                    **(final or {}),
                }
            )
    return events


def outcome_of(event: Row, name: str) -> float:
    value = {"rr": event["rr"], "roi": event.get("rpnl_pct"), "pnl_usd": event.get("pnl_usd")}[name]
    if value is None:
        return math.nan
    return value / 100 if name == "roi" else value


def reference_lessons(events: list[Row], settings: Row) -> dict[Key, Row]:
    """Every slice with enough distinct trades, with its statistics."""
    events = [event for event in events if math.isfinite(outcome_of(event, settings["outcome"]))]
    if not events:
        return {}
    baseline = math.fsum(outcome_of(event, settings["outcome"]) for event in events) / len(events)
    limit = settings["max_dims"]
    slices: dict[Key, dict[str, tuple[float, float]]] = defaultdict(dict)
    for event in events:
        scope = [
            item
            for item in sorted(scope_key(event["scope"]), key=repr)
            if settings["scope_dims"] is None or item[0] in settings["scope_dims"]
        ]
        most = len(scope) if limit is None else min(limit, len(scope))
        y = outcome_of(event, settings["outcome"])
        hours = (moment(str(event["timestamp"])) - datetime(2020, 1, 1, tzinfo=UTC)).total_seconds() / 3600
        for size in range(most + 1):
            for subset in itertools.combinations(scope, size):
                key = (event["pattern_key"], event["action_category"], frozenset(subset))
                slices[key].setdefault(str(event["trade_id"]), (y, hours))
    return {
        key: lesson_stats(list(trades.values()), baseline, settings["var_prior"])
        for key, trades in slices.items()
        if len(trades) >= settings["n_min"]
    }


def lesson_stats(trades: list[tuple[float, float]], baseline: float, var_prior: float) -> Row:
    n = len(trades)
    ys = [y for y, _ in trades]
    avg = float(statistics.mean(ys))
    variance = float(statistics.variance(ys)) if n > 1 else 0.0
    delta = avg - baseline
    reliability = 1 / (1 + variance + var_prior / n)
    support = 1 - math.exp(-n / 50)
    magnitude = 1 / (1 + math.exp(-avg)) if avg > -700 else 0.0
    stability = 1 / (1 + variance)
    decay = decay_meta(trades, delta)
    return {
        "n": n,
        "avg_rr": avg,
        "variance": variance,
        "delta_rr": delta,
        "reliability_score": reliability,
        "support_score": support,
        "magnitude_score": magnitude,
        "time_score": 1.0,
        "stability_score": stability,
        "edge_raw": delta * reliability * (support + magnitude + 1.0 + stability) * decay["multiplier"],
        "decay_meta": decay,
    }


def decay_meta(trades: list[tuple[float, float]], delta: float) -> Row:
    meta: Row = {
        "state": "insufficient",
        "multiplier": 1.0,
        "half_life_hours": None,
        "doubling_hours": None,
        "slope_per_hour": None,
        "p_value": None,
    }
    ys, ts = [y for y, _ in trades], [t for _, t in trades]
    if len(trades) < 5 or len(set(ts)) == 1:
        return meta
    meta["state"] = "stable"
    if len(set(ys)) == 1:
        meta["slope_per_hour"] = 0.0
        return meta
    start = min(ts)
    line = scipy.stats.linregress([t - start for t in ts], ys)
    meta["slope_per_hour"], meta["p_value"] = float(line.slope), float(line.pvalue)
    if line.pvalue >= 0.05 or delta == 0:
        return meta
    hours = -math.log(2) * delta / line.slope
    length = min(8760.0, max(1.0, abs(hours)))
    share = min(1.0, length / 168)
    if hours > 0:
        meta |= {"state": "decaying", "half_life_hours": length, "multiplier": 0.5 + 0.5 * share}
    else:
        meta |= {"state": "growing", "doubling_hours": length, "multiplier": 1.5 - 0.5 * share}
    return meta


def reference_overrides(lessons: dict[Key, Row], settings: Row) -> dict[Key, Row]:
    return {
        key: {
            "multiplier": max(
                settings["multiplier_min"], min(settings["multiplier_max"], 1 + stats["edge_raw"])
            ),
            "confidence_score": stats["support_score"] * stats["reliability_score"],
            "decay_state": stats["decay_meta"]["state"],
        }
        for key, stats in lessons.items()
        if abs(stats["edge_raw"]) >= settings["edge_threshold"]
    }


def reference_resolve(
    overrides: list[Row], settings: Row, pattern_key: str, action_category: str, scope: Any
) -> Row:
    """{multiplier, reason, matched} of rows of pm_overrides that are not stale."""
    here = scope_key(scope) if isinstance(scope, dict) else frozenset()
    matches = [
        row
        for row in overrides
        if row["pattern_key"] == pattern_key
        and row["action_category"] == action_category
        and scope_key(row["scope_subset"]) <= here
    ]
    weights = [
        row["confidence_score"] * (len(row["scope_subset"]) + 1) ** settings["specificity_alpha"]
        for row in matches
    ]
    if not matches:
        return {"multiplier": 1.0, "reason": "no_match", "matched": 0}
    if sum(weights) == 0:
        return {"multiplier": 1.0, "reason": "zero_weight", "matched": len(matches)}
    if settings["strategy"] == "blend":
        products = [weight * row["multiplier"] for weight, row in zip(weights, matches, strict=True)]
        value = sum(products) / sum(weights)
    elif settings["strategy"] == "sum":
        value = 1 + math.fsum(row["multiplier"] - 1 for row in matches)
    else:
        most = max(len(row["scope_subset"]) for row in matches)
        best = [row for row in matches if len(row["scope_subset"]) == most]
        value = sorted(
            best, key=lambda row: (-row["confidence_score"], abs(row["multiplier"] - 1), row["multiplier"])
        )[0]["multiplier"]
    value = max(settings["multiplier_min"], min(settings["multiplier_max"], value))
    return {"multiplier": value, "reason": "matched", "matched": len(matches)}
