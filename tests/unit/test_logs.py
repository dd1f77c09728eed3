"""Logs are one JSON object a line, and hold no secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from pm_strength.service import logs

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    package_level = logging.getLogger("pm_strength").level
    stream = io.StringIO()
    logs.configure(stream)
    yield stream
    root.handlers, root.level = before, level
    logging.getLogger("pm_strength").setLevel(package_level)


def test_a_line_is_json_with_its_fields(stream: io.StringIO) -> None:
    logging.getLogger("pm_strength.worker").info("captured", extra={"events": 5, "nan": float("nan")})
    entry = json.loads(stream.getvalue())
    assert (entry["message"], entry["level"], entry["logger"]) == ("captured", "info", "pm_strength.worker")
    assert (entry["events"], entry["nan"]) == (5, "nan")
    assert entry["time"].endswith("+00:00")


def test_other_packages_only_warn(stream: io.StringIO) -> None:
    logging.getLogger("httpx").info("GET https://x?apikey=secret")
    logging.getLogger("httpx").warning("slow")
    assert [json.loads(text)["message"] for text in stream.getvalue().splitlines()] == ["slow"]


@pytest.mark.parametrize("secret", ["sb_secret_abcDEF-123_x", JWT, "user:hunter2"])
def test_secrets_are_cut_out(stream: io.StringIO, secret: str) -> None:
    log = logging.getLogger("pm_strength")
    at = f"postgresql://{secret}@host/db" if ":" in secret else secret
    log.info("with %s inside", at, extra={"key": at, "nested": {"deep": [at], at: 1}})
    try:
        raise ValueError(at)
    except ValueError:
        log.exception("failed")
    assert secret not in stream.getvalue()
    assert stream.getvalue().count("[redacted]") >= 5
    record = logging.makeLogRecord({"msg": at, "args": (), "key": at, "nested": {at: [at]}})
    assert secret not in logs.TerminalFormatter().format(record)


def test_a_terminal_gets_short_lines() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    record = logging.makeLogRecord({"name": "pm_strength", "msg": "dead letter", "reason": "rr: \x1b[2J"})
    text = logs.TerminalFormatter().format(record)
    assert "dead letter reason=" in text
    assert "\x1b[2J" not in text
    record = logging.makeLogRecord({"msg": "dead letter", "reason": "rr:\x1b[2J"})
    assert "\x1b[2J" not in logs.TerminalFormatter().format(record)
