"""Pages get smaller where one is too long, or takes too long."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pm_strength.errors import AnswerTooLargeError, StoreError, TooMuchError
from pm_strength.project.api import Api
from pm_strength.project.store import EVENT_PAGE, READ_PAGE, SWEEP_PAGE, Store


class Rows:
    """An API with rows 1 to `count`, of which a page may have at most `most`."""

    def __init__(self, count: int, most: int, error: StoreError) -> None:
        self.count, self.most, self.error = count, most, error
        self.asked: list[int] = []

    def rpc_page(self, function: str, *, page_size: int, after_id: Any, **_: Any) -> Any:
        self.asked.append(page_size)
        if page_size > self.most:
            raise self.error
        if function == "pm_strength_sweep":
            last = int(after_id or 0) + page_size
            return {"after_id": str(last) if last < self.count else None, "found": 1}
        ids = list(range(after_id + 1, min(self.count, after_id + page_size) + 1))
        if function == "pm_strength_read_overrides":
            return {"overrides": [{"id": number} for number in ids]}
        return {"last_id": ids[-1] if ids else None, "ids": ids}


@pytest.mark.parametrize("error", [TooMuchError("time-out", code="57014"), AnswerTooLargeError("too long")])
def test_a_page_that_is_too_much_is_asked_for_smaller(error: StoreError) -> None:
    api = Rows(1500, 700, error)
    store = Store(cast(Api, api))
    pages = list(store.read_events("pm", 100, 9999))
    assert [number for page in pages for number in page["ids"]] == list(range(101, 1501))
    assert len(store.override_page()["overrides"]) == READ_PAGE // 8
    assert max(api.asked) == EVENT_PAGE


def test_a_row_that_is_too_much_alone_is_an_error() -> None:
    store = Store(cast(Api, Rows(10, 0, AnswerTooLargeError("too long"))))
    with pytest.raises(AnswerTooLargeError):
        list(store.read_events("pm", 0, 10))


def test_the_sweep_grows_back_to_whole_pages() -> None:
    api = Rows(60_000, SWEEP_PAGE, TooMuchError("time-out", code="57014"))
    api.most = 100
    pages = Store(cast(Api, api)).sweep()
    next(pages)
    assert api.asked == [SWEEP_PAGE, 625, 78]
    api.most = SWEEP_PAGE
    next(pages)
    next(pages)
    assert api.asked[3:] == [624, 4992]
