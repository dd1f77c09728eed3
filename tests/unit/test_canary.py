"""The canary is the same share of trades in every language."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest

from pm_strength import OverrideBook, apply_strength
from pm_strength.client.strength import _with_shadow
from pm_strength.runtime.canary import in_canary
from pm_strength.settings import LearningSettings

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def test_the_share_is_by_the_hash_of_the_id() -> None:
    trade = "6F9619FF-8B86-D011-B42D-00C04FC964FF"
    first = int(sha256(trade.lower().encode()).hexdigest()[:8], 16) / 2**32
    assert in_canary(trade, first + 1e-9)
    assert not in_canary(trade, first - 1e-9)
    assert in_canary(UUID(trade), first + 1e-9), "a uuid is its text"
    assert not in_canary(None, 1.0)
    assert not in_canary(trade, 0.0)
    assert in_canary(trade, 1.0)
    share = sum(in_canary(uuid4(), 0.3) for _ in range(4000)) / 4000
    assert share == pytest.approx(0.3, abs=0.04)


def book(multiplier: float, share: float = 0.0) -> OverrideBook:
    row = {"id": 1, "pattern_key": "p", "action_category": "entry", "scope_subset": {}}
    return OverrideBook(
        [row | {"multiplier": multiplier, "confidence_score": 1.0}],
        LearningSettings(canary_share=share),
        as_of=NOW - timedelta(hours=1),
        clock=lambda: NOW,
    )


def test_the_other_role_stands_beside_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    live, shadow = (book(m).resolve("p", "entry", {}) for m in (1.5, 0.8))
    answer = _with_shadow(live, shadow, 0.0, "t")
    assert (answer.multiplier, answer.role) == (1.5, "live")
    assert answer.beside is not None
    assert (answer.beside.multiplier, answer.beside.role) == (0.8, "shadow")
    assert "  by live; shadow would say 0.8000 (matched)" in str(answer)
    canary = _with_shadow(live, shadow, 1.0, "t")
    assert (canary.multiplier, canary.role) == (0.8, "shadow")
    assert canary.beside is not None
    assert canary.beside.role == "live"
    strength = apply_strength({"action_category": "entry", "size_frac": 0.5}, canary)["strength"]
    assert strength["role"] == "shadow"
    assert strength["beside"] == {"role": "live", "multiplier": 1.5, "reason": "matched"}
    assert canary.to_dict()["beside"]["multiplier"] == 1.5
    assert "beside" not in live.to_dict()


def test_an_id_that_cannot_be_read_is_not_of_the_canary() -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    live, shadow = (book(m).resolve("p", "entry", {}) for m in (1.5, 0.8))
    odd: Any = Odd()
    assert _with_shadow(live, shadow, 1.0, odd).role == "live"
    assert logging.getLogger("pm_strength.client.strength") is not None
