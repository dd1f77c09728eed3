"""JSON lines of strands put into `ad_strands`, in pages small enough for the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..errors import PermanentStoreError
from ..json_values import Row
from ..project.retry import UNKNOWN_COLUMN_CODE
from .strand_lines import BadLine, StrandLine, parse_line

# An answer has at most 1,000 rows, and an insert must take much less than 8 s.
PAGE_ROWS = 500
PAGE_BYTES = 2_000_000

# Postgres refuses a single row for these classes of errors: data, constraint, size limit.
_ROW_ERROR_CLASSES = ("22", "23", "54")
# The status for a body that is too large.
_TOO_LARGE = 413


@dataclass(slots=True)
class ImportReport:
    """How many strands were inserted, how many were already there, and how many lines were bad."""

    inserted: int = 0
    present: int = 0
    bad: int = 0


def import_strands(
    lines: Iterable[bytes],
    insert: Callable[[list[Row]], int],
    *,
    on_bad: Callable[[BadLine], None] = lambda bad: None,
    on_bytes: Callable[[int], None] = lambda size: None,
) -> ImportReport:
    """Insert the strands of all good lines with `insert`, which returns how many rows were new.

    A bad line goes to `on_bad` and is skipped. Some lines only the server refuses: then the page is
    halved until the bad line is alone. `on_bytes` gets the size of each line, in bytes. The import can
    be repeated if `insert` leaves rows alone whose id exists.
    """
    report = ImportReport()

    def skip(bad: BadLine) -> None:
        report.bad += 1
        on_bad(bad)

    def good_lines() -> Iterator[StrandLine]:
        for number, line in enumerate(lines, start=1):
            on_bytes(len(line))
            parsed = parse_line(number, line)
            if isinstance(parsed, BadLine):
                skip(parsed)
            elif parsed is not None:
                yield parsed

    refused: dict[frozenset[str], str] = {}
    for page in _pages(good_lines()):
        for columns, batch in _batches(page):
            try:
                sent, new = (0, 0) if columns in refused else _send(batch, insert, skip)
            except PermanentStoreError as error:
                if error.code != UNKNOWN_COLUMN_CODE:
                    raise
                sent, new = 0, 0
                refused[columns] = str(error)
            if columns in refused:
                for line in batch:
                    skip(BadLine(line.number, "strand", f"refused by the server: {refused[columns]}"))
            report.inserted += new
            report.present += sent - new
    return report


def _pages(lines: Iterable[StrandLine]) -> Iterator[list[StrandLine]]:
    page: list[StrandLine] = []
    size = 0
    for line in lines:
        if page and (len(page) == PAGE_ROWS or size + line.size > PAGE_BYTES):
            yield page
            page, size = [], 0
        page.append(line)
        size += line.size
    if page:
        yield page


def _batches(page: list[StrandLine]) -> list[tuple[frozenset[str], list[StrandLine]]]:
    """The page in batches of rows with the same columns.

    In one insert, a column that a row lacks would become null instead of its default. Closes go last,
    so that their actions are already there.
    """
    batches: dict[frozenset[str], list[StrandLine]] = {}
    for line in page:
        batches.setdefault(frozenset(line.row), []).append(line)
    return sorted(
        batches.items(), key=lambda item: any(line.row["kind"] == "position_closed" for line in item[1])
    )


def _send(
    batch: list[StrandLine], insert: Callable[[list[Row]], int], skip: Callable[[BadLine], None]
) -> tuple[int, int]:
    try:
        return len(batch), insert([line.row for line in batch])
    except PermanentStoreError as error:
        if error.status != _TOO_LARGE and (error.code or "")[:2] not in _ROW_ERROR_CLASSES:
            raise
        if len(batch) == 1:
            skip(BadLine(batch[0].number, "strand", f"refused by the server: {error}"))
            return 0, 0
    middle = len(batch) // 2
    first, second = (_send(half, insert, skip) for half in (batch[:middle], batch[middle:]))
    return first[0] + second[0], first[1] + second[1]
