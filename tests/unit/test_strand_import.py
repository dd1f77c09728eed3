"""JSON lines become strands; bad lines are named by number and field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pm_strength.errors import PermanentStoreError, TransientStoreError
from pm_strength.files.strand_import import ImportReport, import_strands
from pm_strength.files.strand_lines import BadLine, parse_line

GOOD: dict[str, Any] = {"id": "1", "module": "pm", "kind": "pm_action", "content": {"a": 1}}


def line(**changes: Any) -> bytes:
    row = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    return json.dumps(row).encode() + b"\n"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b"{", "line"),
        (b"[1]", "line"),
        (b"\xff\xfe", "line"),
        (b'{"id": ' + b"9" * 5000 + b"}", "line"),
        (b"[" * 5000 + b"]" * 5000, "line"),
        (line(id=...), "id"),
        (line(id=""), "id"),
        (line(id=True), "id"),
        (line(id=2**63), "id"),
        (line(id="x" * 501), "id"),
        (line(module=None), "module"),
        (line(module=""), "module"),
        (line(kind=5), "kind"),
        (line(content=[]), "content"),
        (line(content=...), "content"),
        (line(content={"a": {"b": "\x00"}}), "content.a.b"),
        (line(content={"a": ["\ud800"]}), "content.a[0]"),
        (b'{"id": "1", "module": "pm", "kind": "k", "content": {"rr": NaN}}', "content.rr"),
        (b'{"id": "1", "module": "pm", "kind": "k", "content": {"rr": 1e999}}', "content.rr"),
        (line(created_at="yesterday"), "created_at"),
        (line(created_at=5), "created_at"),
        (line(trade_id=5), "trade_id"),
    ],
)
def test_a_bad_line_names_its_field(text: bytes, field: str) -> None:
    bad = parse_line(7, text)
    assert isinstance(bad, BadLine)
    assert (bad.number, bad.field) == (7, field)
    assert str(bad).startswith(f"line 7: {field}: ")


def test_good_lines() -> None:
    assert parse_line(1, b"  \n") is None
    parsed = parse_line(1, b"\xef\xbb\xbf" + line(id=5, created_at="2026-01-05T10:00:00+02:00", symbol=None))
    assert parsed is not None
    assert not isinstance(parsed, BadLine)
    assert parsed.row == GOOD | {"id": 5, "created_at": "2026-01-05T08:00:00+00:00", "symbol": None}


class Table:
    """Takes strands as the server does: each id once, some refused."""

    def __init__(self, refused: set[str] | None = None, columns: set[str] | None = None) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.refused = refused or set()
        self.columns = columns
        self.calls = 0

    def insert(self, rows: list[dict[str, Any]]) -> int:
        self.calls += 1
        unknown = set().union(*rows) - (self.columns or set().union(*rows))
        if unknown:
            raise PermanentStoreError(f"no column {unknown}", status=400, code="PGRST204")
        if any(row["id"] in self.refused for row in rows):
            raise PermanentStoreError("violates check", status=400, code="23514")
        new = {row["id"]: row for row in rows if row["id"] not in self.rows}
        self.rows |= new
        return len(new)


def test_a_file_is_imported_once() -> None:
    table = Table()
    lines = [line(id=str(number)) for number in range(1200)]
    assert import_strands(lines, table.insert) == ImportReport(inserted=1200, present=0, bad=0)
    assert import_strands(lines, table.insert) == ImportReport(inserted=0, present=1200, bad=0)
    assert table.calls == 6


def test_bad_lines_are_reported_and_the_others_imported() -> None:
    table = Table(refused={"3", "700"})
    lines = [b"{\n", *(line(id=str(number)) for number in range(1000))]
    bad: list[BadLine] = []
    report = import_strands(lines, table.insert, on_bad=bad.append)
    assert report == ImportReport(inserted=998, present=0, bad=3)
    assert sorted((entry.number, entry.field) for entry in bad) == [
        (1, "line"),
        (5, "strand"),
        (702, "strand"),
    ]


def test_a_column_that_the_table_lacks_is_bad_and_asked_for_once() -> None:
    table = Table(columns={"id", "module", "kind", "content"})
    lines = [line(id=str(number), **({"mood": 1} if number % 2 else {})) for number in range(2000)]
    bad: list[BadLine] = []
    report = import_strands(lines, table.insert, on_bad=bad.append)
    assert report == ImportReport(inserted=1000, present=0, bad=1000)
    assert "mood" in str(bad[0])
    assert table.calls == 4 + 1


def test_rows_with_other_columns_do_not_null_each_others_defaults() -> None:
    table = Table()
    import_strands([line(id="1"), line(id="2", created_at="2026-01-01T00:00:00Z")], table.insert)
    assert "created_at" not in table.rows["1"]


def test_a_server_that_is_away_is_an_error() -> None:
    def insert(rows: list[dict[str, Any]]) -> int:
        raise TransientStoreError("away")

    with pytest.raises(TransientStoreError):
        import_strands([line()], insert)
    with pytest.raises(PermanentStoreError, match="wrong key"):
        import_strands(
            [line()], lambda rows: (_ for _ in ()).throw(PermanentStoreError("wrong key", status=401))
        )
