"""A column of scopes from JSON texts has what parsing each text gives."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_strength.mining.scope_codes import code_scopes
from pm_strength.mining.scope_members import members_of
from pm_strength.mining.scope_texts import ScopeTexts

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["a", "b", 'q"', "\\", "ü", ", ", "}", "{", "", "x y"])
SCOPES = st.lists(st.dictionaries(NAMES, VALUES, max_size=5), min_size=1, max_size=12)


@settings(deadline=None, max_examples=300)
@given(SCOPES, st.booleans(), st.sampled_from([None, (",", ":"), (" , ", " : ")]), st.integers(1, 5))
def test_texts_are_coded_as_what_they_mean(
    scopes: list[dict[str, Any]], ascii_only: bool, separators: tuple[str, str] | None, page: int
) -> None:
    texts = [json.dumps(scope, ensure_ascii=ascii_only, separators=separators) for scope in scopes]
    column = ScopeTexts()
    for at in range(0, len(texts), page):
        column.add("\n".join(texts[at : at + page]))
    wanted = code_scopes(pd.Series(scopes, dtype=object), None)
    got = code_scopes(pd.Series(column.column()), None)
    assert got[:2] == wanted[:2]
    assert got[2].tolist() == wanted[2].tolist()
    assert got[2].dtype == wanted[2].dtype


def test_a_line_that_is_no_object_has_no_members() -> None:
    lines = ['{"a": 1}', '[1, {"a": 2}, 3]', '"{"', "", "null", "{}", '{"a": 1, "b": [{"c": 1}, "}"]}']
    counts, members, spans = members_of(np.frombuffer("\n".join(lines).encode(), np.uint8))
    assert counts.tolist() == [1, 0, 0, 0, 0, 0, 2]
    assert members.tolist() == [0, 0, 1]
    assert len(spans) == 2


def test_a_few_rows_have_the_values_that_they_hold() -> None:
    column = ScopeTexts()
    column.add("\n".join(json.dumps({"id": number, "even": number % 2 == 0}) for number in range(5000)))
    scopes = pd.Series(column.column())
    assert scopes.iloc[7] == {"id": 7, "even": False}
    names, values, codes = code_scopes(scopes[[3, 5, 3]], ("id", "even", "none"))
    assert (names, values) == (("even", "id"), ((False,), (3, 5)))
    assert codes.tolist() == [[0, 0], [0, 1], [0, 0]]
