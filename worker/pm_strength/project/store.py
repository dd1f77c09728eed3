"""The database as the rest of the package sees it: the one file that names tables and functions."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ..errors import TooMuchError
from ..json_values import Row
from ..settings import DEFAULT_MODULE
from .api import Api
from .connection import Connection
from .pages import Pages, filtered

TRADES_QUEUE = "pm_strength_trades"
JOBS_QUEUE = "pm_strength_jobs"

# Functions that return a page as one JSON value are not cut; these sizes keep a call well under 8 s.
READ_PAGE = 5000
EVENT_PAGE = 20_000
STAGE_PAGE = 10_000
LEAVING_PAGE = 4000
# Members of scopes a call.
BITS_PAGE = 5000
# Lessons, of the live set and the new one, that are compared in one call.
PART_ROWS = 200_000
SWEEP_PAGE = 5000
PURGE_PAGE = 20_000
EXPOSURE_PAGE = 200
REPLAY_PAGE = 500
FILL_PAGE = 2000


class Store:
    """Every query and every call that PM Strength makes; all of them are safe to repeat."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._pages = Pages(api)

    @classmethod
    def connect(cls, connection: Connection) -> Store:
        """A store on a project, with a service key for all but resolving."""
        return cls(Api(connection))

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    # strands

    def insert_strands(self, rows: Sequence[Row]) -> int:
        """Insert strands whose id is not there yet; returns how many were new."""
        inserted = self._api.table(
            lambda client: client.table("ad_strands").upsert(
                list(rows), on_conflict="id", ignore_duplicates=True, returning="representation"
            )
        )
        return len(inserted)

    # queues

    def claim_trades(self, batch_size: int, visibility_seconds: int, wait_seconds: int) -> list[Row]:
        """Lease messages that are due, waiting for some: [{msg_id, message}]."""
        messages: list[Row] = self._api.rpc(
            "pm_strength_claim_trades",
            batch_size=batch_size,
            visibility_seconds=visibility_seconds,
            wait_seconds=wait_seconds,
        )
        return messages

    def capture_plain(self, messages: Sequence[Row]) -> Row:
        """Capture the trades of messages that are plainly right: {events, done (message ids), trades}.

        Each message has a `strand_id`. Those of other trades are left as they are. Raises `TooMuchError`
        where the database cannot do it in one call.
        """
        captured: Row = self._api.rpc_page(
            "pm_strength_capture_plain",
            msg_ids=[entry["msg_id"] for entry in messages],
            strand_ids=[entry["message"]["strand_id"] for entry in messages],
        )
        return captured

    def read_trades(self, strand_ids: Sequence[str]) -> Row:
        """The strands and events of the trades of these strands: {read, strands, events}.

        `read` is how many of `strand_ids` fitted on the page, at least one. Raises `TooMuchError` where
        the database cannot read them in one call.
        """
        page: Row = self._api.rpc_page("pm_strength_read_trades", strand_ids=list(strand_ids))
        return page

    def weigh_trade(self, strand_id: str) -> Row:
        """How much the trade of a strand is: {strands, bytes on disk}."""
        weight: Row = self._api.rpc("pm_strength_weigh_trade", strand_id=strand_id)
        return weight

    def commit_trades(
        self,
        events: Sequence[Row],
        done_ids: Sequence[int],
        retries: Sequence[Row],
        dead: Sequence[Row],
    ) -> int:
        """Finish a batch in one transaction; returns the number of new events."""
        result = self._api.rpc(
            "pm_strength_commit_trades",
            events=list(events),
            done_ids=list(done_ids),
            retries=list(retries),
            dead=list(dead),
        )
        return int(result["events"])

    def sweep(self) -> Iterator[int]:
        """Queue what the trigger missed; yields the number found page by page.

        A page that takes too long is asked for again, smaller. A strand that takes too long alone, because
        of all that its trade holds, becomes a dead letter, and the sweep goes on.
        """
        for kind in ("position_closed", "pm_action"):
            skip = partial(self._set_aside, kind)
            for page in self._pages.walk("pm_strength_sweep", SWEEP_PAGE, skip, kind=kind):
                yield int(page["found"])

    def _set_aside(self, kind: str, after_id: str, error: TooMuchError) -> str:
        strand_id = self._api.rpc("pm_strength_set_aside", kind=kind, after_id=after_id)
        if strand_id is None:
            # its trade is small: something else holds the database up
            raise error
        return str(strand_id)

    def enqueue_job(self, job: str, module: str = DEFAULT_MODULE) -> int:
        """Queue a sweep, or a mine or materialize job of a module; returns its message id."""
        return int(self._api.rpc("pm_strength_enqueue_job", job=job, module=module))

    def read_job(self, visibility_seconds: int) -> Row | None:
        """Queue what is due by the schedule, then read one job: {msg_id, read_ct, message}."""
        job: Row | None = self._api.rpc("pm_strength_read_job", visibility_seconds=visibility_seconds)
        return job

    def extend(self, queue: str, msg_ids: Sequence[int], visibility_seconds: int) -> int:
        """Keep messages invisible for `visibility_seconds` from now; returns how many are left."""
        return int(
            self._api.rpc(
                "pm_strength_extend",
                queue=queue,
                msg_ids=list(msg_ids),
                visibility_seconds=visibility_seconds,
            )
        )

    def archive(self, queue: str, msg_ids: Sequence[int]) -> int:
        """Take messages that are done off a queue; returns how many were there."""
        return int(self._api.rpc("pm_strength_archive", queue=queue, msg_ids=list(msg_ids)))

    def dead_letter(self, queue: str, msg_id: int, reason: str) -> None:
        """Move a message to the dead letters."""
        self._api.rpc("pm_strength_dead_letter", queue=queue, msg_id=msg_id, reason=reason)

    def requeue(self, letter_ids: Sequence[int] | None = None) -> int:
        """Send open dead letters (all without ids) again; returns how many."""
        ids = None if letter_ids is None else list(letter_ids)
        return int(self._api.rpc("pm_strength_requeue", letter_ids=ids))

    def queue_status(self) -> Row:
        """{now, queues: [{queue, depth, due, oldest_age_seconds}], dead_letters}; `now` by the database."""
        status: Row = self._api.rpc("pm_strength_queue_status")
        return status

    def dead_letters(self) -> list[Row]:
        """All open dead letters, oldest first."""
        return list(
            self._pages.rows(
                lambda client: (
                    client.table("pm_dead_letters")
                    .select("*")
                    .is_("requeued_at", "null")
                    .is_("resolved_at", "null")
                )
            )
        )

    # settings

    def settings_row(self, module: str) -> Row:
        """The settings that a module's row holds, as they are; {} without a row."""
        rows = self._api.table(
            lambda client: client.table("learning_settings").select("settings").eq("module", module)
        )
        return rows[0]["settings"] if rows else {}

    def write_settings(self, module: str, settings: Mapping[str, Any]) -> None:
        """Replace a module's settings; keys left out take their defaults."""
        row = {"module": module, "settings": dict(settings)}
        self._api.table(lambda client: client.table("learning_settings").upsert(row))

    def modules(self) -> list[str]:
        """The modules that are learned for: pm, and those with a row of settings."""
        rows = self._api.table(lambda client: client.table("learning_settings").select("module"))
        return sorted({DEFAULT_MODULE, *(row["module"] for row in rows)})

    # runs

    def begin_run(
        self, module: str, kind: str, settings: Mapping[str, Any], role: str = "live"
    ) -> Row | None:
        """Start a run of a module: {run_id, horizon, ...}; None if there are no lessons to materialize.

        `role` is `live`, or `shadow` for the profile that is resolved beside the live one.
        """
        run: Row | None = self._api.rpc(
            "pm_strength_begin_run",
            module=module,
            kind=kind,
            settings=dict(settings),
            request_id=str(uuid.uuid4()),
            role=role,
        )
        return run

    def fail_run(self, run_id: int, error: str) -> None:
        """Mark a run as failed; what it staged is removed later."""
        self._api.rpc("pm_strength_fail_run", run_id=run_id, error=error)

    def publish_run(self, run_id: int, active: int | None = None, summary: Row | None = None) -> str:
        """Make a run's set the live one: 'published', 'superseded' or 'outdated'.

        `active` is how many lessons a mining run has staged; `summary` is for its row of `learning_runs`.
        """
        return str(
            self._api.rpc("pm_strength_publish_run", run_id=run_id, active=active, summary=summary or {})
        )

    def purge_sets(self) -> Iterator[int]:
        """Remove sets that nobody reads any more; yields the rows removed page by page."""
        while removed := int(self._api.rpc("pm_strength_purge_sets", page_size=PURGE_PAGE)):
            yield removed

    def prune(self) -> Iterator[int]:
        """Remove what is past its time (`pm_retention`); yields the rows removed page by page."""
        while removed := int(self._api.rpc("pm_strength_prune", page_size=PURGE_PAGE)):
            yield removed

    def repair(self) -> list[str]:
        """Make queues that are missing, as after a restore; returns their names."""
        made: list[str] = self._api.rpc("pm_strength_repair")["queues_made"]
        return made

    def fill_action_times(self) -> Iterator[int]:
        """Give events without `action_at` that of their strand; yields how many got one page by page."""
        for page in self._pages.walk("pm_strength_fill_action_at", FILL_PAGE, _give_up):
            yield int(page["filled"])

    def runs(self, limit: int = 20, module: str | None = None) -> list[Row]:
        """The newest runs of a module, or of all, first."""
        rows: list[Row] = self._api.table(
            lambda client: (
                filtered(client.table("learning_runs"), module=module).order("id", desc=True).limit(limit)
            )
        )
        return rows

    def published_runs(self, modules: Iterable[str]) -> list[Row]:
        """The last published run of each kind of each module, as far as there are any."""
        return [
            run
            for module in modules
            for kind in ("mine", "materialize")
            for run in self._newest_run(kind, module)
        ]

    # events and lessons

    def read_events(self, module: str, after_id: int, up_to_id: int) -> Iterator[Row]:
        """The events of a module with after_id < id <= up_to_id, in packed pages in order of capture."""
        last: int | None = after_id
        while last is not None:
            page: Row = self._pages.page(
                "pm_strength_read_events", EVENT_PAGE, module=module, after_id=last, up_to_id=up_to_id
            )
            last = page["last_id"]
            if last is not None:
                yield page

    def check_events(self, module: str, up_to_id: int, count: bool = True) -> Row:
        """What tells whether the events of a module up to an id are those of before: {epoch, events, tail}.

        Without `count` `events` is None. Raises `TooMuchError` where they are too many to count in a call.
        """
        found: Row = self._api.rpc_page(
            "pm_strength_check_events", module=module, up_to_id=up_to_id, with_count=count
        )
        return found

    def newest_event(self, action_category: str) -> Row | None:
        """The event of a category that was captured last; None if there is none."""
        rows = self._api.table(
            lambda client: (
                client.table("pattern_trade_events")
                .select("*")
                .eq("action_category", action_category)
                .order("id", desc=True)
                .limit(1)
            )
        )
        return rows[0] if rows else None

    def open_set(self, run_id: int, row_count: int, baseline: float | None = None) -> int:
        """Prepare a run's set for about so many rows; returns how many lessons are to be staged or read."""
        return int(
            self._api.rpc("pm_strength_open_set", run_id=run_id, row_count=row_count, baseline=baseline)
        )

    def scope_bits(
        self, members: Sequence[bytes], groups: Sequence[tuple[str, str]]
    ) -> tuple[list[int], list[int]]:
        """The terms of members, JSON objects of one dimension, and the bits of groups."""
        terms: list[int] = []
        bits: list[int] = []
        for start in range(0, max(len(members), len(groups)), BITS_PAGE):
            page: Row = self._api.rpc(
                "pm_strength_scope_bits",
                members=[json.loads(member) for member in members[start : start + BITS_PAGE]],
                groups=groups[start : start + BITS_PAGE],
            )
            terms += page["members"]
            bits += page["groups"]
        return terms, bits

    def stage_lessons(self, run_id: int, columns: Row) -> int:
        """Add lessons to a run's set, as `LessonColumns.part` gives them; returns how many were new."""
        return int(self._api.rpc("pm_strength_stage_lessons", run_id=run_id, **columns))

    def stage_retired(self, run_id: int) -> Iterator[int]:
        """Carry the live lessons that a run did not find over as retired; yields how many parts are left."""
        part, left = 0, 1
        while left > 0:
            left = int(
                self._api.rpc("pm_strength_stage_retired", run_id=run_id, part=part, part_rows=PART_ROWS)
            )
            part += 1
            yield left

    def index_set(self, run_id: int) -> Iterator[str]:
        """Make the indexes of a run's set, as far as its shelf lacks them; yields after each."""
        while index := self._api.rpc("pm_strength_index_set", run_id=run_id):
            yield index

    def lessons(self, **filters: Any) -> list[Row]:
        """The lessons of the last run, filtered as `pages.filtered` says."""
        return self._pages.whole(
            lambda client: filtered(client.table("learning_lessons"), **filters),
            partial(self._published, "mine"),
        )

    def strongest_lessons(self, limit: int, by: str = "edge_raw", **filters: Any) -> list[Row]:
        """The lessons with the highest and the lowest of a statistic, where it is known: `limit` of each."""
        column = by if by == "edge_raw" else f"stats->{by}"
        return self._pages.extremes("learning_lessons", column, "n", limit, filters)

    # overrides

    def stage_overrides(self, run_id: int, first: int, count: int) -> Row:
        """Make the overrides of `count` lessons of a run from number `first` on: {looked_at, overrides}.

        `overrides` is how many the run's set has then.
        """
        looked_at, to, page = 0, first, {"overrides": 0}
        while to < first + count:
            page = self._pages.page(
                "pm_strength_stage_overrides", first + count - to, run_id=run_id, first=to
            )
            looked_at += page["looked_at"]
            if page["to"] == to:
                break
            to = page["to"]
        return {"looked_at": looked_at, "overrides": page["overrides"]}

    def stage_leaving(self, run_id: int) -> Iterator[None]:
        """Carry overrides that the run did not make over, nearer to 1; yields after each page."""
        after: int | None = 0
        while after is not None:
            after = self._api.rpc(
                "pm_strength_stage_leaving", run_id=run_id, after_id=after, page_size=LEAVING_PAGE
            )
            yield

    def weigh_exposure(self, run_id: int, actions: int) -> Iterator[Row]:
        """What a run's overrides make of the newest sized actions, page by page: {actions, below, above}."""
        before: int | None = None
        while actions > 0:
            page: Row = self._pages.page(
                "pm_strength_weigh_exposure", min(EXPOSURE_PAGE, actions), run_id=run_id, before_id=before
            )
            yield page
            before = page["before_id"]
            if before is None:
                return
            actions -= page["actions"]

    def overrides(self, **filters: Any) -> list[Row]:
        """The overrides in force, filtered as `pages.filtered` says."""
        return self._pages.whole(
            lambda client: filtered(client.table("pm_overrides"), **filters),
            partial(self._published, "materialize"),
        )

    def strongest_overrides(self, limit: int, **filters: Any) -> list[Row]:
        """The overrides with the highest and with the lowest multiplier: at most `limit` of each."""
        return self._pages.extremes("pm_overrides", "multiplier", "confidence_score", limit, filters)

    def override_page(
        self,
        set_id: int | None = None,
        after_id: int = 0,
        page_size: int = READ_PAGE,
        module: str = DEFAULT_MODULE,
    ) -> Row:
        """{set_id, gone, run_id, as_of, settings, overrides}; page_size 0 asks for the version alone."""
        page: Row = self._pages.page(
            "pm_strength_read_overrides", page_size, set_id=set_id, after_id=after_id, module=module
        )
        return page

    def override_rows(self, set_id: int, module: str = DEFAULT_MODULE) -> Iterator[Row]:
        """The overrides of a set; none from where on it is gone."""
        after = 0
        while rows := self.override_page(set_id, after, READ_PAGE, module).get("overrides"):
            yield from rows
            after = rows[-1]["id"]

    def set_at(self, at: str, module: str = DEFAULT_MODULE, role: str = "live") -> Row:
        """A role's set at a time: {set_id, run_id, as_of, profile, exposure_scale, settings}."""
        found: Row = self._api.rpc("pm_strength_set_at", at=at, module=module, role=role)
        return found

    def resolve_at(
        self,
        at: str,
        pattern_key: str,
        action_category: str,
        scope: Mapping[str, Any],
        match_limit: int | None = 20,
        module: str = DEFAULT_MODULE,
        role: str = "live",
    ) -> Row:
        """What `resolve` answered at a time by the overrides of a role, and their set: {..., set_id}."""
        resolution: Row = self._api.rpc(
            "resolve_pm_strength_at",
            at=at,
            pattern_key=pattern_key,
            action_category=action_category,
            scope=dict(scope),
            match_limit=match_limit,
            module=module,
            role=role,
        )
        return resolution

    def replay(self, requests: Sequence[Row]) -> Iterator[Row]:
        """What each role said at the times of requests: {live, shadow}, None where it is not known.

        A request is {at, pattern_key, action_category, scope, module}.
        """
        done = 0
        while done < len(requests):
            answers: list[Row] = self._api.rpc(
                "pm_strength_replay", requests=list(requests[done : done + REPLAY_PAGE])
            )
            yield from answers
            done += len(answers)

    def override_sets(self, limit: int, module: str) -> list[Row]:
        """The newest versions of a module's overrides, those that went live last first."""
        rows: list[Row] = self._api.table(
            lambda client: (
                client.table("pm_override_sets")
                .select("*")
                .eq("module", module)
                .order("published_at", desc=True)
                .order("id", desc=True)
                .limit(limit)
            )
        )
        return rows

    def rollback(self, set_id: int) -> Row:
        """Make a kept set of overrides live again, and pin it: {set_id, module}."""
        done: Row = self._api.rpc("pm_strength_rollback", set_id=set_id)
        return done

    def unpin(self, module: str) -> int | None:
        """Let runs publish overrides again; the set that was pinned, or None."""
        set_id: int | None = self._api.rpc("pm_strength_unpin", module=module)
        return set_id

    def resolve(
        self,
        pattern_key: str,
        action_category: str,
        scope: Mapping[str, Any],
        match_limit: int | None = 20,
        module: str = DEFAULT_MODULE,
        trade_id: str | None = None,
    ) -> Row:
        """What the database resolves, as `resolve_pm_strength` returns it."""
        resolution: Row = self._api.rpc(
            "resolve_pm_strength",
            pattern_key=pattern_key,
            action_category=action_category,
            scope=dict(scope),
            match_limit=match_limit,
            module=module,
            trade_id=trade_id,
        )
        return resolution

    def resolve_batch(self, requests: Sequence[Mapping[str, Any]], match_limit: int | None = 0) -> list[Row]:
        """What the database resolves for up to 1,000 requests, in their order.

        A request is {pattern_key, action_category, scope}, and may name its strategy, module and trade_id.
        """
        answers: list[Row] = self._api.rpc(
            "resolve_pm_strength_batch", requests=requests, match_limit=match_limit
        )
        return answers

    def _published(self, kind: str) -> int:
        newest = self._newest_run(kind)
        return int(newest[0]["id"]) if newest else 0

    def _newest_run(self, kind: str, module: str | None = None) -> list[Row]:
        rows: list[Row] = self._api.table(
            lambda client: (
                filtered(client.table("learning_runs"), module=module, status="succeeded")
                .eq("kind", kind)
                .eq("role", "live")
                .order("id", desc=True)
                .limit(1)
            )
        )
        return rows


def _give_up(_after_id: str, error: TooMuchError) -> str:
    raise error
