"""Evaluation learns from what had closed alone, and says what sizes were worth, and how sure that is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pm_strength import Candidate, LearningSettings, evaluate
from pm_strength.cli import app
from pm_strength.errors import EventsError, SettingsError
from pm_strength.evaluation import walk_forward as walking
from pm_strength.evaluation.actions import read_actions
from pm_strength.evaluation.candidates import default_candidates, named_candidate
from pm_strength.evaluation.measures import calibration, equal_exposure, profit_curve
from pm_strength.evaluation.uplift import classes_of, resampled, shuffled, time_blocks, uplift
from pm_strength.evaluation.verdict import VERDICTS, verdict
from pm_strength.report.html import report_html

from ..support import planted

ZERO = np.zeros(4, np.int64)
START = pd.Timestamp("2024-01-01", tz="UTC")
GUARDED = named_candidate("guarded")


def test_uplift_is_the_weighted_mean_less_the_plain_one_within_each_category() -> None:
    m, y = np.array([2.0, 1.0, 1.0, 3.0]), np.array([1.0, 0.0, 4.0, 8.0])
    category = np.array([0, 0, 1, 1])
    assert uplift(m[:2], y[:2], ZERO[:2]) == pytest.approx(2 / 3 - 1 / 2)
    assert uplift(m, y, category) == pytest.approx((2 / 3 - 1 / 2) / 2 + (28 / 4 - 6) / 2)
    assert uplift(np.ones(4) * 7, y, category) == pytest.approx(0)


def test_adds_are_survivors_and_larger_ones_are_no_skill() -> None:
    category = np.array([0, 0, 1, 1])
    assert uplift(np.array([0.5, 0.5, 2.0, 2.0]), np.array([-1.0, -1.0, 2.0, 2.0]), category) == 0


def test_resampled_blocks_give_the_mean_and_the_spread_of_the_uplift() -> None:
    rng = np.random.default_rng(1)
    count = 4000
    m, y = rng.uniform(0.5, 1.5, count), rng.normal(size=count)
    y += 0.5 * (m - 1)
    category, block = rng.integers(0, 2, count), np.arange(count) // 50
    drawn = resampled(np.stack([m, np.ones(count)]), y, category, block, 3000, 0)
    assert drawn[:, 0].mean() == pytest.approx(uplift(m, y, category), abs=0.001)
    # var(m) sd(y) / sqrt(n), to first order
    assert drawn[:, 0].std() == pytest.approx(m.std() * y.std() / np.sqrt(count), rel=0.2)
    assert np.abs(drawn[:, 1]).max() < 1e-12


def test_blocks_that_share_an_outcome_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    block = np.arange(4000) // 100
    shock = rng.normal(size=40)[block]
    m = 1 + 0.3 * np.sign(rng.normal(size=40))[block]
    by_block = resampled(m[None], shock, np.zeros(4000, np.int64), block, 1000, 0).std()
    one_by_one = resampled(m[None], shock, np.zeros(4000, np.int64), np.arange(4000), 1000, 0).std()
    assert by_block > 5 * one_by_one


def test_a_placebo_stays_within_its_class() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=1000)
    within = rng.integers(0, 4, 1000)
    # the size follows the class alone: shuffling within it changes nothing
    m = 1 + 0.2 * within
    gains = shuffled(m, y, np.zeros(1000, np.int64), within, 20, 0)
    assert gains == pytest.approx([uplift(m, y, np.zeros(1000, np.int64))] * 20)
    # the size follows the outcome: shuffling takes all of it away
    sized = 1 + 0.1 * np.clip(y, -3, 3)
    gains = shuffled(sized, y, np.zeros(1000, np.int64), np.zeros(1000, np.int64), 200, 0)
    assert abs(gains.mean()) < 0.002 < 0.05 < uplift(sized, y, np.zeros(1000, np.int64))


def test_classes_and_blocks() -> None:
    assert classes_of(np.array([0, 0, 1]), np.array([1, 1, 1])).tolist() == [0, 0, 1]
    day = 86_400_000_000
    assert time_blocks(np.array([0, day - 1, day, 5 * day]), 1.0).tolist() == [0, 0, 1, 2]


def test_the_curve_at_equal_exposure() -> None:
    scaled = equal_exposure(np.array([1.0, 3.0, 0.5, 0.5]), np.array([0, 0, 1, 1]))
    assert scaled.tolist() == [0.5, 1.5, 1.0, 1.0]
    curve = profit_curve(np.array([1.0, -3.0, 1.0, 2.0]), np.array([3, 1, 2, 4]))
    assert curve.total == 1.0
    assert curve.drawdown == 3.0
    assert curve.points == [-3.0, -2.0, -1.0, 1.0]
    assert curve.sqn == pytest.approx(2 * 0.25 / np.std([1, -3, 1, 2], ddof=1))


def test_calibration_puts_equal_multipliers_into_one_class() -> None:
    m = np.array([1.0] * 60 + [2.0] * 40)
    bins = calibration(m, np.where(m > 1, 1.0, -1.0), np.zeros(100, np.int64))
    assert [(part.actions, part.multiplier) for part in bins] == [(60, 1.0), (40, 2.0)]
    assert bins[0].outcome < 0 < bins[1].outcome


@pytest.mark.parametrize(
    ("low", "high", "gain", "blocks", "spread", "word"),
    [
        (0.01, 0.05, 0.03, 40, 0.1, "pays"),
        (-0.05, -0.01, -0.03, 40, 0.1, "does not pay"),
        (-0.01, 0.05, 0.03, 40, 0.1, "cannot tell"),
        (0.001, 0.015, 0.009, 40, 0.1, "cannot tell"),
        (0.01, 0.05, 0.03, 7, 0.1, "cannot tell"),
        (0.01, 0.05, 0.03, 40, 0.001, "cannot tell"),
    ],
)
def test_the_verdict(low: float, high: float, gain: float, blocks: int, spread: float, word: str) -> None:
    told, why = verdict(low, high, gain, 0.01, -0.01, blocks, spread)
    assert told == word
    assert told in VERDICTS
    assert why


def waves(seed: int, count: int = 9, size: int = 300) -> pd.DataFrame:
    """Waves of thirty days, each with a name of its own: its trades share a shock, and close at its end."""
    rng = np.random.default_rng(seed)
    rows = []
    for wave in range(count):
        shock = rng.choice([-1.0, 1.0])
        for number in range(size):
            at = START + pd.Timedelta(days=30 * wave + 29 * number / size)
            rows.append(
                {
                    **{"pattern_key": "p", "action_category": "entry", "scope": {"wave": wave}},
                    **{"trade_id": f"{wave}-{number}", "action_at": at, "rr": shock + rng.normal(0, 0.5)},
                    "timestamp": START + pd.Timedelta(days=30 * wave + 29.5),
                }
            )
    return pd.DataFrame(rows)


LEAKING = [named_candidate("source:most_specific")]


def test_a_planted_leak_is_worth_nothing() -> None:
    """One that learns from trades by the time of their action knows the wave that it is in."""
    honest, peeking = [], []
    for seed in range(3):
        events = waves(seed)
        honest.append(evaluate(events, LEAKING, steps=24).results[0].uplift)
        # as if all closed at once
        peeked = events.assign(timestamp=events["action_at"])
        peeking.append(evaluate(peeked, LEAKING, steps=24).results[0].uplift)
    assert abs(np.mean(honest)) <= 0.05
    assert np.mean(peeking) >= 0.15


def test_nothing_is_learned_from_a_trade_before_it_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    events = planted.few_strong(1, 600).events
    learned: list[pd.DataFrame] = []

    def learn(past: pd.DataFrame, settings: LearningSettings, threads: int) -> walking.Learned:
        learned.append(past)
        return original(past, settings, threads)

    original = walking.learn
    monkeypatch.setattr(walking, "learn", learn)
    for options, hours, days in (({}, 0, 1e9), ({"embargo_hours": 30, "window_days": 20}, 30, 20)):
        learned.clear()
        report = evaluate(events, [GUARDED], steps=5, **options)
        begins = [pd.Timestamp(step["begins"]) for step in report.steps]
        assert len(learned) == len(begins) == 5
        for past, begin in zip(learned, begins, strict=True):
            last = begin - pd.Timedelta(hours=hours)
            first = begin - pd.Timedelta(days=days) if days < 1e6 else START
            wanted = events[(events.timestamp < last) & (events.timestamp >= first)]
            assert sorted(past.index) == sorted(wanted.index)
        assert [step["learned_from"] for step in report.steps] == [
            past.trade_id.nunique() for past in learned
        ]


def test_steps_are_shares_of_the_actions_by_their_time() -> None:
    events = planted.few_strong(1, 700).events
    actions = read_actions(events, "rr")
    report = evaluate(events, [GUARDED], steps=6)
    share = len(actions) / 7
    assert all(abs(step["actions"] - share) <= 2 for step in report.steps)
    assert sum(step["actions"] for step in report.steps) == report.actions


def test_the_order_of_the_events_makes_no_difference() -> None:
    events = planted.few_strong(3, 800).events
    mixed = events.sample(frac=1, random_state=5).reset_index(drop=True)
    one, other = (evaluate(frame, steps=3).to_dict() for frame in (events, mixed))
    assert [result["verdict"] for result in one["results"]] == [
        result["verdict"] for result in other["results"]
    ]
    for name in ("uplift", "low", "high", "spread", "turnover"):
        for first, second in zip(one["results"], other["results"], strict=True):
            assert first[name] == pytest.approx(second[name], rel=1e-9, abs=1e-12), name


def test_real_edges_pay_and_noise_cannot_be_told() -> None:
    told = {r.name: r.verdict for r in evaluate(planted.few_strong(1, 4000).events).results}
    assert told["guarded"] == "pays"
    noise = evaluate(planted.noise(2, 3000, 0.1).events)
    assert {result.verdict for result in noise.results} == {"cannot tell"}


def test_sizes_that_bet_on_the_opposite_do_not_pay() -> None:
    """Edges that turn around: what was good becomes bad, step by step."""
    rng = np.random.default_rng(1)
    rows = []
    for trade in range(6000):
        day = trade / 40
        side = "a" if rng.random() < 0.5 else "b"
        # each thirty days the other side wins, just as the last ones have been learned
        good = (side == "a") == (int(day // 30) % 2 == 0)
        at = START + pd.Timedelta(days=day)
        rows.append(
            {
                **{"pattern_key": "p", "action_category": "entry", "scope": {"side": side}},
                **{"trade_id": f"t{trade}", "action_at": at, "timestamp": at + pd.Timedelta(hours=2)},
                "rr": (0.7 if good else -0.7) + rng.normal(0, 0.5),
            }
        )
    rolling = evaluate(pd.DataFrame(rows), [GUARDED], steps=4, window_days=30)
    assert rolling.results[0].verdict == "does not pay"
    assert rolling.results[0].uplift < -0.1


def test_actions_without_a_time_are_left_out_and_counted() -> None:
    events = planted.few_strong(1, 300).events
    times = events["action_at"].astype(object)
    times[:50] = None
    times[50:60] = events["timestamp"][50:60] + pd.Timedelta(days=1)
    report = evaluate(events.assign(action_at=times), [GUARDED], steps=2)
    assert report.without_time == 60
    with pytest.raises(EventsError, match=r"action_at, got 0 \(.* have no time before their close\)"):
        evaluate(events.drop(columns="action_at"))
    with pytest.raises(EventsError, match="expected a column 'scope'"):
        evaluate(events.drop(columns="scope"))


def test_trims_and_exits_are_not_sized() -> None:
    events = planted.few_strong(1, 300).events.assign(action_category="exit")
    with pytest.raises(EventsError, match="expected more than 6 entries and adds"):
        evaluate(events)


@pytest.mark.parametrize(
    ("wrong", "key"),
    [({"steps": 0}, "steps"), ({"embargo_hours": -1}, "embargo_hours"), ({"window_days": 0}, "window_days")],
)
def test_arguments_out_of_range_are_refused_by_name(wrong: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        evaluate(planted.few_strong(1, 100).events, **wrong)
    assert caught.value.key == key


def test_candidates() -> None:
    assert [(c.settings.profile, c.settings.strategy) for c in default_candidates()] == [
        ("source", "blend"),
        ("source", "most_specific"),
        ("guarded", "sum"),
    ]
    assert named_candidate("guarded", LearningSettings(gain=3)).settings.gain == 3
    for name in ("mean", "source:mean"):
        with pytest.raises(SettingsError):
            named_candidate(name)
    for wrong in ([], [GUARDED, GUARDED], [GUARDED, Candidate("x", LearningSettings(outcome="roi"))]):
        with pytest.raises(SettingsError):
            evaluate(planted.few_strong(1, 100).events, wrong)


def test_more_candidates_widen_the_intervals() -> None:
    events = planted.few_strong(1, 1500).events
    [alone] = evaluate(events, [GUARDED]).results
    among = evaluate(events).results[-1]
    assert among.uplift == alone.uplift
    assert among.low < alone.low
    assert alone.high < among.high


@pytest.mark.parametrize("outcome", ["roi", "pnl_usd"])
def test_other_outcomes(outcome: str) -> None:
    events = planted.few_strong(2, 1500).events
    events = events.assign(rpnl_pct=events.rr * 100, pnl_usd=events.rr)
    in_r = evaluate(events, [GUARDED])
    other = evaluate(events, [named_candidate("guarded", LearningSettings(outcome=outcome))])
    assert other.results[0].uplift == pytest.approx(in_r.results[0].uplift, rel=1e-9)


def test_the_html_report_needs_nothing_else_and_escapes_what_it_shows() -> None:
    events = planted.few_strong(1, 2500).events
    events["scope"] = [{**scope, "<b>pair</b>": "<script>x</script>"} for scope in events.scope]
    events["pattern_key"] = "<img src=x>"
    text = report_html(evaluate(events))
    assert "<script" not in text
    assert "<img" not in text
    assert "guarded: pays" in text
    assert text.count("<svg") == 4
    links = set(re.findall(r'(?:src|href)="([^"#]+)', text)) | set(re.findall(r"url\((?!#)([^)]*)", text))
    assert not links
    addresses = set(re.findall(r"https?://[^\s\"<]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_the_command_evaluates_a_file(tmp_path: Path) -> None:
    events = planted.few_strong(1, 1500).events
    path = tmp_path / "events.csv"
    events.assign(scope=events.scope.map(json.dumps)).to_csv(path, index=False)
    written = [tmp_path / "report.html", tmp_path / "report.json"]
    arguments = ["evaluate", "--events", str(path), "--steps", "3", "--profile", "guarded"]
    ended = CliRunner().invoke(app, [*arguments, "--html", str(written[0]), "--json", str(written[1])])
    assert ended.exit_code == 0, ended.output
    assert "guarded: " in ended.stdout
    report = json.loads(written[1].read_text())
    assert report["settings_tried"] == 1
    assert "Does it pay?" in written[0].read_text()
    printed = CliRunner().invoke(app, [*arguments, "--output", "json", "--set", "evidence_min=20"])
    assert json.loads(printed.stdout)["results"][0]["name"] == "guarded"
    wrong = CliRunner().invoke(app, ["evaluate", "--events", str(tmp_path / "none.csv")])
    assert wrong.exit_code == 2
