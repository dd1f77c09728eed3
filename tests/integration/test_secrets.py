"""No key in a log, an error or a repr, whatever goes wrong and however much is logged."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pm_strength.client.strength import StrengthClient
from pm_strength.errors import StoreError
from pm_strength.local.keys import StackKeys, role_token
from pm_strength.project.api import Api
from pm_strength.project.connection import Connection
from pm_strength.project.store import Store
from tests.benchmarks.capture_data import copy_strands, trade_rows

from .conftest import Database

PROGRAM = Path(sys.executable).parent / "pm-strength"
MARKER = "MARKER0123456789abcdefMARKER"
MARKED = {
    "new key": f"sb_secret_{MARKER}",
    "legacy key": role_token(MARKER * 2, "service_role", {"note": MARKER}),
}


def parts_of(key: str) -> list[str]:
    """What must not be seen: the key, and each long part of it."""
    return [key, *(part for part in key.replace("sb_secret_", "").split(".") if len(part) > 12)]


def run_worker(url: str, key: str, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUPABASE_")}
    ended = subprocess.run(
        [str(PROGRAM), "--verbose", *arguments],
        env=environment | {"SUPABASE_URL": url, "SUPABASE_SECRET_KEY": key},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return ended.stdout + ended.stderr


def test_a_worker_at_debug_level_with_the_right_key(
    variables: dict[str, str], db: Database, clean: None
) -> None:
    copy_strands(db, trade_rows(20))
    db.execute(
        "insert into ad_strands (id, module, kind, trade_id, content) "
        "values ('bad', 'pm', 'position_closed', 'x', %s)",
        (f'{{"trade_summary": {{"rr": "{variables["SECRET_KEY"]}"}}}}',),
    )
    for key in (variables["SECRET_KEY"], variables["SERVICE_ROLE_KEY"]):
        said = run_worker(variables["API_URL"], key, "worker", "--drain")
        assert "captured" in said or "handled" in said
        for secret in (*parts_of(key), variables["JWT_SECRET"]):
            assert secret not in said
        said = run_worker(variables["API_URL"], key, "learn")
        assert all(secret not in said for secret in parts_of(key))


@pytest.mark.parametrize("kind", MARKED)
@pytest.mark.parametrize(
    "url",
    [
        *("API_URL", f"http://user:{MARKER}@127.0.0.1:9"),
        # it is tried again and again
        pytest.param("http://127.0.0.1:9", marks=pytest.mark.slow),
    ],
)
def test_a_key_that_is_wrong_is_in_no_error(variables: dict[str, str], kind: str, url: str) -> None:
    key = MARKED[kind]
    said = run_worker(variables.get(url, url), key, "queue")
    assert "error" in said.lower()
    for secret in (*parts_of(key), MARKER):
        assert secret not in said


@pytest.mark.parametrize("kind", MARKED)
def test_no_repr_shows_a_key(variables: dict[str, str], kind: str, caplog: pytest.LogCaptureFixture) -> None:
    key = MARKED[kind]
    connection = Connection(variables["API_URL"], key)
    api = Api(connection, tries=1)
    shown = [repr(connection), str(connection), repr(api), repr(Store(api)), repr(StackKeys.generate())]
    with caplog.at_level(logging.DEBUG, logger="pm_strength"):
        with pytest.raises(StoreError) as caught:
            api.rpc("pm_strength_queue_status")
        with StrengthClient(variables["API_URL"], key) as client:
            shown += [repr(client), str(client.resolve("p", "entry", {}))]
    shown += [str(caught.value), repr(caught.value), caplog.text]
    api.close()
    for secret in (*parts_of(key), MARKER):
        assert all(secret not in text for text in shown)
    assert "jwt_secret=" not in repr(StackKeys.generate())
