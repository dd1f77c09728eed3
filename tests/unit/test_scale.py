"""The constants that docs/scale.md tells are those of the model that the bench prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.benchmarks import capacity

PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()


def test_the_page_has_the_constants_of_the_model() -> None:
    told = re.findall(r"^\| ([a-z]+) \| ([\d.]+) (?:s|us|bytes|MB) \|", PAGE, re.MULTILINE)
    assert [(name, float(value)) for name, value in told] == [
        ("capture", capacity.CAPTURE),
        ("steady", capacity.STEADY),
        ("read", capacity.READ),
        ("load", capacity.LOAD),
        ("code", capacity.CODE),
        ("mine", capacity.MINE),
        ("send", capacity.SEND),
        ("index", capacity.INDEX),
        ("override", capacity.OVERRIDE),
        ("event", capacity.EVENT_BYTES),
        ("kept", capacity.KEPT_BYTES),
        ("lesson", capacity.LESSON_BYTES),
        ("override", capacity.OVERRIDE_BYTES),
        ("worker", capacity.WORKER_MB),
    ]


@pytest.mark.parametrize(
    ("events", "new", "lessons", "overrides", "measured"),
    # as `make bench-learn` measured them
    [
        (10_000, 10_000, 3_712, 2_992, 1.0),
        (100_000, 100_000, 79_051, 64_109, 2.7),
        (1_000_000, 1_000_000, 766_745, 621_577, 21.6),
        (1_000_000, 1_000_000, 113_041, 76_017, 10.6),
        (1_000_000, 0, 113_041, 76_017, 5.1),
    ],
)
def test_the_model_is_within_a_fifth(
    events: int, new: int, lessons: int, overrides: int, measured: float
) -> None:
    assert capacity.run_seconds(events, new, lessons, overrides) == pytest.approx(measured, rel=0.2)
