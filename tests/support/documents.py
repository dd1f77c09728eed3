"""The documents: their pages, their links, and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
) + tuple(sorted((ROOT / "docs").glob("*.md")))
RUN = ("python", "sql", "sh", "js")
SHOWN = ("text", "json")

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$\n?", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code; `shown` is what the page says that it prints, in the block that follows at once."""

    page: str
    line: int
    language: str
    code: str
    shown: tuple[str, str] | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def page_name(path: Path) -> str:
    """The path of a page from the repository's root."""
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path) -> list[Block]:
    """The blocks of code of a page, in their order."""
    text = path.read_text()
    fences = list(_FENCE.finditer(text))
    found: list[Block] = []
    for fence, after in zip_longest(fences, fences[1:]):
        shown = None
        if after is not None and after[1] in SHOWN and not text[fence.end() : after.start()].strip():
            shown = (after[1], after[2])
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(page_name(path), line, fence[1], fence[2], shown))
    return found


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("\n", path.read_text())


def code_spans(path: Path) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", prose(path))


def links(path: Path) -> list[str]:
    """The targets of all links."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(path))


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
