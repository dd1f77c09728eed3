"""Rows page by page: no answer holds a whole table, and one that is too much is asked for again, smaller."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from ..errors import AnswerTooLargeError, TooMuchError
from ..json_values import Row
from .api import Api

# Builds a query on the supabase-py client.
Query = Callable[[Any], Any]

# The API cuts an answer of rows at 1,000 on a hosted project.
ROW_PAGE = 1000
# How much smaller the next try is.
SHRINK = 8


class Pages:
    """Reads a project's functions and tables page by page."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def page(self, function: str, page_size: int, **params: Any) -> Any:
        """A page of a function; a smaller one where that takes too long, or is too long.

        Raises `TooMuchError` or `AnswerTooLargeError` where one row alone is too much.
        """
        while True:
            try:
                return self._api.rpc_page(function, **params, page_size=page_size)
            except (TooMuchError, AnswerTooLargeError):
                if page_size <= 1:
                    raise
                page_size = max(1, page_size // SHRINK)

    def walk(
        self,
        function: str,
        page_size: int,
        skip: Callable[[str, TooMuchError], str],
        **params: Any,
    ) -> Iterator[Row]:
        """All pages of a function that says with `after_id` where it goes on, and with null that it ends.

        Pages shrink as in `page`, and grow again. What takes too long alone is `skip`ped: it is told where
        the walk was, and says where it goes on.
        """
        after: str | None = ""
        size = page_size
        while after is not None:
            try:
                page = self._api.rpc_page(function, **params, after_id=after, page_size=size)
            except TooMuchError as error:
                if size > 1:
                    size = max(1, size // SHRINK)
                else:
                    after = skip(after, error)
                continue
            after = page["after_id"]
            size = min(page_size, size * SHRINK)
            yield page

    def rows(self, query: Query) -> Iterator[Row]:
        """All rows of a query in order of id; a project may cut an answer shorter than asked for."""
        after = 0
        while page := self._api.table(partial(_following, query, after)):
            yield from page
            after = page[-1]["id"]

    def whole(self, query: Query, version: Callable[[], int]) -> list[Row]:
        """All rows of a query on one version of the data: read again if that changed between two pages."""
        before = version()
        while True:
            rows = list(self.rows(query))
            after = version()
            if before == after:
                return rows
            before = after

    def extremes(
        self, table: str, column: str, weight: str, limit: int, filters: Mapping[str, Any]
    ) -> list[Row]:
        """The rows with the highest and the lowest values of a column; of equal ones, those of most weight.

        At most `limit` rows of each end, filtered as `filtered` says.
        """
        found: dict[int, Row] = {}
        for descending in (True, False):
            query = partial(_ordered, table, column, weight, descending, min(limit, ROW_PAGE), filters)
            found |= {row["id"]: row for row in self._api.table(query)}
        return list(found.values())


def filtered(
    table: Any,
    *,
    module: str | None = None,
    pattern_key: str | None = None,
    action_category: str | None = None,
    scope: Mapping[str, Any] | None = None,
    status: str | None = None,
) -> Any:
    """Rows of a module, of a group, of a status, and those whose scope_subset holds all of `scope`."""
    query = table.select("*")
    for column, value in (
        ("module", module),
        ("pattern_key", pattern_key),
        ("action_category", action_category),
        ("status", status),
    ):
        if value is not None:
            query = query.eq(column, value)
    if scope:
        query = query.filter("scope_subset", "cs", json.dumps(scope))
    return query


def _following(query: Query, after_id: int, client: Any) -> Any:
    return query(client).gt("id", after_id).order("id").limit(ROW_PAGE)


def _ordered(
    table: str,
    column: str,
    weight: str,
    descending: bool,
    limit: int,
    filters: Mapping[str, Any],
    client: Any,
) -> Any:
    query = filtered(client.table(table), **filters)
    if "->" in column:
        # a null of JSON would come before all numbers
        query = query.not_.is_(column.replace("->", "->>"), "null")
    return query.order(column, desc=descending).order(weight, desc=True).order("id").limit(limit)
