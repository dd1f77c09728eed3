"""The code in the documents runs, and what they say of the demo's trades is so."""

import gzip
import json
import re
from importlib import resources
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


def test_the_demos_trades_are_what_is_said_of_them() -> None:
    file = resources.files("pm_strength").joinpath("data", "strands_btc_pairs.jsonl.gz")
    strands = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    closed = [strand for strand in strands if strand["kind"] == "position_closed"]
    trades, pairs = len({strand["trade_id"] for strand in closed}), len({row["symbol"] for row in strands})
    said = f"{trades:,} simulated trades on real candles of {pairs} pairs"
    root = DOCS.parent
    for path in ("README.md", "Makefile", "worker/pm_strength/cli/demo.py"):
        assert said in (root / path).read_text(), path
