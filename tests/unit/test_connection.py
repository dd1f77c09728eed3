"""Which project the environment names."""

from pathlib import Path

import pytest

from pm_strength.connection import Connection, connection_from, environment
from pm_strength.errors import ConnectionSettingsError

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
