"""What policy files say, and what they may not say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import (
    LoadedPolicy,
    MaintenancePolicy,
    MaintenanceWindow,
    Policy,
    Rule,
    load_policy,
)
from weatherglass.policy.file import LARGEST_FILE

NOTHING: Mapping[str, str] = {}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weatherglass.toml"


def from_file(file: Path, text: str, environ: Mapping[str, str] = NOTHING) -> LoadedPolicy:
    file.write_text(text, encoding="utf-8")
    return load_policy(file, environ)


def refusal(file: Path, text: str | bytes) -> str:
    """The message with which a file of this text is refused."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidPolicy) as refused:
        load_policy(file, NOTHING)
    return str(refused.value)


FULL = """
name = "orders"
mode = "observe"
deadline = 45
raise_failures = true

[timeout]
read = "none"

[retry]
idempotent_routes = ["POST /search/*"]

[[maintenance.windows]]
name = "night"
start = 2026-05-02T00:00:00
end = 2026-05-02T02:00:00
timezone = "Europe/Berlin"
hosts = ["api.example.com"]

[[maintenance.windows]]
name = "noon"
start = 2026-05-02T12:00:00Z
end = 2026-05-02T14:30:00+02:00

[[rules]]
name = "busy"
codes = ["busy", "*.overload"]
statuses = 4
kind = "unavailable"
execution = "rejected"
transient = true
"""


def test_a_file_says_all_that_python_can(file: Path) -> None:
    """D17, C6, M1: scalars, groups, rules and windows stand in a file by their Python names."""
    file.write_text(FULL, encoding="utf-8")
    policy = load_policy(file, NOTHING).policy

    assert (policy.name, policy.mode, policy.deadline, policy.raise_failures) == (
        "orders",
        "observe",
        45.0,
        True,
    )
    assert policy.timeout.read is None
    assert policy.retry.idempotent_routes == ("POST /search/*",)
    given: dict[str, Any] = {"kind": "unavailable", "execution": "rejected"}
    assert policy.rules == (
        Rule(name="busy", codes=("busy", "*.overload"), statuses=(4,), transient=True, **given),
    )
    night, noon = policy.maintenance.windows
    assert night.start == datetime(2026, 5, 1, 22, tzinfo=timezone.utc)
    assert night.end == datetime(2026, 5, 2, tzinfo=timezone.utc)
    assert night.hosts == ("api.example.com",)
    assert noon.end - noon.start == timedelta(minutes=30)


def test_rules_of_a_file_are_asked_before_those_of_the_policy(file: Path) -> None:
    """C6: a file's rule overrules a profile's, and neither is lost."""
    base = Policy(name="profile", rules=(Rule(name="old", statuses=(503,)),))
    file.write_text('[[rules]]\nname = "new"\nstatuses = [503]', encoding="utf-8")
    loaded = load_policy(file, NOTHING, base)

    assert [rule.name for rule in loaded.policy.rules] == ["new", "old"]
    assert loaded.origins["rules"] == f"file {file} and policy profile"


def test_windows_of_a_file_join_those_of_the_policy(file: Path) -> None:
    """M1: windows add up, and one of the same name is replaced."""
    start = datetime(2026, 5, 1, tzinfo=timezone.utc)
    windows = tuple(
        MaintenanceWindow(name=name, start=start, end=start + timedelta(hours=1))
        for name in ("night", "noon")
    )
    base = Policy(maintenance=MaintenancePolicy(windows=windows))
    file.write_text(
        '[[maintenance.windows]]\nname = "night"\n'
        "start = 2026-05-01T01:00:00Z\nend = 2026-05-01T02:00:00Z",
        encoding="utf-8",
    )
    found = {
        w.name: w.start.hour for w in load_policy(file, NOTHING, base).policy.maintenance.windows
    }

    assert found == {"noon": 0, "night": 1}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[retry]\nmax_retrys = 3", ("retry.max_retrys is not a setting", "retry.max_retries")),
        ("max_retries = 3", ("max_retries is not a setting", "retry.max_retries")),
        ("[retries]\nmax_retries = 3", ("retries is not a setting", "retry")),
        ("dedline = 3", ("dedline is not a setting", "deadline")),
        ("[maintenance]\nwindow = 3", ("maintenance.window is not", "maintenance.windows")),
        ('breaker_key = "origin"', ("breaker_key", "in Python only")),
        ("retry = 3", ("retry is 3", "must be a table: [retry]")),
        ('rules = "all"', ("rules is 'all'", "[[rules]]")),
        ("[rules]\nname = 'x'", ("rules is {'name': 'x'}", "[[rules]]")),
        ("[maintenance]\nwindows = [1]", ("maintenance.windows is [1]", "[[maintenance.windows]]")),
        ("[retry]\nmax_retries = '3'", ("retry.max_retries is '3'", "a whole number from 0")),
        ("[retry]\nmax_retries = 1.5", ("retry.max_retries is 1.5", "a whole number from 0")),
        ("[retry]\nmax_delay = nan", ("retry.max_delay is nan", "a finite number above 0")),
        ("[retry]\nbase_delay = 2026-05-01", ("retry.base_delay is", "a finite number above 0")),
        ("[breaker]\nenabled = 1", ("breaker.enabled is 1", "true or false")),
        ("mode = 'on'", ("mode is 'on'", "one of active, observe")),
        ("[network_budget]\ncapacity = 0", ("network_budget.capacity is 0", "from 1")),
        ("[[rules]]\nname='x'\nstatusses=5", ("rules[0].statusses is not known", "statuses")),
        ("[[rules]]\nstatuses=5", ("rules[0] has no name",)),
        ("[[rules]]\nname='x'\nstatuses=6", ("rules.x.statuses has 6",)),
    ],
)
def test_mistakes_in_a_file_are_named(file: Path, text: str, named: tuple[str, ...]) -> None:
    """D17: a file's mistake is named with key, value, what is allowed or near, and the file."""
    message = refusal(file, text)

    assert all(part in message for part in named), message
    assert str(file) in message


