"""The examples run, and do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from pm_strength.project.store import Store
from pm_strength.service import runs as learning

from .conftest import Drain

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_bot(variables: dict[str, str], seed: int) -> dict[str, float]:
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / "bot.py"), "--trades", "80", "--seed", str(seed)],
        env=os.environ
        | {"SUPABASE_URL": variables["API_URL"], "SUPABASE_SECRET_KEY": variables["SECRET_KEY"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        chain: float(size)
        for chain, size in re.findall(r"^(\w+): entries of ([\d.]+)", ended.stdout, re.MULTILINE)
    }


def test_the_bot_buys_more_where_it_won_and_less_where_it_lost(
    variables: dict[str, str], store: Store, drain: Drain
) -> None:
    before = run_bot(variables, seed=1)
    assert before == {"base": 0.3, "solana": 0.3}
    drain()
    learning.mine(store)
    learning.materialize(store)
    after = run_bot(variables, seed=2)
    assert after["base"] < 0.25
    assert after["solana"] > 0.35


def test_it_uses_nothing_but_the_public_names() -> None:
    text = (EXAMPLES / "bot.py").read_text()
    imports = re.findall(r"^(?:from|import) (pm_strength[\w.]*)", text, re.MULTILINE)
    assert imports == ["pm_strength"]
