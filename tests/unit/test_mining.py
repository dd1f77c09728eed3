"""mine_lessons against the plain definition, case by case and at random."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pm_strength import LearningSettings, mine_lessons
from pm_strength.errors import EventsError, LessonLimitError
from pm_strength.mining import lesson_rows
from pm_strength.mining.cube import compiled
from pm_strength.mining.scope_codes import code_scopes
from tests.benchmarks.mining_data import SHAPES, make_table, to_frame
from tests.benchmarks.mining_ours import recursion
from tests.support import reference

Row = dict[str, Any]
START = datetime(2026, 1, 1, tzinfo=UTC)

VALUES = st.sampled_from(["a", "b", "1", 1, 2.5, True, False, 0])
# A dimension that an event lacks is left out; "one" has one value only.
SCOPES = st.fixed_dictionaries({}, optional={"x": VALUES, "y": VALUES, "z": VALUES, "one": st.just("v")})


@st.composite
def tables_of_events(draw: st.DrawFn) -> list[Row]:
    """Trades with up to 12 events, in several groups, with ties in time."""
    events = []
    offset = draw(st.sampled_from([0.0, 1e6]))
    for trade in range(draw(st.integers(0, 25) | st.integers(40, 50))):
        y = offset + draw(st.floats(-3, 3, allow_subnormal=False, width=32))
        hours = draw(st.integers(0, 200))
        for _ in range(draw(st.integers(1, 12)) if draw(st.booleans()) else 1):
            events.append(
                {
                    "trade_id": f"t{trade}",
                    "pattern_key": draw(st.sampled_from(["p", "q"])),
                    "action_category": draw(st.sampled_from(["entry", "add"])),
                    "scope": draw(SCOPES),
                    "rr": y,
                    "pnl_usd": y * 100 if draw(st.booleans()) else None,
                    "rpnl_pct": y * 10,
                    "timestamp": (START + timedelta(hours=hours)).isoformat(),
                }
            )
    return events


def mined(events: list[Row], chosen: LearningSettings) -> dict[Any, Row]:
    columns = (
        "trade_id",
        "pattern_key",
        "action_category",
        "scope",
        "rr",
        "pnl_usd",
        "rpnl_pct",
        "timestamp",
    )
    frame = mine_lessons(pd.DataFrame.from_records(events, columns=columns), chosen)
    rows = lesson_rows(frame)
    json.dumps(rows, allow_nan=False)
    by_key = {
        (row["pattern_key"], row["action_category"], reference.scope_key(row["scope_subset"])): row["stats"]
        for row in rows
    }
    assert len(by_key) == len(rows), "each slice once"
    return by_key


def assert_same(got: dict[Any, Row], wanted: dict[Any, Row]) -> None:
    assert got.keys() == wanted.keys()
    for key, stats in wanted.items():
        # A correlation at the verge of significance, or of an exact fit, is not well conditioned.
        p_value = stats["decay_meta"]["p_value"]
        verge = p_value is not None and (abs(p_value - 0.05) < 1e-6 or p_value < 1e-9)
        for name, value in stats.items():
            if name == "decay_meta":
                if not verge:
                    assert_decay(got[key][name], value)
            elif value is None or got[key][name] is None:
                assert got[key][name] is value, (key, name)
            elif name not in ("edge_raw", "delta_rr") or not verge:
                scale = 1.0 if name != "delta_rr" else max(1.0, abs(stats["avg_rr"]))
                assert math.isclose(got[key][name], value, rel_tol=1e-9, abs_tol=1e-9 * scale), (key, name)


def assert_decay(got: Row, wanted: Row) -> None:
    assert got["state"] == wanted["state"]
    for name in ("multiplier", "slope_per_hour", "p_value", "half_life_hours", "doubling_hours"):
        if wanted[name] is None:
            assert got[name] is None
        else:
            assert math.isclose(got[name], wanted[name], rel_tol=1e-6, abs_tol=1e-9), name


CHOICES = st.builds(
    LearningSettings,
    n_min=st.integers(1, 6) | st.integers(7, 40),
    max_dims=st.sampled_from([None, 0, 1, 2, 3, 4]),
    outcome=st.sampled_from(["rr", "roi", "pnl_usd"]),
    scope_dims=st.sampled_from([None, (), ("x",), ("x", "one", "nowhere")]),
)


@pytest.mark.parametrize("examples", [15, pytest.param(300, marks=pytest.mark.slow)])
def test_it_finds_all_slices_with_the_numbers_of_the_definition(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(tables_of_events(), CHOICES)
    def check(events: list[Row], chosen: LearningSettings) -> None:
        assert_same(mined(events, chosen), reference.reference_lessons(events, chosen.to_dict()))

    check()


def event(trade: int, scope: Row, y: float, hours: float = 0.0) -> Row:
    return {
        "trade_id": str(trade),
        "pattern_key": "p",
        "action_category": "add",
        "scope": scope,
        "rr": y,
        "pnl_usd": None,
        "rpnl_pct": None,
        "timestamp": START + timedelta(hours=hours),
    }


def test_a_trade_that_leaves_one_slice_is_still_found_by_another() -> None:
    # 33 trades with two adds each: one in x=a, y=b and one in x=b, y=a.
    events = [
        event(trade, scope, 1.0)
        for trade in range(33)
        for scope in ({"x": "a", "y": "b"}, {"x": "b", "y": "a"})
    ]
    lessons = mined(events, LearningSettings())
    subsets = {key[2] for key in lessons}
    assert reference.scope_key({"x": "a", "y": "b"}) in subsets
    assert reference.scope_key({"x": "b", "y": "a"}) in subsets
    assert reference.scope_key({"x": "a", "y": "a"}) not in subsets
    assert {stats["n"] for stats in lessons.values()} == {33}


def test_large_outcomes_with_a_small_spread_keep_their_digits() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 1e-3, 400)
    events = [event(i, {"x": "a"}, 1e6 + value, hours=i) for i, value in enumerate(noise)]
    values = np.array([row["rr"] for row in events])
    stats = mined(events, LearningSettings())[("p", "add", frozenset())]
    assert math.isclose(stats["variance"], float(np.var(values - 1e6, ddof=1)), rel_tol=1e-12)
    assert math.isclose(stats["avg_rr"], math.fsum(values) / 400, rel_tol=1e-15)


def test_far_away_times_keep_their_digits() -> None:
    def trend(start_hours: float) -> Row:
        events = [event(i, {}, 0.01 * i + (i % 3), hours=start_hours + i / 3600) for i in range(60)]
        events += [{**event(1000 + i, {}, 5.0), "pattern_key": "q"} for i in range(60)]
        return mined(events, LearningSettings())[("p", "add", frozenset())]["decay_meta"]

    near, far = trend(0), trend(24 * 365 * 200)
    assert near["state"] == far["state"] != "insufficient"
    assert math.isclose(near["slope_per_hour"], far["slope_per_hour"], rel_tol=1e-9)


def test_look_alikes_are_different_values() -> None:
    events = [event(i, {"x": value}, 1.0) for i, value in enumerate([1, 1.0, "1", True, "true"] * 40)]
    lessons = mined(events, LearningSettings(n_min=40))
    counts = sorted(stats["n"] for key, stats in lessons.items() if key[2])
    assert counts == [40, 40, 40, 80]


def test_an_empty_table_has_no_lessons() -> None:
    frame = mine_lessons(pd.DataFrame.from_records([], columns=list(event(0, {}, 0.0))))
    assert frame.empty
    assert (frame.attrs["events"], frame.attrs["trades"]) == (0, 0)


def test_a_column_that_is_missing_or_holds_something_else_is_named() -> None:
    with pytest.raises(EventsError, match=r"expected a column .pattern_key."):
        mine_lessons(pd.DataFrame({"trade_id": ["a"], "rr": [1.0]}))
    for column, value in (("rr", "much"), ("timestamp", "yesterday"), ("timestamp", pd.NaT)):
        events = pd.DataFrame([event(i, {}, 1.0) for i in range(3)]).astype(object)
        events.loc[1, column] = value
        with pytest.raises(EventsError, match=rf"^events: .*{column}"):
            mine_lessons(events)
    times = pd.DataFrame([event(i, {}, 1.0) for i in range(3)])
    times.loc[1, "timestamp"] = pd.NaT
    with pytest.raises(EventsError, match=r"^events: timestamp: expected a time in every row"):
        mine_lessons(times)


def test_the_order_of_events_makes_no_difference() -> None:
    rng = random.Random(2)
    events = [
        event(i // 2, {"x": rng.choice("ab"), "y": rng.choice("abc")}, float(i // 2 % 7), hours=i // 2)
        for i in range(400)
    ]
    first = mined(events, LearningSettings(n_min=5))
    rng.shuffle(events)
    assert_same(mined(events, LearningSettings(n_min=5)), first)


def test_too_many_lessons_are_an_error_that_names_the_levers() -> None:
    events = [event(i, {"x": i % 2, "y": i % 3}, 1.0) for i in range(100)]
    with pytest.raises(LessonLimitError, match=r"max_lessons.*n_min.*max_dims.*scope_dims"):
        mine_lessons(pd.DataFrame(events), LearningSettings(n_min=1, max_lessons=5))


def test_nearing_the_limit_is_warned_of() -> None:
    events = pd.DataFrame([event(i, {"x": i % 2}, 1.0) for i in range(100)])
    assert mine_lessons(events, LearningSettings(max_lessons=100)).attrs["warning"] is None
    assert "max_lessons" in mine_lessons(events, LearningSettings(max_lessons=6)).attrs["warning"]


def test_it_works_with_its_defaults_on_a_frame_of_the_database() -> None:
    events = pd.DataFrame([event(i, {"x": "a"}, float(i % 5)) for i in range(50)])
    frame = mine_lessons(events)
    assert frame["n"].tolist() == [50, 50]
    assert frame["scope_subset"].tolist() == [{}, {"x": "a"}]


@pytest.mark.parametrize(
    "max_dims", [1, *(pytest.param(most, marks=pytest.mark.slow) for most in (2, 3, None))]
)
def test_a_trade_with_countless_agreements_is_still_counted_once(max_dims: int | None) -> None:
    """40 events of one trade, all different: too many agreements for signed rows."""
    rng = random.Random(8)
    names = "abcdefgh"
    events = [event(0, {name: rng.randrange(2) for name in names}, 1.5, hours=3) for _ in range(40)]
    events += [
        event(1 + i // 2, {name: rng.randrange(2) for name in names}, float(i // 2 % 5), hours=i // 2)
        for i in range(120)
    ]
    events += [{**row, "pattern_key": "q"} for row in events[:200:3]]
    chosen = LearningSettings(n_min=3, max_dims=max_dims)
    assert_same(mined(events, chosen), reference.reference_lessons(events, chosen.to_dict()))


def test_the_codes_of_very_many_values_are_wide_enough() -> None:
    most = 2**15 - 1
    for count, kind in ((most - 1, np.int16), (most, np.int32)):
        scopes = [{"id": number} for number in range(count)]
        dimensions, ((*values,),), codes = code_scopes(pd.Series(scopes, dtype=object), None)
        assert (dimensions, values, codes.dtype) == (("id",), list(range(count)), kind)
        assert codes[:, 0].tolist() == values


@pytest.mark.slow
def test_a_dimension_of_very_many_values() -> None:
    """Their wide codes are compiled by themselves."""
    events = [event(i, {"id": i, "x": i % 2}, float(i % 7), hours=i) for i in range(40_000)]
    frame = mine_lessons(pd.DataFrame(events), LearningSettings(n_min=1, max_dims=2))
    assert len(frame) == 1 + 40_000 + 2 + 40_000
    assert frame["scope_subset"].iloc[-1].keys() <= {"id", "x"}


def test_equal_outcomes_far_from_their_group_do_not_vary() -> None:
    """A slice of stops at -1 among outcomes of a million: its variance is 0, and it has no p-value."""
    events = [event(i, {"x": "stop"}, -1.1, hours=i) for i in range(60)]
    events += [event(100 + i, {"x": "win"}, 1e6 + i, hours=0.1 * i) for i in range(60)]
    stats = mined(events, LearningSettings())[("p", "add", reference.scope_key({"x": "stop"}))]
    assert (stats["variance"], stats["decay_meta"]["p_value"]) == (0.0, None)
    assert stats["decay_meta"]["state"] == "stable"
    assert stats["avg_rr"] == pytest.approx(-1.1, rel=1e-12)


def test_threads_make_no_difference() -> None:
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 4, (12_000, 6))
    frame = pd.DataFrame(
        {
            "trade_id": np.arange(12_000) // 2,
            "pattern_key": "p",
            "action_category": "entry",
            "scope": [dict(zip("abcdef", map(int, row), strict=True)) for row in codes],
            "rr": np.repeat(rng.normal(size=6_000), 2),
            "timestamp": [START] * 12_000,
        }
    )
    chosen = LearningSettings(n_min=20, max_dims=None)
    one, two = (mine_lessons(frame, chosen, threads=threads) for threads in (1, 2))
    assert len(one) > 1000
    assert one["scope_subset"].tolist() == two["scope_subset"].tolist()
    pd.testing.assert_frame_equal(one.drop(columns="scope_subset"), two.drop(columns="scope_subset"))


def test_a_run_ends_when_its_progress_says_so() -> None:
    class EnoughError(Exception):
        pass

    def stop(share: float) -> None:
        if share >= 0:
            raise EnoughError

    with pytest.raises(EnoughError):
        mine_lessons(pd.DataFrame([event(i, {"x": i % 2}, 1.0) for i in range(100)]), progress=stop)


@pytest.mark.parametrize(("events", "slices"), [(1000, 80), pytest.param(5000, 900, marks=pytest.mark.slow)])
def test_a_made_up_table_against_the_recursion_of_the_source(events: int, slices: int) -> None:
    table = make_table(replace(SHAPES["S1"], events=events, seed=7))
    lessons = mine_lessons(to_frame(table), LearningSettings(max_dims=None))
    wanted = recursion(table)()
    got = {}
    for row in lesson_rows(lessons):
        subset = tuple(
            sorted((name, int(value.removeprefix("value_"))) for name, value in row["scope_subset"].items())
        )
        key = int(row["pattern_key"].removeprefix("pattern-")), subset
        got[key] = (row["n"], row["stats"]["avg_rr"], row["stats"]["variance"])
    assert got.keys() == wanted.keys()
    assert len(got) > slices
    for key, numbers in wanted.items():
        assert got[key] == pytest.approx(numbers, rel=1e-12)


def test_outcomes_at_the_end_of_what_a_double_holds_spoil_no_other_lesson() -> None:
    plain = [event(i, {"x": "plain"}, float(i % 7), hours=i) for i in range(60)]
    for huge in ([1.7e308], [1.7e308, 1.7e308], [1.7e308, -1.7e308]):
        events = [*plain, *(event(100 + i, {"x": "huge"}, y, hours=i) for i, y in enumerate(huge))]
        for max_dims in (None, 1):
            rows = lesson_rows(
                mine_lessons(pd.DataFrame(events), LearningSettings(n_min=1, max_dims=max_dims))
            )
            json.dumps(rows, allow_nan=False)
            by_value = {row["scope_subset"].get("x"): row["stats"] for row in rows}
            assert by_value["plain"]["avg_rr"] == pytest.approx(sum(i % 7 for i in range(60)) / 60, rel=1e-12)
            assert by_value["plain"]["variance"] == pytest.approx(np.var([i % 7 for i in range(60)], ddof=1))
            assert by_value[None]["variance"] is None
            assert by_value[None]["edge_raw"] == 0.0


def test_the_limit_names_the_dimension_that_costs_most() -> None:
    events = [event(i, {"a": i % 3, "costly": i % 20, "z": i % 2}, float(i % 5)) for i in range(400)]
    with pytest.raises(LessonLimitError, match=r"max_lessons.*most lessons of at most two: costly \("):
        mine_lessons(
            pd.DataFrame(events), LearningSettings(n_min=1, max_lessons=140, max_dims=None), threads=1
        )


def test_where_compiled_code_cannot_be_kept_it_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only file system, as a container may have."""
    from numba.core import caching

    def nowhere(*_: Any, **__: Any) -> Any:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(caching.FunctionCache, "__init__", nowhere)
    assert compiled.compiled(lambda x: x + 1)(1) == 2


