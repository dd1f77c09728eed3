"""The same strands through the function: what it takes is learned from, what it refuses could not be."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pm_strength.capture.batch import plan_batch
from pm_strength.project.store import Store
from pm_strength.service.trades import commit, read_in_parts
from tests.integration.conftest import Database
from tests.support import reference

from .test_poison import SEEN, STRAND, STRANDS, STRANDS_AN_EXAMPLE, expected_events, strand_rows, valid_close

Row = dict[str, Any]
LONG_NUMBER = re.compile(r"[ \[]-?\d{400}")


def post(client: httpx.Client, row: Row) -> int:
    answer = client.post("/strands", content=json.dumps(row), headers={"content-type": "application/json"})
    assert answer.status_code in (201, 422), (answer.status_code, answer.text, row)
    assert (answer.status_code == 422) == bool(answer.json().get("issues"))
    return answer.status_code


def is_learnable(row: Row, wanted: dict[str, Row]) -> bool:
    """Whether something would be learned from a strand once it is in the table."""
    if row["kind"] == "pm_action":
        return row["id"] in wanted
    return (
        isinstance(row["content"], dict)
        and reference.trade_of(row) is not None
        and valid_close(row["content"])
        and reference.outcome(row) is not None
    )


@settings(
    max_examples=max(1, STRANDS // STRANDS_AN_EXAMPLE),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # an example takes a second: what is wrong is shown as it was drawn
    phases=[Phase.reuse, Phase.generate],
)
@given(st.lists(STRAND, min_size=STRANDS_AN_EXAMPLE, max_size=STRANDS_AN_EXAMPLE))
def check(store: Store, db: Database, client: httpx.Client, drawn: list[Row]) -> None:
    rows = strand_rows(drawn)
    db.execute("truncate ad_strands, pattern_trade_events, pm_dead_letters")
    db.execute("select pgmq.purge_queue('pm_strength_trades')")
    status = {row["id"]: post(client, row) for row in rows}
    wanted = expected_events(rows)
    # the function refuses a number so long wherever it stands, capture only where it reads it
    refused = [row for row in rows if status[row["id"]] == 422 and not LONG_NUMBER.search(json.dumps(row))]
    assert [json.dumps(row) for row in refused if is_learnable(row, wanted)] == []

    while messages := store.claim_trades(20, 60, 0):
        for part, read in read_in_parts(store, messages):
            commit(store, plan_batch(part, read))
    letters = db.execute("select strand_id, reason from pm_dead_letters where code = 'bad_strand'").fetchall()
    # what a close adds to a scope is known when the trade ends, and not before
    assert [reason for _, reason in letters if not str(reason).startswith("content.scope")] == []
    taken = [row for row in rows if status[row["id"]] == 201]
    got = {row[0] for row in db.execute("select strand_id from pattern_trade_events").fetchall()}
    assert got == expected_events(taken).keys()
    SEEN.update(taken=len(taken), refused=len(refused), learned=len(got))


def test_what_the_function_takes_is_learned_from(
    store: Store, db: Database, variables: dict[str, str]
) -> None:
    base = f"{variables['API_URL']}/functions/v1"
    with httpx.Client(base_url=base, headers={"apikey": variables["SECRET_KEY"]}, timeout=30) as client:
        check(store, db, client)
    assert min(SEEN["taken"], SEEN["refused"], SEEN["learned"]) > STRANDS / 50
