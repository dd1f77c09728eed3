"""Strands with anything in any place: each is learned from exactly, or reported, and blocks nobody.

`make fuzz` tries 10,000 of them, the normal run some hundreds.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pm_strength.capture.batch import plan_batch
from pm_strength.project.store import Store
from pm_strength.service import runs as learning
from pm_strength.service.trades import commit, read_in_parts
from tests.integration.conftest import Database
from tests.support import reference

STRANDS = int(os.environ.get("FUZZ", "400"))
STRANDS_AN_EXAMPLE = 50

Row = dict[str, Any]
SEEN: Counter[str] = Counter()

# Postgres refuses a NUL in jsonb, and half of a surrogate pair is no UTF-8.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
WORDS = st.sampled_from(
    [
        *("a,b", 'say "x"', "a.b", "f(x)", "k:v", "{br}", "eq.1", "or=(a.eq.1)", "__proto__", "constructor"),
        *("'; drop table ad_strands; --", "%", "*", "\\", "\u202e", "\U0001d6fc", " ", "1", "true", "null"),
        *("x" * 200, "x" * 201),
    ]
)
NUMBERS = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([2**53, 2**53 + 1, -(10**400), 1e308, 5e-324, 0, -0.0, 1.0])
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT | WORDS
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
) | st.just([[[[[[[[[[[[[[[[{"deep": 1}]]]]]]]]]]]]]]]])
KEYS = WORDS | st.sampled_from(["chain", "rank", "timeframe"]) | TEXT
SCOPES = st.dictionaries(KEYS, SCALARS, max_size=5) | st.dictionaries(KEYS, ANYTHING, max_size=3)
TRADES = [str(uuid.UUID(int=number + 1)) for number in range(6)]
TRADE_IDS = st.sampled_from(TRADES) | st.sampled_from([TRADES[0].upper(), TRADES[1].replace("-", "")])


def mostly(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any] = ANYTHING) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda draw: good if draw else bad)


ACTIONS = st.fixed_dictionaries(
    {
        "pattern_key": mostly(WORDS | st.just("module=pm|pattern_key=x")),
        "action_category": mostly(st.sampled_from(["entry", "Scale_Up", "trim", "CUT"])),
    },
    optional={"scope": mostly(SCOPES), "trade_id": mostly(TRADE_IDS), "more": ANYTHING},
)
SUMMARIES = st.fixed_dictionaries(
    {"rr": mostly(st.floats(-5, 5))},
    optional={
        "pnl_usd": mostly(st.none() | st.floats(-1e6, 1e6)),
        "rpnl_pct": mostly(st.none() | st.floats(-100, 100)),
        "trimmed": mostly(st.none() | st.booleans()),
        "reached_s3": mostly(st.none() | st.booleans()),
        "exit_timestamp": mostly(st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02T03:04:05", None])),
    },
)
CLOSES = st.fixed_dictionaries(
    {"trade_summary": mostly(SUMMARIES)},
    optional={"entry_context": mostly(SCOPES), "trade_id": mostly(TRADE_IDS)},
)
STRAND = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["position_closed", "pm_action", "pm_action"]),
        "trade_id": mostly(TRADE_IDS | st.none(), TEXT),
        "action": mostly(ACTIONS),
        "close": mostly(CLOSES),
    }
)


def strand_rows(drawn: list[Row]) -> list[Row]:
    rows = []
    for number, strand in enumerate(drawn):
        content = strand["close"] if strand["kind"] == "position_closed" else strand["action"]
        rows.append(
            {
                "id": f"s{number:04}",
                "module": "pm",
                "kind": strand["kind"],
                "trade_id": strand["trade_id"],
                "created_at": f"2026-01-01T00:{number // 60:02}:{number % 60:02}+00:00",
                "content": content,
            }
        )
    return rows


def number_or_nothing(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def valid_close(content: Row) -> bool:
    """What the reference takes for granted."""
    summary, context = content.get("trade_summary"), content.get("entry_context")
    if not isinstance(summary, dict) or not (context is None or isinstance(context, dict)):
        return False
    return (
        summary.get("rr") is not None
        and all(number_or_nothing(summary.get(name)) for name in ("rr", "pnl_usd", "rpnl_pct"))
        and all(summary.get(name) in (None, True, False) for name in ("trimmed", "reached_s3"))
        and not any(
            isinstance(summary.get(name), int | float) and not isinstance(summary.get(name), bool)
            for name in ("trimmed", "reached_s3")
        )
    )


def expected_events(rows: list[Row]) -> dict[str, Row]:
    good = []
    for row in rows:
        content = row["content"]
        if not isinstance(content, dict) or reference.trade_of(row) is None:
            continue
        if row["kind"] == "position_closed" and not valid_close(content):
            continue
        good.append(row)
    return {
        event["strand_id"]: event
        for event in reference.reference_events(good)
        if isinstance(event["pattern_key"], str) and 0 < len(event["pattern_key"]) <= 500
    }


def may_be_silent(row: Row, rows: list[Row]) -> bool:
    """No event and no letter: what says nothing of a pattern, or belongs to a trade that has not ended."""
    content = row["content"]
    trade = reference.trade_of(row) if isinstance(content, dict) else None
    if row["kind"] == "position_closed":
        return True
    if not isinstance(content, dict) or trade is None:
        # the trade of a strand that cannot be read is looked at when one of its other strands closes it
        return True
    if content.get("pattern_key") is None or content.get("action_category") is None:
        return True
    closed = any(
        other["kind"] == "position_closed"
        and isinstance(other["content"], dict)
        and reference.trade_of(other) == trade
        and valid_close(other["content"])
        and reference.outcome(other) is not None
        for other in rows
    )
    return not closed


@settings(
    max_examples=max(1, STRANDS // STRANDS_AN_EXAMPLE),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(STRAND, min_size=STRANDS_AN_EXAMPLE, max_size=STRANDS_AN_EXAMPLE))
def check(store: Store, db: Database, drawn: list[Row]) -> None:
    rows = strand_rows(drawn)
    db.execute("truncate ad_strands, pattern_trade_events, pm_dead_letters")
    db.execute("select pgmq.purge_queue('pm_strength_trades')")
    for row in rows:
        db.execute(
            "insert into ad_strands (id, module, kind, trade_id, created_at, content) "
            "values (%s, %s, %s, %s, %s, %s)",
            (
                *(row[name] for name in ("id", "module", "kind", "trade_id", "created_at")),
                json.dumps(row["content"]),
            ),
        )
    while messages := store.claim_trades(20, 60, 0):
        done = store.capture_plain(messages)["done"]
        left = [entry for entry in messages if entry["msg_id"] not in done]
        for part, read in read_in_parts(store, left):
            commit(store, plan_batch(part, read))

    wanted = expected_events(rows)
    columns = "strand_id, trade_id::text, pattern_key, action_category, scope, rr, pnl_usd, rpnl_pct"
    got = {row[0]: row for row in db.execute(f"select {columns} from pattern_trade_events").fetchall()}
    assert got.keys() == wanted.keys()
    for strand_id, event in wanted.items():
        _, trade_id, pattern_key, category, scope, rr, pnl_usd, rpnl_pct = got[strand_id]
        assert (trade_id, pattern_key, category) == (
            event["trade_id"],
            event["pattern_key"],
            event["action_category"],
        )
        assert reference.scope_key(scope) == reference.scope_key(event["scope"])  # type: ignore[arg-type]
        assert (rr, pnl_usd, rpnl_pct) == (event["rr"], event["pnl_usd"], event["rpnl_pct"])
    letters = dict(db.execute("select strand_id, reason from pm_dead_letters").fetchall())
    assert not letters.keys() & got.keys()
    SEEN.update(events=len(got), letters=len(letters))
    assert all(reason for reason in letters.values())
    unreported = [
        row
        for row in rows
        if row["id"] not in got and row["id"] not in letters and not may_be_silent(row, rows)
    ]
    assert not unreported
    # nothing is left but closes that wait for an action that can be learned from
    left = db.execute(
        "select message ->> 'strand_id', message ? 'attempt' from pgmq.q_pm_strength_trades"
    ).fetchall()
    assert all(row[1] for row in left), left

    learning.mine(store)
    learning.materialize(store)
    chosen = {
        "n_min": 1,
        "max_dims": 2,
        "edge_threshold": 0.0,
        "scope_dims": None,
        "outcome": "rr",
        "var_prior": 0.25,
        "multiplier_min": 0.3,
        "multiplier_max": 3.0,
        "specificity_alpha": 1.5,
        "strategy": "blend",
    }
    lessons = reference.reference_lessons(list(wanted.values()), chosen)
    overrides = [
        {"pattern_key": key[0], "action_category": key[1], "scope": key[2], **row}
        for key, row in reference.reference_overrides(lessons, chosen).items()
    ]
    for event in wanted.values():
        here = reference.scope_key(event["scope"])
        matches = [
            row
            for row in overrides
            if (row["pattern_key"], row["action_category"])
            == (event["pattern_key"], event["action_category"])
            and row["scope"] <= here
        ]
        answer = store.resolve(event["pattern_key"], event["action_category"], event["scope"], match_limit=0)
        weights = [row["confidence_score"] * (len(row["scope"]) + 1) ** 1.5 for row in matches]
        if sum(weights) > 0:
            strength = sum(w * row["multiplier"] for w, row in zip(weights, matches, strict=True)) / sum(
                weights
            )
            assert math.isclose(answer["multiplier"], max(0.3, min(3.0, strength)), rel_tol=1e-9), event


def test_anything_in_any_place_is_learned_from_or_reported(store: Store, db: Database) -> None:
    store.write_settings("pm", {"n_min": 1, "max_dims": 2, "edge_threshold": 0})
    check(store, db)
    # neither all good nor all bad
    assert SEEN["events"] > STRANDS / 50
    assert SEEN["letters"] > STRANDS / 50
