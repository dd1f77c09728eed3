"""OverrideBook against the plain definition, and what it does with nonsense."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_strength import LearningSettings, OverrideBook, Resolution
from tests.support import reference, strands

VALUES = st.sampled_from([1, 1.0, "1", True, False, 0, "a", "A", "", None, 2.5, [1], {"a": 1}])
SCOPES = st.dictionaries(st.sampled_from(["a", "b", "c", "we.i(r)d"]), VALUES)
SUBSETS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "we.i(r)d"]), st.sampled_from([1, "1", True, False, 0, "a", "A", 2.5])
)


def row(
    number: int, subset: dict[str, Any], multiplier: float = 1.2, confidence: float = 0.5
) -> dict[str, Any]:
    return {
        "id": number,
        "pattern_key": "p",
        "action_category": "entry",
        "scope_subset": subset,
        "multiplier": multiplier,
        "confidence_score": confidence,
    }


OVERRIDES = st.tuples(SUBSETS, st.floats(0.3, 3), st.sampled_from([0.0, 0.25, 0.5, 0.9]))


@pytest.mark.parametrize("examples", [50, pytest.param(1000, marks=pytest.mark.slow)])
def test_it_resolves_as_defined(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(st.lists(OVERRIDES, max_size=12), SCOPES, st.sampled_from(["blend", "most_specific", "sum"]))
    def check(
        overrides: list[tuple[dict[str, Any], float, float]], scope: dict[str, Any], strategy: str
    ) -> None:
        rows = [row(number, *override) for number, override in enumerate(overrides)]
        chosen = LearningSettings(strategy=strategy)
        wanted = reference.reference_resolve(rows, chosen.to_dict(), "p", "entry", scope)
        got = OverrideBook(rows, chosen).resolve("p", "entry", scope)
        assert (got.reason, got.matched) == (wanted["reason"], wanted["matched"])
        assert math.isclose(got.multiplier, wanted["multiplier"], rel_tol=1e-12)

    check()


def test_groups_are_kept_apart() -> None:
    book = OverrideBook([row(1, {})])
    assert book.resolve("p", "entry", {}).matched == 1
    for group in (("p", "add"), ("q", "entry"), ("p", "Entry"), ("P", "entry")):
        assert book.resolve(*group, {}).reason == "no_match"


@pytest.mark.parametrize("scope", [None, [], "text", 5, {}])
def test_a_scope_that_is_no_object_is_empty(scope: Any) -> None:
    book = OverrideBook([row(1, {}), row(2, {"a": 1})])
    assert [match.id for match in book.resolve("p", "entry", scope).matches] == [1]


@pytest.mark.parametrize("group", [("", "entry"), ("p", ""), (None, "entry"), ("p", 5)])
def test_a_key_that_is_no_text_is_bad_input(group: tuple[Any, Any]) -> None:
    resolution = OverrideBook([row(1, {})], run_id=4).resolve(*group, {})
    assert (resolution.multiplier, resolution.reason, resolution.run_id) == (1.0, "bad_input", 4)


def test_it_never_raises() -> None:
    class Trap(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("boom")

    book = OverrideBook([row(1, {"a": 1})])
    assert book.resolve("p", "entry", Trap(a=1)).reason == "bad_input"
    for scope in ({"a": float("nan")}, {1: 1, "a": 1}, {"a": object()}):
        assert book.resolve("p", "entry", scope).reason in ("matched", "no_match")  # type: ignore[arg-type]


def test_an_answer_names_the_strategy_that_made_it() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    book = OverrideBook([row(1, {})], LearningSettings(strategy="most_specific"))
    old = OverrideBook([row(1, {})], as_of=now - timedelta(hours=25), clock=lambda: now)
    answers = {
        "matched": (book.resolve("p", "entry", {}), "most_specific"),
        "no_match": (book.resolve("q", "entry", {}, strategy="blend"), "blend"),
        "zero_weight": (OverrideBook([row(1, {}, 1.2, 0.0)]).resolve("p", "entry", {}), "blend"),
        "stale": (old.resolve("p", "entry", {}), "blend"),
        "bad_input": (book.resolve("", "entry", {}, strategy="blend"), "blend"),
    }
    for reason, (resolution, strategy) in answers.items():
        assert (resolution.reason, resolution.strategy) == (reason, strategy)
        assert resolution.to_dict()["strategy"] == strategy
        assert f"({reason}, {strategy})" in str(resolution)


@pytest.mark.parametrize("strategy", ["median", "", 5, ["blend"]])
def test_an_unknown_strategy_is_bad_input_and_made_nothing(strategy: Any) -> None:
    resolution = OverrideBook([row(1, {})]).resolve("p", "entry", {}, strategy=strategy)
    assert (resolution.reason, resolution.strategy) == ("bad_input", None)
    neutral = Resolution.neutral("unavailable")
    assert neutral.strategy is None
    assert str(neutral) == "multiplier 1.0000 (unavailable), 0 matched"


def test_an_old_book_is_stale() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    for hours, reason in ((23, "matched"), (25, "stale")):
        book = OverrideBook([row(1, {})], as_of=now - timedelta(hours=hours), clock=lambda: now)
        resolution = book.resolve("p", "entry", {})
        assert (resolution.reason, resolution.matched) == (reason, 1)
        assert resolution.multiplier == (1.2 if reason == "matched" else 1.0)


def test_how_old_is_too_old_is_set() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    for hours, reason in ((1, "stale"), (25, "matched")):
        chosen = LearningSettings(stale_after_hours=hours + 0.5 if reason == "matched" else hours)
        age = timedelta(hours=hours, seconds=1)
        book = OverrideBook([row(1, {})], chosen, as_of=now - age, clock=lambda: now)
        assert book.resolve("p", "entry", {}).reason == reason


@pytest.mark.parametrize("value", [None, "", [], {}, float("nan")])
def test_an_override_that_asks_for_no_dimension_holds_nowhere(value: Any) -> None:
    book = OverrideBook([row(1, {"a": value}), row(2, {})])
    for scope in ({}, {"a": value}, {"a": 1}):
        assert [match.id for match in book.resolve("p", "entry", scope).matches] == [2]


def test_it_counts_its_overrides() -> None:
    rng = random.Random(1)
    assert len(OverrideBook([row(number, strands.scope(rng)) for number in range(30)])) == 30


@pytest.mark.parametrize("scopes", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_a_large_book_resolves_as_the_plain_definition(scopes: int) -> None:
    """More overrides than a machine word has bits, values that many and that few of them want."""
    rng = random.Random(11)
    values = {"a": [1, "1", True], "b": ["x", "y", 2.5], "c": list(range(400)), "d": [0, False, "0"]}
    rows = []
    for number in range(3000):
        names = rng.sample(sorted(values), rng.randrange(0, 4))
        subset = {name: rng.choice(values[name]) for name in names}
        rows.append(row(number, subset, rng.uniform(0.3, 3), rng.choice([0.0, 0.3, 0.9])))
    for strategy in ("blend", "most_specific", "sum"):
        chosen = LearningSettings(strategy=strategy)
        book = OverrideBook(rows, chosen)
        assert len(book) == 3000
        for _ in range(scopes):
            scope = {
                name: rng.choice([*known, "other"]) for name, known in values.items() if rng.random() < 0.8
            }
            wanted = reference.reference_resolve(rows, chosen.to_dict(), "p", "entry", scope)
            got = book.resolve("p", "entry", scope)
            assert (got.reason, got.matched) == (wanted["reason"], wanted["matched"])
            assert math.isclose(got.multiplier, wanted["multiplier"], rel_tol=1e-12)
            weights = [match.weight for match in got.matches]
            assert weights == sorted(weights, reverse=True)
            assert got.matches[:3] == tuple(got.matches)[:3]


@pytest.mark.parametrize("text", ["p\0", "\0", "p\ud800", "\udcff", "é\0"], ids=ascii)
def test_a_key_that_postgres_cannot_hold_is_bad_input(text: str) -> None:
    book = OverrideBook([])
    assert book.resolve(text, "entry", {}).reason == "bad_input"
    assert book.resolve("p", text, {}).reason == "bad_input"
    assert book.resolve("é🚀", "entry", {}).reason == "no_match"
