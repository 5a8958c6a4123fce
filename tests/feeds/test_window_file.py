"""A file of windows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weatherglass.feeds import FeedUnreadable
from weatherglass.feeds.window_file import WindowFile

ONE = """
[[windows]]
name = "{}"
start = 2026-03-01T22:00:00
end = 2026-03-02T02:00:00
timezone = "Europe/Berlin"
hosts = ["api.example.com"]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "windows.toml"


def test_a_file_has_windows_as_a_policy_has(path: Path) -> None:
    """M1: windows of a file have the fields of those in a policy, time zones included."""
    path.write_text(ONE.format("one"))
    (window,) = WindowFile(str(path)).read()

    assert (window.name, window.hosts) == ("one", ("api.example.com",))
    assert window.start.isoformat() == "2026-03-01T22:00:00+01:00"


def test_a_file_is_read_again_when_it_changes(path: Path) -> None:
    """M1: an edit counts without a restart; a file that stays as it is, is not parsed again."""
    path.write_text(ONE.format("one"))
    file = WindowFile(str(path))
    first = file.read()
    assert file.read() is first
    path.write_text(ONE.format("one") + ONE.format("two"))
    assert [window.name for window in file.read()] == ["one", "two"]
    path.write_text("")
    assert file.read() == ()


@pytest.mark.parametrize(
    "text",
    [
        "[[windows]]\nname = 'x'",
        "windows = 3",
        "[maintenance]",
        "not toml",
        "\x00",
        "# " + "x" * 1024 * 1024,
    ],
)
def test_a_file_that_is_no_such_file_is_refused_whole(path: Path, text: str) -> None:
    """M2: a mistake in the file makes it unreadable; it never means that there are no windows."""
    path.write_text(ONE.format("one"))
    file = WindowFile(str(path))
    file.read()
    path.write_text(text)
    for _ in range(2):
        with pytest.raises(FeedUnreadable):
            file.read()
    path.write_text(ONE.format("three"))
    assert [window.name for window in file.read()] == ["three"]


def test_a_file_that_is_not_there_is_named_by_its_error(path: Path) -> None:
    """M2: what cannot be opened is told by the type of the error, without the path."""
    with pytest.raises(FeedUnreadable) as refused:
        WindowFile(str(path)).read()
    assert str(refused.value) == "FileNotFoundError"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_not_waited_for(path: Path) -> None:
    """S1: what is no ordinary file is not opened."""
    os.mkfifo(path)
    with pytest.raises(FeedUnreadable) as refused:
        WindowFile(str(path)).read()
    assert refused.value.error_type == "not_a_file"
