"""book_at: the overrides of a time, to replay what was decided then."""

from __future__ import annotations

from datetime import UTC, datetime

from ..errors import ReplacedSetError, SettingsError
from ..project.connection import Connection
from ..project.store import Store
from ..runtime.book import OverrideBook
from ..settings import DEFAULT_MODULE, LearningSettings
from .book_loader import materialized_at


def book_at(
    url: str, key: str, at: datetime, *, module: str = DEFAULT_MODULE, role: str = "live"
) -> OverrideBook:
    """The overrides that were live at a time, with the settings and the age of then.

    It resolves as the database did at that time. With the role `shadow` it holds those that were in the
    shadow, by which the trades of the canary were sized. Raises `SettingsError` for a time without an
    offset, `PermanentStoreError` for one that lies in the future or whose overrides are not kept any more,
    and what reading a project raises.
    """
    if at.tzinfo is None:
        raise SettingsError("at", "a time with an offset from UTC", at)
    store = Store.connect(Connection(url, key))
    try:
        return read_book_at(store, at, module, role)
    finally:
        store.close()


def read_book_at(
    store: Store, at: datetime, module: str = DEFAULT_MODULE, role: str = "live"
) -> OverrideBook:
    """As `book_at`, from a store."""
    moment = at.astimezone(UTC)
    found = store.set_at(moment.isoformat(), module, role)
    # 0 stands for the time before the first set
    rows = list(store.override_rows(found["set_id"], module)) if found["set_id"] else []
    if found["set_id"] and not rows and store.override_page(found["set_id"], 0, 0, module)["gone"]:
        raise ReplacedSetError(f"The overrides of {moment.isoformat()} were removed while they were read.")
    return OverrideBook(
        rows,
        LearningSettings.from_mapping(found["settings"]),
        profile=found["profile"],
        exposure_scale=found["exposure_scale"],
        run_id=found["run_id"],
        as_of=materialized_at(found["as_of"]),
        clock=lambda: moment,
    )
