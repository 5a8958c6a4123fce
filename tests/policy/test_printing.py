"""The policy in force, printed for persons, as JSON and as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from weatherglass.policy import (
    LoadedPolicy,
    MaintenancePolicy,
    MaintenanceWindow,
    Policy,
    load_policy,
)
from weatherglass.policy.settings import SETTINGS
from weatherglass.vocabulary import Kind

NOTHING: Mapping[str, str] = {}


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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weatherglass.toml"


def from_file(file: Path, text: str, environ: Mapping[str, str] = NOTHING) -> LoadedPolicy:
    file.write_text(text, encoding="utf-8")
    return load_policy(file, environ)


def breaker_of_all(origin: str, method: str) -> str:
    return f"{origin} {method}"


def loaded_fully(file: Path) -> LoadedPolicy:
    file.write_text(FULL, encoding="utf-8")
    return load_policy(
        file, {"WEATHERGLASS_BREAKER_COOLDOWN": "70"}, Policy(breaker_key=breaker_of_all)
    )


def test_the_policy_is_printed_with_the_origin_of_each_value(file: Path) -> None:
    """D17: each setting stands in the text with value, origin and meaning."""
    loaded = loaded_fully(file)
    lines = loaded.render().splitlines()
    cooldown = next(n for n, line in enumerate(lines) if line.startswith("cooldown "))

    assert "[breaker]" in lines[:cooldown]
    assert lines[cooldown].split() == (
        ["cooldown", "=", "70.0", "environment", "variable", "WEATHERGLASS_BREAKER_COOLDOWN"]
    )
    assert lines[cooldown + 1].strip() == SETTINGS["breaker.cooldown"].knob.help
    assert f"rules: 1, file {file}" in lines
    assert "  night, 2026-05-02T00:00:00+02:00 to 2026-05-02T02:00:00+02:00" in lines
    assert f"breaker_key: {__name__}.breaker_of_all" in lines
    for setting in SETTINGS.values():
        assert any(line.startswith(setting.field + " ") for line in lines)


def test_the_default_policy_is_printed_without_gaps() -> None:
    """D17: what is not there is said to be so."""
    lines = load_policy(environ=NOTHING).render().splitlines()

    assert lines[-5:] == [
        "rules: none",
        "limit headers: none",
        "windows: none",
        "feeds: none",
        "breaker_key: one breaker per origin",
    ]


def test_the_policy_is_plain_json(file: Path) -> None:
    """D17: the printed policy is JSON with value, origin, meaning, range and variable of each."""
    loaded = loaded_fully(file)
    plain = json.loads(json.dumps(loaded.to_dict(), allow_nan=False))

    assert plain == loaded.to_dict()
    assert plain["breaker.cooldown"] == {
        "value": 70.0,
        "origin": "environment variable WEATHERGLASS_BREAKER_COOLDOWN",
        "help": SETTINGS["breaker.cooldown"].knob.help,
        "allowed": "a finite number above 0 up to 86400",
        "variable": "WEATHERGLASS_BREAKER_COOLDOWN",
    }
    assert plain["rules"]["value"][0]["kind"] == Kind.UNAVAILABLE.value
    assert plain["maintenance.windows"]["value"][1]["start"] == "2026-05-02T12:00:00+00:00"
    assert plain["breaker_key"]["value"] == f"{__name__}.breaker_of_all"


def test_the_policy_printed_as_a_file_loads_again(file: Path) -> None:
    """D17: the policy in force, written as TOML, leads to the same policy."""
    loaded = loaded_fully(file)
    again = from_file(file, loaded.to_toml())

    assert again.policy.new(breaker_key=breaker_of_all) == loaded.policy
    assert "breaker_of_all, which can be given in Python only" in loaded.to_toml()


def test_a_path_cannot_add_lines_to_the_printed_file(tmp_path: Path) -> None:
    """S1: a line break in a file's name does not end the comment that names it."""
    odd = tmp_path / "odd\ndeadline = 1\n#.toml"
    odd.write_text("[retry]\nmax_retries = 3", encoding="utf-8")
    text = load_policy(odd, NOTHING).to_toml()
    again = from_file(tmp_path / "again.toml", text)

    assert again.policy.deadline is None


def test_windows_of_local_mean_time_are_printed_in_utc(tmp_path: Path) -> None:
    """M1: an offset with seconds, which TOML cannot write, is written as the same instant."""
    zone = ZoneInfo("Europe/Amsterdam")
    start = datetime(1900, 1, 1, tzinfo=zone)
    window = MaintenanceWindow(name="old", start=start, end=start + timedelta(hours=1))
    base = Policy(maintenance=MaintenancePolicy(windows=(window,)))
    text = load_policy(environ=NOTHING, base=base).to_toml()
    (again,) = from_file(tmp_path / "x.toml", text).policy.maintenance.windows

    assert again.start == start
