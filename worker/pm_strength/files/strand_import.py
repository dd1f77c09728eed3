"""Lines of strands into `ad_strands`, in pages that the server can take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ..errors import PermanentStoreError
from ..json_values import Row
from ..project.retry import UNKNOWN_COLUMN_CODE
from .strand_lines import BadLine, StrandLine, parse_line

# An answer holds at most 1,000 rows, and an insert must end well under 8 s.
PAGE_ROWS = 500
PAGE_BYTES = 2_000_000

# What a server refuses one row for: its data, a constraint, a size limit; a body that is too large.
_ROW_ERROR_CLASSES = ("22", "23", "54")
_TOO_LARGE = 413


@dataclass(slots=True)
class ImportReport:
    """Strands that were inserted, that were there already, and lines that were bad."""

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
    """Send all good lines through `insert`, which returns how many of its rows were new.

    Bad lines go to `on_bad` and are skipped, those among them that only the server refuses: a page
    is halved until the line at fault is alone. `on_bytes` is told of the size of each line read.
    Safe to repeat, if `insert` leaves rows alone whose id is there.
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
    """The page by columns: in one insert, a column that a row lacks would be null, not its default.

    Closes go last, so that they find their actions.
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
