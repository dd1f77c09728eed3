"""What a run takes, from measured constants: the model of docs/scale.md. `make bench-learn` prints both.

The constants are of 2 cores that database and worker share. On another machine all of them move together.
"""

from __future__ import annotations

# Seconds of a run, whatever its size.
STEADY = 0.8
# Microseconds: to read an event and keep it, to load one that was kept, to code it.
READ, LOAD, CODE = 6.4, 0.7, 1.2
# Microseconds of a lesson: to mine it, to send it, to index it; and of an override, with its indexes.
MINE, SEND, INDEX, OVERRIDE = 2.2, 8.5, 1.5, 5.5
# Microseconds of Postgres to capture a trade of five actions.
CAPTURE = 250.0
# Bytes on disk: of an event with its indexes, one kept beside the worker, a lesson, an override.
EVENT_BYTES, KEPT_BYTES, LESSON_BYTES, OVERRIDE_BYTES = 404, 80, 356, 267
# Megabytes of a worker that mines, and kilobytes more for each event.
WORKER_MB, WORKER_KB_AN_EVENT = 310, 0.8


def run_seconds(events: int, new: int, lessons: int, overrides: int) -> float:
    """Seconds of `learn` with `new` of the events not read before."""
    micro = (
        new * READ
        + (events - new) * LOAD
        + events * CODE
        + lessons * (MINE + SEND + INDEX)
        + overrides * OVERRIDE
    )
    return STEADY + micro / 1e6
