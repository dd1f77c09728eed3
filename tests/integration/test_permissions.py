"""Every exposed table and function through PostgREST, with each key and token that may knock."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

import httpx
import pytest

from pm_strength.local.keys import role_token, sign

from .conftest import Database

READ = {"app_metadata": {"pm_strength": "read"}}
READABLE = ("pm_overrides", "learning_lessons", "learning_runs", "learning_settings")
PRIVATE = ("ad_strands", "pattern_trade_events", "pm_dead_letters", "pm_retention")
# what a reader may call, and how
CALLS = {
    "resolve_pm_strength": {"pattern_key": "p", "action_category": "entry", "scope": {}},
    "resolve_pm_strength_batch": {"requests": [], "match_limit": 0},
    "pm_strength_read_overrides": {"set_id": None, "after_id": 0, "page_size": 0},
    "resolve_pm_strength_at": {"at": "2020-01-01Z", "pattern_key": "p", "action_category": "entry"},
    "pm_strength_set_at": {"at": "2020-01-01Z"},
}


def unsigned(role: str) -> str:
    """A token that says it needs no signature."""
    parts = ({"alg": "none", "typ": "JWT"}, {"role": role, "exp": 2_085_000_000})
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
        + "."
    )


@pytest.fixture(scope="module")
def tokens(variables: dict[str, str]) -> dict[str, str]:
    secret = variables["JWT_SECRET"]
    return {
        "anon": variables["ANON_KEY"],
        "plain user": role_token(secret, "authenticated", {"sub": "u"}),
        "own metadata": role_token(
            secret, "authenticated", {"sub": "u", "user_metadata": {"pm_strength": "read"}}
        ),
        "other claim": role_token(secret, "authenticated", {"app_metadata": {"pm_strength": "write"}}),
        "reader": role_token(secret, "authenticated", {"sub": "u", **READ}),
        "service": variables["SERVICE_ROLE_KEY"],
        "expired": role_token(secret, "service_role", {"exp": int(time.time()) - 3600}),
        "wrong signature": sign(
            "another secret, as long as the one that it should be", {"role": "service_role"}
        ),
        "alg none": unsigned("service_role"),
        "role without rights": role_token(secret, "postgres"),
    }


@pytest.fixture
def client(variables: dict[str, str], clean: None) -> Iterator[httpx.Client]:
    base = f"{variables['API_URL']}/rest/v1"
    with httpx.Client(base_url=base, headers={"apikey": variables["PUBLISHABLE_KEY"]}, timeout=20) as client:
        yield client


COLUMN = {
    **dict.fromkeys(("pm_overrides", "learning_lessons"), "pattern_key"),
    **dict.fromkeys(("learning_settings", "ad_strands", "pattern_trade_events"), "module"),
    **{"learning_runs": "kind", "pm_dead_letters": "queue", "pm_retention": "what"},
}
INVALID = ("expired", "wrong signature", "alg none", "role without rights")
USERS = ("anon", "plain user", "own metadata", "other claim")


@pytest.mark.parametrize("name", [*INVALID, *USERS, "reader", "service"])
@pytest.mark.parametrize("table", [*READABLE, *PRIVATE])
def test_who_reads_and_writes_what(
    client: httpx.Client, tokens: dict[str, str], name: str, table: str
) -> None:
    headers = {"Authorization": f"Bearer {tokens[name]}"}
    read = client.get(f"/{table}", headers=headers)
    if name in INVALID:
        assert read.status_code in (401, 403)
    elif name == "service" or (name == "reader" and table in READABLE):
        assert read.status_code == 200
        # there is a row of settings, so an empty answer would be a refusal
        assert table != "learning_settings" or read.json()
    elif name == "anon" or table in PRIVATE:
        assert read.status_code in (401, 403)
    else:
        # the grant is there for readers; its rows are not for others
        assert (read.status_code, read.json()) == (200, [])
    column = COLUMN[table]
    for method, body in (("POST", {column: "x"}), ("PATCH", {column: "x"}), ("DELETE", None)):
        if name != "service":
            params = {} if method == "POST" else {column: "eq.nothing"}
            written = client.request(method, f"/{table}", headers=headers, json=body, params=params)
            assert written.status_code in (401, 403), (method, written.text)


@pytest.mark.parametrize("name", [*INVALID, *USERS, "reader", "service"])
def test_who_calls_what(client: httpx.Client, tokens: dict[str, str], name: str) -> None:
    headers = {"Authorization": f"Bearer {tokens[name]}"}
    for function, arguments in CALLS.items():
        answer = client.post(f"/rpc/{function}", headers=headers, json=arguments)
        if name in ("reader", "service"):
            assert answer.status_code == 200, answer.text
        else:
            assert answer.status_code in (401, 403), answer.text
    described = client.get("/", headers={"Authorization": f"Bearer {tokens['service']}"}).json()["paths"]
    others = [
        path for path in described if path.startswith("/rpc/") and path.removeprefix("/rpc/") not in CALLS
    ]
    assert len(others) > 15
    for path in others:
        if name != "service" and "pm_strength" in path:
            needed = described[path]["post"]["parameters"][0]["schema"].get("properties", {})
            body = {key: [] if kind.get("type") == "array" else 1 for key, kind in needed.items()}
            answer = client.post(path, headers=headers, json=body)
            assert answer.status_code in (401, 403), (path, answer.text)


def test_the_api_description_shows_anon_nothing_of_ours(client: httpx.Client, tokens: dict[str, str]) -> None:
    answer = client.get("/", headers={"Authorization": f"Bearer {tokens['anon']}"})
    shown = [path for path in answer.json().get("paths", {}) if "pm_" in path or "learning" in path]
    assert shown == []


def test_estimates_tell_nobody_what_is_there(
    client: httpx.Client, tokens: dict[str, str], db: Database
) -> None:
    """`count=planned` answers from statistics, which row level security does not cover."""
    for rows, table in ((3000, "override"), (3000, "lesson")):
        values = "1.5, 0.5, n, 1" if table == "override" else "40, '{}'"
        columns = "multiplier, confidence_score, lead, dimensions" if table == "override" else "n, stats"
        db.execute(
            f"insert into pm_strength.{table}s "
            f"(id, pattern_key, action_category, scope_subset, {columns}) "
            f"select n, 'p' || n % 5, 'entry', jsonb_build_object('rank', n), {values} "
            f"from generate_series(1, {rows}) n".encode()
        )
        db.execute(f"vacuum analyze pm_strength.{table}s".encode())
    db.execute(
        "insert into learning_runs (kind, status, finished_at, settings) "
        "select 'mine', 'succeeded', now(), '{}' from generate_series(1, 500)"
    )
    db.execute("vacuum analyze learning_runs")
    db.execute("vacuum analyze learning_settings")

    def estimate(table: str, column: str, condition: str) -> str:
        headers = {"Authorization": f"Bearer {tokens['plain user']}", "Prefer": "count=planned"}
        answer = client.get(f"/{table}", params={column: condition, "limit": 1}, headers=headers)
        assert answer.json() == []
        return answer.headers["content-range"]

    for table, column, there, missing in (
        *((name, "pattern_key", "p1", "q") for name in ("pm_overrides", "learning_lessons")),
        *((name, "action_category", "entry", "add") for name in ("pm_overrides", "learning_lessons")),
        *(
            (name, "scope_subset", '{"rank":1}', '{"mood":1}')
            for name in ("pm_overrides", "learning_lessons")
        ),
        ("pm_overrides", "multiplier", "1.5", "0.5"),
        ("pm_overrides", "id", "1", "999999999"),
        ("learning_lessons", "n", "40", "41"),
        ("learning_lessons", "status", "active", "retired"),
        ("learning_runs", "kind", "mine", "materialize"),
        ("learning_runs", "status", "succeeded", "failed"),
        ("learning_settings", "module", "pm", "other"),
    ):
        # an id tells when a row was made, and no more
        equal = table == "learning_settings" or column == "id"
        verbs = ["eq", "neq"] if equal else ["eq", "neq", "gt", "lte"]
        for verb in verbs if column != "scope_subset" else ["eq", "cs", "cd"]:
            found = {estimate(table, column, f"{verb}.{value}") for value in (there, missing)}
            assert len(found) == 1, (table, column, verb, found)
