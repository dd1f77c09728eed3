"""Which project the environment names."""

import traceback
from pathlib import Path
from typing import Any

import pytest

from pm_strength import StrengthClient
from pm_strength.errors import ConnectionSettingsError
from pm_strength.project.connection import Connection, connection_from, environment

URL = "https://abc.supabase.co"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"SUPABASE_URL": "  "}, None),
        ({"SUPABASE_URL": URL, "SUPABASE_SECRET_KEY": "sb_secret_1"}, (URL, "sb_secret_1")),
        ({"SUPABASE_URL": URL + "/", "SUPABASE_SERVICE_ROLE_KEY": "ey"}, (URL, "ey")),
        (
            {"SUPABASE_URL": URL, "SUPABASE_SECRET_KEY": "new", "SUPABASE_SERVICE_ROLE_KEY": "old"},
            (URL, "new"),
        ),
        (
            {"SUPABASE_URL": URL, "SUPABASE_SECRET_KEY": "", "SUPABASE_SERVICE_ROLE_KEY": "old"},
            (URL, "old"),
        ),
    ],
)
def test_the_project(variables: dict[str, str], expected: tuple[str, str] | None) -> None:
    connection = connection_from(variables)
    assert (connection and (connection.url, connection.key)) == expected


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"SUPABASE_URL": URL}, "SUPABASE_SECRET_KEY"),
        ({"SUPABASE_SECRET_KEY": "sb_secret_1"}, "SUPABASE_URL"),
        ({"SUPABASE_URL": "abc.supabase.co", "SUPABASE_SECRET_KEY": "k"}, "SUPABASE_URL"),
        ({"SUPABASE_URL": "ftp://abc", "SUPABASE_SECRET_KEY": "k"}, "SUPABASE_URL"),
    ],
)
def test_half_a_project_is_an_error_that_names_the_rest(variables: dict[str, str], named: str) -> None:
    with pytest.raises(ConnectionSettingsError, match=named):
        connection_from(variables)


def test_the_key_is_never_shown() -> None:
    connection = Connection(URL, "sb_secret_marker")
    assert "marker" not in repr(connection)
    assert "marker" not in str(connection)


@pytest.mark.parametrize("around", ["{}\n", " {}", "\t{}\r\n"])
def test_whitespace_around_is_dropped(around: str) -> None:
    connection = Connection(around.format(URL + "/"), around.format("sb_secret_1"))
    assert (connection.url, connection.key) == (URL, "sb_secret_1")


KEYS = [
    "",
    " ",
    "MARKER\nMARKER",
    "MARKER key",
    "MARKERé",
    "\ufeffMARKER",
    "MARKER\x00",
    "“MARKER”",
    None,
    b"MARKER",
]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_a_key_that_no_header_carries_is_refused_and_not_shown(key: Any) -> None:
    for build in (Connection, StrengthClient):
        with pytest.raises(ConnectionSettingsError, match=r"^SUPABASE_SECRET_KEY: expected ") as caught:
            build(URL, key)
        assert "MARKER" not in "".join(
            traceback.TracebackException.from_exception(caught.value, limit=0).format()
        )


URLS = [
    "",
    "MARKER.supabase.co",
    "sb_secret_MARKER",
    "ftp://MARKER",
    "https://",
    "https://:443",
    "https://user:MARKER@abc.supabase.co",
    "https://MARKER@abc.supabase.co",
    "https://abc.supabase.co\\@MARKER",
    "https://abc.supabase.co?apikey=MARKER",
    "https://abc.supabase.co/#MARKER",
    "https://abc.supabase.co\nMARKER",
    "https://abc.supabase.co\x00MARKER",
    "https://abc supabase.co/MARKER",
    "https://abc.supabase.co:MARKER",
    "https://abc.supabase.co:99999/MARKER",
    "https://[MARKER",
    None,
]


@pytest.mark.parametrize("url", URLS, ids=repr)
def test_an_address_that_is_not_one_is_refused_and_not_shown(url: Any) -> None:
    for build in (Connection, StrengthClient):
        with pytest.raises(
            ConnectionSettingsError, match=r"^SUPABASE_URL: expected an address like "
        ) as caught:
            build(url, "sb_secret_1")
        assert "MARKER" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url", [URL, "http://127.0.0.1:54321", "http://[::1]:8000", "https://a.test/supabase"]
)
def test_an_address_may_have_a_port_and_a_path(url: str) -> None:
    assert Connection(url + "/", "k").url == url


def test_the_environment_wins_over_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("SUPABASE_URL=https://from.dotenv\nSUPABASE_SECRET_KEY=from-dotenv\n")
    monkeypatch.setenv("SUPABASE_URL", "https://from.environment")
    monkeypatch.delenv("SUPABASE_SECRET_KEY", raising=False)
    variables = environment(dotenv)
    assert variables["SUPABASE_URL"] == "https://from.environment"
    assert variables["SUPABASE_SECRET_KEY"] == "from-dotenv"


def test_dotenv_is_read_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("SUPABASE_URL=https://here\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUPABASE_URL", raising=False)
    assert environment()["SUPABASE_URL"] == "https://here"
