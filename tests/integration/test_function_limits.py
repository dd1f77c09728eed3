"""What is too much for the functions is the error of the field, and of nobody else."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from .conftest import Database

MB = 1024 * 1024


@pytest.fixture
def functions(variables: dict[str, str], clean: None) -> Iterator[httpx.Client]:
    headers = {"apikey": variables["SECRET_KEY"], "content-type": "application/json"}
    with httpx.Client(base_url=f"{variables['API_URL']}/functions/v1", headers=headers, timeout=60) as client:
        yield client


def strand(name: str, content: str, columns: str = "") -> str:
    return f'{{"id": "{name}", "module": "m", "kind": "k", "content": {content}{columns}}}'


def request(scope: str) -> str:
    return f'{{"pattern_key": "p", "action_category": "entry", "size_frac": 0.25, "scope": {scope}}}'


def keys(count: int) -> str:
    return "{" + ",".join(f'"k{n}": 1' for n in range(count)) + "}"


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ('{"x": 0.%s}' % ("1" * 16_500), ["scope", "x"]),
        ('{"x": 9007199254740993}', ["scope", "x"]),
        ('{"x": 1e20}', ["scope", "x"]),
        ('{"x": 1e400}', ["scope", "x"]),
        ('{"x": %s}' % ("9" * MB), ["scope", "x"]),
        ('{"x": [%s]}' % ("1" * 401), ["scope", "x", 0]),
        ("[" * MB + "]" * MB, []),
        (keys(65_536), ["scope"]),
    ],
    ids=lambda value: str(value)[:30],
)
def test_one_request_that_is_too_much_is_bad_input_alone(
    functions: httpx.Client, scope: str, path: list[object]
) -> None:
    good = request('{"rank": 2}')
    answer = functions.post("/sizing", content=f"[{good}, {request(scope)}, {good}]")
    assert (answer.status_code, answer.headers.get("x-pm-strength")) == (200, None)
    first, bad, last = answer.json()
    assert (first["reason"], bad["reason"], last["reason"]) == ("no_match", "bad_input", "no_match")
    assert [issue["path"] for issue in bad["issues"]] == [path]
    assert (bad["strength"]["multiplier"], bad["size_frac"]) == (1, 0.25)


@pytest.mark.parametrize(
    "scope",
    [
        '{"x": 1e-400}',
        '{"x": 5e-324}',
        '{"x": 1.%se-300}' % ("1" * 380),
        '{"x": %s.5}' % ("1" * 300),
        '{"%s": 1}' % ("k" * MB),
        '{"x": "%s"}' % ("v" * MB),
        r'{"a\u0000b": 1, "c": "\u0000", "\ud800": 1, "": 1, "__proto__": 1}',
        '{"x": %s}' % ("[" * 150 + "]" * 150),
        keys(10_000),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_strange_scope_is_resolved_as_any_other(functions: httpx.Client, scope: str) -> None:
    answer = functions.post("/sizing", content=f"[{request(scope)}, {request('{}')}]")
    assert [one["reason"] for one in answer.json()] == ["no_match", "no_match"]


def test_a_number_of_megabytes_is_refused_at_once(functions: httpx.Client) -> None:
    started = time.monotonic()
    number = f"0.1{'0' * 7_000_000}1"
    answer = functions.post("/strands", content=strand("a", f'{{"x": {number}}}'))
    assert (answer.status_code, answer.json()["issues"][0]["path"]) == (422, ["content", "x"])
    # hours where the time grows with the square of the length
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    "columns",
    [
        f', "{"c" * 70_000}": 1',
        f', "{"c" * 64}": 1',
        "".join(f', "c{n}": 1' for n in range(2000)),
        "".join(f', "{n:063}": 1' for n in range(80)),
        ', "no_such_column": 1',
        r', "a\"b\\,": 1',
        ', "": 1',
    ],
    ids=lambda value: str(value)[:20],
)
def test_columns_that_no_table_has_are_the_callers_mistake(
    functions: httpx.Client, columns: str, many: bool
) -> None:
    body = strand("a", "{}", columns)
    answer = functions.post("/strands", content=f"[{body}, {strand('b', '{}')}]" if many else body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["issues"]
    assert "retry-after" not in answer.headers


def test_a_content_of_very_many_fields_is_stored(functions: httpx.Client, db: Database) -> None:
    answer = functions.post("/strands", content=strand("a", keys(400_000)))
    assert answer.status_code == 201, answer.text
    stored = db.execute("select content -> 'k399999' from ad_strands").fetchone()
    assert stored == (1,)


def test_what_capture_does_not_read_may_be_long(functions: httpx.Client, db: Database) -> None:
    def close(name: str, rest: str) -> str:
        trade = '"trade_id": "6b7e3c64-41c4-4f1b-a8b4-0d6c1f7a5b11"'
        content = f'{{"trade_summary": {{"rr": 1, "x": "{rest}"}}, "candles": "{"x" * 3 * MB}"}}'
        return f'{{"id": "{name}", "module": "pm", "kind": "position_closed", {trade}, "content": {content}}}'

    assert functions.post("/strands", content=close("a", "x" * (MB - 100))).status_code == 201
    # just at the limit, as Postgres prints it
    row = db.execute("select octet_length((content -> 'trade_summary')::text) from ad_strands").fetchone()
    assert row is not None
    room = MB - int(str(row[0]))
    assert functions.post("/strands", content=close("b", "x" * (MB - 100 + room))).status_code == 201
    refused = functions.post("/strands", content=close("c", "x" * (MB - 100 + room + 1)))
    assert [issue["path"] for issue in refused.json()["issues"]] == [["content"]]


@pytest.mark.parametrize(
    "summary",
    [
        r'{"rr": 1, "a": "\u0001\u001f\t\b\"\\\/\u007f é € 😀 \ud83d\ude00"}',
        '{"rr": 1.50, "a": [], "b": {}, "c": [1, 2.0, -3e5, 1e21, 1.5e-7, 0.10e-3, -0, 0e5], "d": null}',
        '{"rr": 1, "a": [1e400, -1.50e-400, 12345678901234567890.50, 1.2345678901234567890e5, 5e-324]}',
        '{"rr": 1, "a": {"b": [true, false, {"c": ["", {"": "x"}]}]}, "é€😀": 1}',
    ],
)
def test_the_length_is_that_of_postgres(functions: httpx.Client, db: Database, summary: str) -> None:
    """At the limit a byte more is refused, so the function counts what Postgres prints."""

    def post(name: str, fill: int) -> int:
        trade = '"trade_id": "6b7e3c64-41c4-4f1b-a8b4-0d6c1f7a5b11"'
        content = f'{{"trade_summary": {summary}, "entry_context": {{"x": ["{"x" * fill}"]}}}}'
        body = f'{{"id": "{name}", "module": "pm", "kind": "position_closed", {trade}, "content": {content}}}'
        return functions.post("/strands", content=body.encode()).status_code

    assert post("a", 0) == 201
    row = db.execute(
        "select octet_length((content -> 'trade_summary')::text) + "
        "octet_length((content -> 'entry_context')::text) from ad_strands"
    ).fetchone()
    assert row is not None
    room = MB - int(str(row[0]))
    assert (post("b", room), post("c", room + 1)) == (201, 422)
