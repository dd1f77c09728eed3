"""The edge functions behind the gateway, with real keys and tokens, on the real database."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator

import httpx
import pytest

from pm_strength import LearningSettings, OverrideBook, apply_strength
from pm_strength.local.keys import role_token, sign
from pm_strength.local.stack import Stack
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from tests.support import reference, strands

from .conftest import FUNCTION_SECRETS, Database, Drain
from .test_permissions import unsigned
from .test_resolve_sql import fill, overrides, requests

BOT = {"Authorization": f"Bearer {FUNCTION_SECRETS['PM_STRENGTH_BOT_TOKEN']}"}


@pytest.fixture
def functions(variables: dict[str, str], clean: None) -> Iterator[httpx.Client]:
    base = f"{variables['API_URL']}/functions/v1"
    with httpx.Client(base_url=base, timeout=30) as client:
        yield client


@pytest.fixture
def secret(variables: dict[str, str]) -> dict[str, str]:
    return {"apikey": variables["SECRET_KEY"]}


def inserted(answer: httpx.Response) -> tuple[int, int]:
    assert answer.status_code == 201, answer.text
    return answer.json()["inserted"], answer.json()["duplicates"]


def test_strands_through_the_function_become_events(
    functions: httpx.Client, db: Database, drain: Drain
) -> None:
    rows = strands.trades(150)
    for start in range(0, len(rows), 300):
        assert inserted(functions.post("/strands", json=rows[start : start + 300], headers=BOT))[1] == 0
    again = functions.post("/strands", json=rows[:300], headers=BOT)
    assert inserted(again) == (0, 300)
    assert inserted(functions.post("/strands", json=rows[0], headers=BOT)) == (0, 1)
    drain()
    got = db.execute("select strand_id from pattern_trade_events").fetchall()
    assert {row[0] for row in got} == {event["strand_id"] for event in reference.reference_events(rows)}


def test_a_thousand_strands_fit_and_are_counted(functions: httpx.Client, secret: dict[str, str]) -> None:
    rows = [{"id": f"s{n}", "module": "m", "kind": "k", "content": {"n": n}} for n in range(1000)]
    assert inserted(functions.post("/strands", json=rows, headers=secret)) == (1000, 0)
    assert inserted(functions.post("/strands", json=rows, headers=secret)) == (0, 1000)


def test_one_bad_strand_keeps_all_out(functions: httpx.Client, db: Database) -> None:
    good = {"module": "m", "kind": "k", "content": {}}
    for bad, path in (
        ({**good, "id": "b", "content": []}, [1, "content"]),
        ({**good, "id": "b", "no_such_column": 1}, ["no_such_column"]),
        ({**good, "id": "b", "content": {"a": "\0"}}, [1, "content", "a"]),
        ({**good, "id": "b", "created_at": "2026-01-05T10:00:00+99:99"}, []),
    ):
        answer = functions.post("/strands", json=[{**good, "id": "a"}, bad], headers=BOT)
        assert answer.status_code == 422, answer.text
        assert [issue["path"] for issue in answer.json()["issues"]] == [path]
    assert db.execute("select count(*) from ad_strands").fetchone() == (0,)


def test_numbers_arrive_as_they_were_written(functions: httpx.Client, db: Database) -> None:
    body = '{"id": "n", "module": "m", "kind": "k", "content": {"a": 0.12345678901234567890, "b": 1.50}}'
    answer = functions.post("/strands", content=body, headers={**BOT, "Content-Type": "application/json"})
    assert inserted(answer) == (1, 0)
    row = db.execute("select content::text from ad_strands").fetchone()
    assert row is not None
    assert "0.12345678901234567890" in str(row[0])


@pytest.mark.parametrize("strategy", ["blend", "most_specific", "sum"])
def test_sizes_are_those_of_the_library(
    functions: httpx.Client, secret: dict[str, str], store: Store, db: Database, strategy: str
) -> None:
    rng = random.Random(31)
    settings = {"strategy": strategy, "multiplier_max": 2.5}
    store.write_settings("pm", settings)
    book = OverrideBook(fill(db, overrides(rng, 600)), LearningSettings.from_mapping(settings))
    asked = requests(rng, 600)
    for request in asked:
        if rng.random() < 0.9:
            request["size_frac"] = rng.choice([0.3, 0, 2, -1, 1e-9, "x", None, True])
        if rng.random() < 0.5:
            request["exposure_skew"] = rng.choice([0.5, 3, None, "x", -1])
    answers = functions.post("/sizing?matches=1000", json=asked, headers=secret).json()
    reasons = set()
    for request, answer in zip(asked, answers, strict=True):
        resolve = {key: request[key] for key in ("pattern_key", "action_category", "scope")}
        wanted = book.resolve(**resolve, strategy=request["strategy"])
        strength = answer["strength"]
        assert math.isclose(strength["multiplier"], wanted.multiplier, rel_tol=1e-12), request
        action = {"action_category": request["action_category"], "size_frac": request.get("size_frac")}
        sized = apply_strength(action, wanted, request.get("exposure_skew"))  # type: ignore[arg-type]
        if "size_frac" in request:
            assert math.isclose(answer["size_frac"], sized["size_frac"], rel_tol=1e-12), request
        else:
            assert answer["size_frac"] is None
        explained = sized["strength"]
        bad_size = "size_frac" in request and explained["reason"] == "bad_input"
        assert answer["reason"] == ("bad_input" if bad_size else wanted.reason), request
        # the same keys as in the library, with the same values where a size came
        assert strength.keys() == explained.keys()
        assert strength["reason"] == answer["reason"]
        assert strength["exposure_skew"] == explained["exposure_skew"]
        if "size_frac" in request:
            assert strength["size_frac_before"] == explained["size_frac_before"]
        else:
            assert strength["size_frac_before"] is None
        assert answer["strategy"] == {"best": None, None: strategy}.get(
            request["strategy"], request["strategy"]
        )
        if request["strategy"] != "best":
            assert answer["matched"] == wanted.matched
            assert [match["id"] for match in answer["matches"]] == [match.id for match in wanted.matches]
        reasons.add(answer["reason"])
    assert reasons >= {"matched", "no_match", "bad_input"}
    single = functions.post("/sizing", json=asked[0], headers=secret).json()
    assert single == {**answers[0], "matches": answers[0]["matches"][:20]}


@pytest.mark.slow
def test_more_than_one_call_can_hold_is_answered_in_several(
    functions: httpx.Client, secret: dict[str, str], db: Database
) -> None:
    """As where a hundred thousand overrides make each resolution slow."""
    fill(db, overrides(random.Random(6), 300))
    request = {"pattern_key": "p", "action_category": "entry", "scope": {"rank": 1}}
    wanted = functions.post("/sizing", json=request, headers=secret).json()
    [before] = db.execute("select pg_get_functiondef('pm_strength.resolve_one'::regproc)").fetchone() or ("",)
    slow = str(before).replace("\nbegin\n", "\nbegin\n  perform pg_sleep(0.06);\n", 1)
    try:
        db.execute(slow.encode())
        start = time.monotonic()
        answers = functions.post("/sizing", json=[request] * 150, headers=secret).json()
        assert time.monotonic() - start > 8
    finally:
        db.execute(str(before).encode())
    assert answers == [wanted] * 150


def test_a_bad_request_gets_its_own_error(functions: httpx.Client, secret: dict[str, str]) -> None:
    good = {"action_type": "e1", "action_context": {"state": "S1"}, "size_frac": 0.2}
    answers = functions.post("/sizing", json=[good, {"pattern_key": "p"}, 5, good], headers=secret).json()
    assert [answer["reason"] for answer in answers] == ["no_match", "bad_input", "bad_input", "no_match"]
    assert answers[1]["issues"][0]["path"] == ["action_category"]
    assert answers[0] == answers[3]


def test_a_request_is_sized_by_the_overrides_of_its_module(
    functions: httpx.Client, secret: dict[str, str], store: Store, db: Database
) -> None:
    store.write_settings("dm", {"multiplier_max": 1.2, "strategy": "most_specific"})
    db.execute(
        "insert into pm_overrides (module, pattern_key, action_category, scope_subset, multiplier, "
        "confidence_score) values ('pm', 'p', 'entry', '{}', 0.5, 0.5), ('dm', 'p', 'entry', '{}', 2, 0.5)"
    )
    request = {"pattern_key": "p", "action_category": "entry", "size_frac": 0.5}
    modules: list[dict[str, object]] = [
        {},
        {"module": "dm"},
        {"module": "pm"},
        {"module": "xm"},
        {"module": 5},
    ]
    answers = functions.post("/sizing", json=[request | named for named in modules], headers=secret).json()
    assert [(one["size_frac"], one["reason"], one["strategy"]) for one in answers] == [
        (0.25, "matched", "blend"),
        (0.6, "matched", "most_specific"),
        (0.25, "matched", "blend"),
        (0.5, "no_match", "blend"),
        (0.5, "bad_input", None),
    ]
    assert [issue["path"] for issue in answers[4]["issues"]] == [["module"]]


def test_learning_is_for_one_module(
    functions: httpx.Client, secret: dict[str, str], store: Store, db: Database
) -> None:
    store.write_settings("dm", {})
    for body in ({"jobs": ["mine"], "module": "dm"}, {"jobs": ["mine"]}):
        assert functions.post("/learning", json=body, headers=secret).status_code == 202
    queued = db.execute("select message ->> 'module' from pgmq.q_pm_strength_jobs order by msg_id").fetchall()
    assert queued == [("dm",), ("pm",)]
    refused = functions.post("/learning", json={"module": "xm"}, headers=secret)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert [issue["path"] for issue in refused.json()["issues"]] == [["module"]]


def test_learning_is_told_and_asked_for_once(
    functions: httpx.Client, secret: dict[str, str], store: Store, db: Database, drain: Drain
) -> None:
    store.write_settings("pm", {"n_min": 5})
    store.insert_strands(strands.trades(60))
    for _ in range(3):
        asked = functions.post("/learning", headers=secret)
        assert asked.status_code == 202
        assert [entry["job"] for entry in asked.json()["queued"]] == ["mine", "materialize"]
    status = functions.get("/learning", headers=secret).json()
    depth = {queue["queue"]: queue["depth"] for queue in status["queues"]}
    assert depth == {"pm_strength_trades": 60, "pm_strength_jobs": 2}
    drain()
    status = functions.get("/learning", headers=secret).json()
    assert [(run["kind"], run["status"]) for run in status["runs"]] == [
        ("materialize", "succeeded"),
        ("mine", "succeeded"),
    ]
    assert [queue["depth"] for queue in status["queues"] if queue["queue"] == "pm_strength_jobs"] == [0]


CALLS = (
    ("POST", "/strands", []),
    ("POST", "/sizing", []),
    ("POST", "/learning", {}),
    ("GET", "/learning", None),
)


def test_who_may_call_what(functions: httpx.Client, variables: dict[str, str]) -> None:
    key, read = variables["JWT_SECRET"], {"app_metadata": {"pm_strength": "read"}}
    callers: dict[str, tuple[dict[str, str], list[int]]] = {
        "nobody": ({}, [401, 401, 401, 401]),
        "publishable key": ({"apikey": variables["PUBLISHABLE_KEY"]}, [403, 403, 403, 403]),
        "legacy anon key": ({"apikey": variables["ANON_KEY"]}, [403, 403, 403, 403]),
        "secret key": ({"apikey": variables["SECRET_KEY"]}, [201, 200, 202, 200]),
        "secret key as bearer": (
            {"Authorization": f"Bearer {variables['SECRET_KEY']}"},
            [201, 200, 202, 200],
        ),
        "legacy service key": ({"apikey": variables["SERVICE_ROLE_KEY"]}, [201, 200, 202, 200]),
        "another secret key": ({"apikey": "sb_secret_of_another"}, [401, 401, 401, 401]),
        "bot": (BOT, [201, 403, 403, 403]),
        "bot's token as a key": ({"apikey": FUNCTION_SECRETS["PM_STRENGTH_BOT_TOKEN"]}, [401] * 4),
    }
    tokens = {
        "reader": (role_token(key, "authenticated", {"sub": "u", **read}), [403, 200, 403, 403]),
        "plain user": (role_token(key, "authenticated", {"sub": "u"}), [403] * 4),
        "own metadata": (
            role_token(key, "authenticated", {"user_metadata": {"pm_strength": "read"}}),
            [403] * 4,
        ),
        "service token": (role_token(key, "service_role"), [201, 200, 202, 200]),
        "expired": (role_token(key, "service_role", {"exp": int(time.time()) - 3600}), [401] * 4),
        "wrong signature": (
            sign("another secret, as long as it should be", {"role": "service_role"}),
            [401] * 4,
        ),
        "alg none": (unsigned("service_role"), [401] * 4),
        "other role": (role_token(key, "postgres"), [403] * 4),
    }
    for name, (token, wanted) in tokens.items():
        headers = {"Authorization": f"Bearer {token}", "apikey": variables["PUBLISHABLE_KEY"]}
        callers[name] = (headers, wanted)
    for name, (headers, wanted) in callers.items():
        got = [functions.request(method, path, json=body, headers=headers) for method, path, body in CALLS]
        assert [answer.status_code for answer in got] == wanted, name


def test_a_reader_gets_the_sizes_and_a_revoked_right_is_no_silent_one(
    functions: httpx.Client, variables: dict[str, str], db: Database
) -> None:
    fill(db, overrides(random.Random(6), 100))
    request = {"pattern_key": "p", "action_category": "entry", "scope": {"rank": 1}}
    claims = {"sub": "u", "app_metadata": {"pm_strength": "read"}}
    headers = {"Authorization": f"Bearer {role_token(variables['JWT_SECRET'], 'authenticated', claims)}"}
    secret = {"apikey": variables["SECRET_KEY"]}
    theirs = functions.post("/sizing", json=request, headers=headers).json()
    assert theirs == functions.post("/sizing", json=request, headers=secret).json()
    assert theirs["reason"] == "matched"
    right = "execute on function public.resolve_pm_strength_batch(jsonb, integer, integer)"
    db.execute(f"revoke {right} from authenticated".encode())
    try:
        assert functions.post("/sizing", json=request, headers=headers).status_code == 403
    finally:
        db.execute(f"grant {right} to authenticated".encode())


@pytest.mark.parametrize("part", ["postgrest", "postgres"])
def test_a_database_that_is_down_stops_no_bot(
    functions: httpx.Client, secret: dict[str, str], stack: Stack, part: str
) -> None:
    request = {"action_type": "entry", "size_frac": 0.25}
    stack.stop_part(part, crash=True)
    try:
        answer = functions.post("/sizing", json=[request, {}], headers=secret)
        assert (answer.status_code, answer.headers["x-pm-strength"]) == (200, "unavailable")
        assert [
            (one["strength"]["multiplier"], one["size_frac"], one["reason"]) for one in answer.json()
        ] == [
            (1, 0.25, "unavailable"),
            (1, None, "bad_input"),
        ]
        strand = {"id": "late", "module": "m", "kind": "k", "content": {}}
        refused = functions.post("/strands", json=strand, headers=BOT)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert functions.get("/learning", headers=secret).status_code == 503
    finally:
        stack.up()
    for _ in range(100):
        answer = functions.post("/sizing", json=request, headers=secret)
        if "x-pm-strength" not in answer.headers:
            break
        time.sleep(0.1)
    assert answer.json()["reason"] == "no_match"
    assert inserted(functions.post("/strands", json=strand, headers=BOT)) == (1, 0)


def test_browsers_may_call_from_the_origins_that_are_set(functions: httpx.Client) -> None:
    for origin, allowed in (("https://app.test", "https://app.test"), ("https://evil.test", None)):
        preflight = functions.options(
            "/sizing", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
        )
        assert preflight.status_code == 204
        assert preflight.headers.get("access-control-allow-origin") == allowed


def test_a_function_that_is_not_there(functions: httpx.Client) -> None:
    for name in ("nothing", "_shared", "..", "strands.cases"):
        assert functions.post(f"/{name}", json={}).status_code == 404


def test_supabase_py_is_a_client(connection: Connection, clean: None) -> None:
    from supabase import create_client

    client = create_client(connection.url, connection.key)
    strand = {"id": "py", "module": "m", "kind": "k", "content": {}}
    answer = client.functions.invoke("strands", {"body": strand})
    assert json.loads(answer) == {"inserted": 1, "duplicates": 0}
    answer = client.functions.invoke("sizing", {"body": {"action_type": "entry", "size_frac": 0.5}})
    assert json.loads(answer)["reason"] == "no_match"


def test_the_log_names_requests_and_no_secret(
    functions: httpx.Client, variables: dict[str, str], stack: Stack
) -> None:
    functions.post("/strands", json=[5], headers={**BOT, "x-request-id": "find-me"})
    functions.post("/sizing", json=[], headers={"apikey": variables["SECRET_KEY"]})
    text = (stack.directory / "functions.log").read_text()
    assert '"request_id":"find-me"' in text
    secrets = [variables[name] for name in ("SECRET_KEY", "SERVICE_ROLE_KEY", "JWT_SECRET")]
    for marker in (*secrets, FUNCTION_SECRETS["PM_STRENGTH_BOT_TOKEN"]):
        assert marker not in text