def test_the_memory_is_a_limit_too() -> None:
    events = pd.DataFrame([event(i, {"x": i % 50, "y": i % 7}, float(i % 5)) for i in range(700)])
    chosen = LearningSettings(n_min=1)
    with pytest.raises(LessonLimitError, match=r"what the memory holds.*n_min.*x \("):
        mine_lessons(events, chosen, memory_bytes=50_000)
    assert len(mine_lessons(events, chosen, memory_bytes=1_000_000)) == 1 + 50 + 7 + 350


def test_the_column_of_scopes_behaves_as_a_column() -> None:
    frame = mine_lessons(pd.DataFrame([event(i, {"x": i % 2}, float(i % 3)) for i in range(100)]))
    scopes = frame["scope_subset"]
    assert scopes.tolist() == [{}, {"x": 0}, {"x": 1}]
    assert frame[frame["n"] < 100]["scope_subset"].tolist() == [{"x": 0}, {"x": 1}]
    assert frame.iloc[::-1].reset_index(drop=True)["scope_subset"].iloc[0] == {"x": 1}
    assert pd.concat([frame, frame])["scope_subset"].tolist() == scopes.tolist() * 2
    assert not scopes.isna().any()
    assert (scopes == {"x": 1}).tolist() == [False, False, True]
    assert "{'x': 1}" in str(scopes)
