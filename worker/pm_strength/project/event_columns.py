"""Events as columns: read in packed pages, joined to those that were read before, kept as plain arrays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from ..json_values import Row, Scalar
from ..mining.arrays import MISSING, NO_CODES, CodeArray, FloatArray, IntArray
from ..mining.scope_array import ScopeArray
from ..mining.scope_codes import code_values, together
from ..mining.scope_texts import ScopeTexts
from .event_page import page_columns

# What a file of arrays holds besides them.
_TEXTS = ("pattern_keys", "action_categories", "dimensions", "values")


@dataclass(frozen=True, slots=True)
class EventColumns:
    """The events of a module in order of capture, one entry each but for the texts that their codes name.

    `trade` numbers the trades in the order in which they come up, `trade_high` and `trade_low` are the halves
    of their ids, `timestamp` and `action_at` microseconds
    since 1970 (the least integer where there is none), `trimmed` and `reached_s3` 1, 0 or -1 where it is
    not known. `codes` is events x dimensions.
    """

    trade: IntArray
    trade_high: Any
    trade_low: Any
    pattern: IntArray
    category: IntArray
    rr: FloatArray
    pnl_usd: FloatArray
    rpnl_pct: FloatArray
    timestamp: IntArray
    action_at: IntArray
    trimmed: Any
    reached_s3: Any
    codes: CodeArray
    pattern_keys: tuple[str, ...]
    action_categories: tuple[str, ...]
    dimensions: tuple[str, ...]
    values: tuple[tuple[Scalar, ...], ...]

    def __len__(self) -> int:
        return len(self.rr)

    def frame(self) -> pd.DataFrame:
        """The events as `mine_lessons` takes them; `trade_id` numbers the trades."""
        scope = ScopeArray.of_group(self.dimensions, self.values, self.codes)
        return pd.DataFrame(
            {
                "trade_id": self.trade,
                "scope": scope,
                "pattern_key": _named(self.pattern, self.pattern_keys),
                "action_category": _named(self.category, self.action_categories),
                **{name: getattr(self, name) for name in ("rr", "pnl_usd", "rpnl_pct")},
                **{name: _moments(getattr(self, name)) for name in ("timestamp", "action_at")},
                **{name: _flags(getattr(self, name)) for name in ("trimmed", "reached_s3")},
            },
            copy=False,
        )

    def arrays(self) -> dict[str, Any]:
        """All of it as arrays of numbers."""
        held = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _TEXTS}
        texts = json.dumps({name: getattr(self, name) for name in _TEXTS}).encode()
        return held | {"texts": np.frombuffer(texts, np.uint8)}


def from_arrays(arrays: Mapping[str, Any]) -> EventColumns:
    """What `arrays` gave. Raises `KeyError` or `ValueError` for anything else."""
    texts = json.loads(arrays["texts"].tobytes())
    held = {field.name: arrays[field.name] for field in fields(EventColumns) if field.name not in _TEXTS}
    return EventColumns(
        **held,
        pattern_keys=tuple(texts["pattern_keys"]),
        action_categories=tuple(texts["action_categories"]),
        dimensions=tuple(texts["dimensions"]),
        values=tuple(map(tuple, texts["values"])),
    )


def event_columns(pages: Iterable[Row]) -> EventColumns:
    """The events of some pages of `pm_strength_read_events`."""
    parts: dict[str, list[Any]] = {name: [np.empty(0, kind)] for name, kind in _KINDS.items()}
    names: dict[str, dict[str, int]] = {"pattern_key": {}, "action_category": {}}
    scopes = ScopeTexts()
    for page in pages:
        scopes.add(page["scope"])
        for name, known in names.items():
            numbers = [known.setdefault(text, len(known)) for text in page[name]]
            parts[_CODED[name]].append(np.array(numbers, np.int32))
        for name, values in page_columns(page):
            parts[name].append(values)
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    columns["trade"] = _numbers(columns["trade_high"], columns["trade_low"])
    dimensions, values, codes = scopes.column().only_table() or ((), (), NO_CODES)
    ordered = {}
    for name, known in names.items():
        ordered[name], place = _sorted(known)
        columns[_CODED[name]] = place.take(columns[_CODED[name]])
    return EventColumns(
        **columns,
        codes=codes,
        pattern_keys=ordered["pattern_key"],
        action_categories=ordered["action_category"],
        dimensions=tuple(dimensions),
        values=tuple(map(tuple, values)),
    )


def joined(before: EventColumns, after: EventColumns) -> EventColumns:
    """The events of both, the same as if they had been read at once."""
    if not len(after) or not len(before):
        return before if len(before) else after
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(before, name), getattr(after, name)]) for name in _KINDS
    }
    columns["trade"] = np.concatenate([before.trade, _numbers_after(before, after)])
    ordered: dict[str, Any] = {}
    for coded, name in (("pattern", "pattern_keys"), ("category", "action_categories")):
        known = dict.fromkeys((*getattr(before, name), *getattr(after, name)))
        ordered[name], _ = _sorted(known)
        rank = {text: at for at, text in enumerate(ordered[name])}
        columns[coded] = np.concatenate(
            [
                np.array([rank[text] for text in getattr(part, name)], np.int32).take(getattr(part, coded))
                for part in (before, after)
            ]
        )
    dimensions, values, codes = together(len(before) + len(after), _joined_codes(before, after))
    return EventColumns(**columns, **ordered, dimensions=dimensions, values=values, codes=codes)


def _numbers_after(before: EventColumns, after: EventColumns) -> IntArray:
    """The numbers of the trades of `after`: those that they have before, else the next ones."""
    # there are few of them, and numbering all events again would take most of the time that a run saves
    again = np.flatnonzero(pd.Series(before.trade_high).isin(after.trade_high).to_numpy())
    among = _numbers(
        np.concatenate([before.trade_high[again], after.trade_high]),
        np.concatenate([before.trade_low[again], after.trade_low]),
    )
    number_of = np.full(int(among.max()) + 1, -1, np.int64)
    number_of[among[: len(again)]] = before.trade[again]
    numbers: IntArray = number_of.take(among[len(again) :])
    new = numbers < 0
    numbers[new] = pd.factorize(among[len(again) :][new])[0] + int(before.trade.max()) + 1
    return numbers


def _joined_codes(before: EventColumns, after: EventColumns) -> Iterable[tuple[str, tuple[Scalar, ...], Any]]:
    for name in sorted({*before.dimensions, *after.dimensions}):
        held = [_column(part, name) for part in (before, after)]
        known, place = code_values([value for values, _ in held for value in values])
        first = len(held[0][0])
        # the last place is that of MISSING
        places = [np.append(place[:first], MISSING), np.append(place[first:], MISSING)]
        yield (
            name,
            known,
            np.concatenate([at.take(codes) for at, (_, codes) in zip(places, held, strict=True)]),
        )


def _column(part: EventColumns, name: str) -> tuple[Sequence[Scalar], Any]:
    if name not in part.dimensions:
        return (), np.full(len(part), MISSING)
    d = part.dimensions.index(name)
    return part.values[d], part.codes[:, d]


def _sorted(known: Mapping[str, Any]) -> tuple[tuple[str, ...], Any]:
    """Texts in order, and the place of each of them there."""
    texts = tuple(sorted(known))
    rank = {text: at for at, text in enumerate(texts)}
    return texts, np.array([rank[text] for text in known], np.int32)


# The columns of numbers, but for the codes of the dimensions.
_KINDS: dict[str, Any] = {
    **{"trade_high": np.uint64, "trade_low": np.uint64, "pattern": np.int32, "category": np.int32},
    **{"rr": np.float64, "pnl_usd": np.float64, "rpnl_pct": np.float64},
    **{"timestamp": np.int64, "action_at": np.int64, "trimmed": np.int8, "reached_s3": np.int8},
}
_CODED = {"pattern_key": "pattern", "action_category": "category"}


def _named(codes: Any, names: Sequence[str]) -> Any:
    categorical: Any = pd.Categorical
    return categorical.from_codes(codes, categories=list(names))


def _moments(microseconds: Any) -> Any:
    return pd.array(microseconds.view("datetime64[us]"), dtype=pd.DatetimeTZDtype("us", "UTC"), copy=False)


def _flags(values: Any) -> FloatArray:
    return np.where(values < 0, np.nan, values)


def _numbers(high: Any, low: Any) -> IntArray:
    """A number for each trade, equal for equal ids, in the order in which they come up."""
    numbers: IntArray = pd.factorize(high)[0].astype(np.int64)
    first = np.empty(int(numbers.max(initial=-1)) + 1, np.int64)
    # from the last to the first, which stays
    first[numbers[::-1]] = np.arange(len(numbers) - 1, -1, -1)
    if (low.take(first.take(numbers)) == low).all():
        return numbers
    # two trades have one half in common
    other: IntArray = pd.factorize(low)[0].astype(np.int64)
    trades: IntArray = pd.factorize(numbers * (int(other.max()) + 1) + other)[0].astype(np.int64)
    return trades