WINDOW = "[[maintenance.windows]]\nname='n'\nstart={}\nend=2026-05-02T02:00:00Z\n{}"


@pytest.mark.parametrize(
    ("start", "more", "named"),
    [
        ("2026-05-02T00:00:00", "", "start is 2026-05-02T00:00:00, but must have an offset"),
        ("2026-05-02", "", "start is datetime.date"),
        ("'2026-05-02T00:00:00Z'", "", "start is '2026-05-02T00:00:00Z'"),
        ("2026-05-02T03:00:00Z", "", "must be after its start"),
        ("2026-05-02T00:00:00Z", "timezone = 'Europe/Utopia'", "timezone is 'Europe/Utopia'"),
        ("2026-05-02T00:00:00Z", "timezone = 'Europe'", "timezone is 'Europe'"),
        ("2026-05-02T00:00:00Z", "timezone = '../UTC'", "timezone is '../UTC'"),
        ("2026-05-02T00:00:00Z", "timezone = 2", "timezone is 2"),
        ("2026-05-02T00:00:00Z", "timezone = [1]", "timezone is [1]"),
        ("2026-05-02T00:00:00Z", "tz = 'UTC'", "maintenance.windows[0].tz is not known"),
        ("2026-05-02T00:00:00Z", "hosts = 5", "hosts is 5"),
    ],
)
def test_windows_that_cannot_be_are_named(file: Path, start: str, more: str, named: str) -> None:
    """M1: a window without a time zone, or with an unknown one, is refused with its reason."""
    assert named in refusal(file, WINDOW.format(start, more))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[retry]\nmax_retries 3", "is not valid TOML: Expected '='"),
        ("[retry]\nmax_retries 3\n", "line 2"),
        ("a = 1\na = 2", "line 2"),
        (b"name = '\n\xff\xfe'", "is not UTF-8 (at line 2)"),
        ("x = " + "[" * 100_000, "is nested too deeply"),
        ("x = " + "{a=" * 100_000, "is nested too deeply"),
        ("a." * 100_000 + "a = 1", "thousands of dots"),
        ("\n".join(["b = {" + "a." * 4000 + "a = 1}"] * 100), "thousands of dots"),
        ("x = " + "9" * 100_000, "is not valid TOML"),
        ("[retry]\nmax_retries = 0x" + "f" * 100_000, "a number of thousands of digits"),
        ("retry = 0x" + "f" * 100_000, "a number of thousands of digits"),
        ("name = '" + "x" * LARGEST_FILE + "'", "is too large: at most 1048576 bytes"),
    ],
    ids=lambda part: repr(part)[:24],
)
def test_broken_and_hostile_files_are_refused(file: Path, text: str | bytes, named: str) -> None:
    """S1, D17: no file costs more than a bounded time and memory, and each refusal says why."""
    message = refusal(file, text)

    assert named in message
    assert len(message) < 1000


def test_a_file_of_the_largest_size_is_read(file: Path) -> None:
    """S1: the bound is not hit by a file that just fits."""
    text = "deadline = 3\n#"
    loaded = from_file(file, text + "x" * (LARGEST_FILE - len(text)))

    assert loaded.policy.deadline == 3


def test_a_file_may_have_what_editors_add(file: Path) -> None:
    """D17: a byte order mark and carriage returns are no mistakes."""
    file.write_bytes(b"\xef\xbb\xbf[retry]\r\nmax_retries = 3\r\n")

    assert load_policy(file, NOTHING).policy.retry.max_retries == 3


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """D17: a missing file and a folder are errors with the system's reason, also by variable."""
    with pytest.raises(InvalidPolicy, match=r"missing\.toml cannot be read: No such file"):
        load_policy(tmp_path / "missing.toml", NOTHING)
    with pytest.raises(InvalidPolicy, match="cannot be read: Is a directory"):
        load_policy(environ={"WEATHERGLASS_CONFIG": str(tmp_path)})
    with pytest.raises(InvalidPolicy, match="cannot be read: embedded null"):
        load_policy("nul\0", NOTHING)
