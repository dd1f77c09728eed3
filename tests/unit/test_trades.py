"""Messages are read in parts, what cannot be read is set aside alone, and a plan is written whole."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest

from pm_strength.capture.batch import BatchPlan
from pm_strength.errors import AnswerTooLargeError, TooMuchError, TransientStoreError
from pm_strength.json_values import Row
from pm_strength.project.store import Store
from pm_strength.service.trades import HEAVY_BYTES, PAUSE_SECONDS, SMALL_READS, commit, read_in_parts


class Shelf:
    """A store that reads at most `fits` trades a page, and takes too long over any that is `heavy`."""

    def __init__(
        self,
        fits: int = 1000,
        heavy: dict[str, int] = {},  # noqa: B006
        slow_above: int = 1000,
        code: str = "57014",
    ) -> None:
        self.fits, self.heavy, self.slow_above, self.code = fits, heavy, slow_above, code
        self.asked: list[int] = []
        self.letters: list[tuple[Any, ...]] = []
        self.retries: list[Row] = []

    def read_trades(self, strand_ids: list[str]) -> Row:
        self.asked.append(len(strand_ids))
        if len(strand_ids) > self.slow_above or any(name in self.heavy for name in strand_ids):
            if self.code == "too large":
                raise AnswerTooLargeError("The API's answer: expected at most 64 MB")
            raise TooMuchError("canceling statement due to statement timeout", code=self.code)
        return {"read": min(self.fits, len(strand_ids)), "strands": [], "events": []}

    def weigh_trade(self, strand_id: str) -> Row:
        return {"strands": 7, "bytes": self.heavy.get(strand_id, 100)}

    def commit_trades(self, events: Any, done_ids: Any, retries: list[Row], dead: Any) -> int:
        assert (events, done_ids, dead) == ([], [], [])
        self.retries += retries
        return 0

    def dead_letter(self, *arguments: Any) -> None:
        self.letters.append(arguments)


def claimed(count: int, read_ct: int = 1) -> list[Row]:
    return [
        {"msg_id": number, "read_ct": read_ct, "message": {"strand_id": f"s{number}"}}
        for number in range(count)
    ]


def read(shelf: Shelf, messages: list[Row]) -> list[list[int]]:
    parts = read_in_parts(cast(Store, shelf), messages)
    return [[entry["msg_id"] for entry in part] for part, _ in parts]


def test_what_fits_is_read_at_once() -> None:
    shelf = Shelf()
    assert read(shelf, claimed(5)) == [[0, 1, 2, 3, 4]]
    assert shelf.asked == [5]


def test_a_page_that_ends_early_is_followed_by_the_rest() -> None:
    assert read(Shelf(fits=2), claimed(5)) == [[0, 1], [2, 3], [4]]


def test_what_takes_too_long_is_asked_for_by_halves() -> None:
    shelf = Shelf(slow_above=3)
    assert sorted(id for part in read(shelf, claimed(10)) for id in part) == list(range(10))
    assert shelf.asked[:3] == [10, 5, 2]
    assert shelf.letters == []


def again(shelf: Shelf) -> list[Row]:
    """The messages that were put back, as they come again."""
    return [{"msg_id": row["msg_id"], "message": row["message"]} for row in shelf.retries]


def test_one_that_is_too_heavy_is_set_aside_alone_and_the_others_go_on() -> None:
    beats: list[int] = []
    shelf = Shelf(heavy={"s3": HEAVY_BYTES + 1, "s4": 60 * 2**20})
    parts = read_in_parts(cast(Store, shelf), claimed(9), lambda: beats.append(1))
    assert sorted(entry["msg_id"] for part, _ in parts for entry in part) == [0, 1, 2, 5, 6, 7, 8]
    assert beats, "a worker that waits for time-outs is alive"
    assert shelf.letters == [], "the database may have been slow: it is tried again, at once"
    assert [row["delay_seconds"] for row in shelf.retries] == [0, 0]
    assert read(shelf, again(shelf)) == []
    assert [letter[:2] for letter in shelf.letters] == [("pm_strength_trades", 3), ("pm_strength_trades", 4)]
    assert shelf.letters[1][2].startswith(
        "trade: expected strands that can be read in one call, got 7 with 60.0 MB on disk"
    )


def test_a_small_trade_comes_back_a_few_times_as_the_database_may_be_slow() -> None:
    shelf = Shelf(heavy={"s0": HEAVY_BYTES})
    messages = claimed(2)
    assert read(shelf, messages) == [[1]], "the one behind it goes on"
    for _ in range(SMALL_READS - 2):
        messages = again(shelf)[-1:]
        assert read(shelf, messages) == []
    assert {row["delay_seconds"] for row in shelf.retries} == {PAUSE_SECONDS}
    assert shelf.letters == []
    assert read(shelf, again(shelf)[-1:]) == []
    assert [letter[1] for letter in shelf.letters] == [0]


def test_how_often_a_message_was_claimed_says_nothing_of_its_trade() -> None:
    """It was, for a batch that was given up or a worker that died."""
    shelf = Shelf(heavy={"s0": 100})
    assert read(shelf, [claimed(1)[0] | {"read_ct": 50}]) == []
    assert shelf.letters == []


def test_what_cannot_be_written_or_taken_is_set_aside_at_once() -> None:
    shelf = Shelf(heavy={"s0": 100}, code="too large")
    assert read(shelf, claimed(2)) == [[1]]
    assert [letter[1] for letter in shelf.letters] == [0]


def test_a_message_that_names_no_strand_needs_no_reading() -> None:
    shelf = Shelf()
    assert read(shelf, [{"msg_id": 7, "message": None}]) == [[7]]
    assert shelf.asked == []


def test_the_logs_name_strands_and_trades(caplog: pytest.LogCaptureFixture) -> None:
    class Committed:
        def commit_trades(self, *_: Any) -> int:
            return 1

    plan = BatchPlan(events=[{"trade_id": "t"}, {"trade_id": "t"}], trade_of={"bad": "t"})
    for strand_id in ("bad", "lost"):
        plan.dead_letter(strand_id, "bad_strand", "content.scope: expected an object")
    with caplog.at_level(logging.DEBUG, logger="pm_strength"):
        assert commit(cast(Store, Committed()), plan) == 1
    said = [
        (record.message, vars(record).get("strand_id"), vars(record)["trade_id"]) for record in caplog.records
    ]
    assert said == [
        ("dead letter", "bad", "t"),
        ("dead letter", "lost", None),
        ("trade captured", None, "t"),
    ]


def test_an_unreadable_message_becomes_a_dead_letter_of_its_own() -> None:
    letters: list[Any] = []

    class Committed:
        def commit_trades(self, *_: Any) -> int:
            return 0

        def dead_letter(self, *arguments: Any) -> None:
            letters.append(arguments)

    commit(cast(Store, Committed()), BatchPlan(unreadable=[4]))
    assert letters == [("pm_strength_trades", 4, "message.strand_id: expected the id of a strand")]


def test_no_message_is_done_before_its_events_are_written() -> None:
    """A worker that dies in between would lose the trade: both are one transaction."""

    class Broken:
        def commit_trades(self, *_: Any) -> int:
            raise TransientStoreError("the plug was pulled")

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"{name} before commit_trades")

    plan = BatchPlan(events=[{"trade_id": "t"}], done_ids=[1], unreadable=[2])
    with pytest.raises(TransientStoreError):
        commit(cast(Store, Broken()), plan)
