"""What the cache gives back is what was kept, or nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from pm_strength.files.event_cache import EventCache, cache_of

URL = "http://127.0.0.1:1"
ARRAYS = {"a": np.arange(5), "b": np.array([[1.5, np.nan]]), "c": np.empty((0, 3), np.int16)}


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_it_gives_back_what_was_kept(tmp_path: Path) -> None:
    cache = EventCache(tmp_path / "made" / "here", URL, "key")
    assert cache.load("pm") is None
    cache.save("pm", ARRAYS)
    held = cache.load("pm")
    assert held is not None
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(held[name], array)
        assert held[name].dtype == array.dtype
    assert cache.load("dm") is None
    path = only_file(tmp_path / "made" / "here")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert b"key" not in path.name.encode()


def test_another_project_and_another_key_find_nothing(tmp_path: Path) -> None:
    EventCache(tmp_path, URL, "key").save("pm", ARRAYS)
    assert EventCache(tmp_path, URL, "other key").load("pm") is None
    assert EventCache(tmp_path, URL + "2", "key").load("pm") is None
    assert EventCache(tmp_path, URL, "key").load("pm") is not None


def test_a_file_that_was_cut_or_changed_is_not_used(tmp_path: Path) -> None:
    cache = EventCache(tmp_path, URL, "key")
    cache.save("pm", ARRAYS)
    path = only_file(tmp_path)
    whole = path.read_bytes()
    for content in (
        *(b"", whole[:10], whole[:-1], whole[: len(whole) // 2], whole + b"x"),
        *(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 97)),
    ):
        path.write_bytes(content)
        assert cache.load("pm") is None
    path.write_bytes(whole)
    assert cache.load("pm") is not None
    # the file of another name, put in its place
    cache.save("dm", ARRAYS)
    other = next(found for found in tmp_path.iterdir() if found != path)
    other.replace(path)
    assert cache.load("pm") is None


def test_where_nothing_can_be_kept_nothing_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = EventCache(tmp_path / "file", URL, "key")
    cache.save("pm", ARRAYS)
    assert cache.load("pm") is None
    assert "the cache cannot be written" in caplog.text


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_of({"PM_STRENGTH_CACHE": ""}, URL, "key") is None
    named = cache_of({"PM_STRENGTH_CACHE": str(tmp_path / "named")}, URL, "key")
    home = cache_of({"XDG_CACHE_HOME": str(tmp_path / "home")}, URL, "key")
    for cache, folder in ((named, "named"), (home, "home/pm-strength")):
        assert cache is not None
        cache.save("pm", ARRAYS)
        assert os.listdir(tmp_path / folder)
