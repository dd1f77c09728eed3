"""The code in the documents runs."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = [
    (path.name, block)
    for path in sorted(DOCS.glob("*.md"))
    for block in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
]


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_the_code_in_the_documents_runs(name: str, block: str) -> None:
    exec(compile(block, name, "exec"), {})  # noqa: S102


def test_there_is_code_in_the_documents() -> None:
    assert "mining.md" in {name for name, _ in BLOCKS}
