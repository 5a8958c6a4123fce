"""The policy in force: what files and the environment say, and what they may not say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

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
from weatherglass.policy.settings import SETTINGS, Setting
from weatherglass.vocabulary import Kind

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


def refused_variable(name: str, text: str) -> str:
    with pytest.raises(InvalidPolicy) as refused:
        load_policy(environ={name: text})
    return str(refused.value)


def test_without_anything_the_defaults_are_in_force() -> None:
    """D17: nothing said is the default policy, and every origin says so."""
    loaded = load_policy(environ={"PATH": "/bin", "OTEL_SERVICE_NAME": "x"})

    assert loaded.policy == Policy()
    assert set(loaded.origins.values()) == {"default"}


def test_every_value_has_an_origin() -> None:
    """D17: the origins name every setting, and what a policy has beside them."""
    expected = {*SETTINGS, "rules", "maintenance.windows", "breaker_key"}

    assert set(load_policy(environ=NOTHING).origins) == expected


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """D17: without a mapping, the variables of the process are read."""
    monkeypatch.setenv("WEATHERGLASS_RETRY_MAX_RETRIES", "2")

    assert load_policy().policy.retry.max_retries == 2


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(file: Path) -> None:
    """D17: the order is defaults, file, environment; each value remembers where it is from."""
    loaded = from_file(
        file,
        "deadline = 20\n[retry]\nmax_retries = 3\nmax_delay = 9\n",
        {"WEATHERGLASS_RETRY_MAX_RETRIES": "4"},
    )

    assert loaded.policy == Policy().new(deadline=20, retry={"max_retries": 4, "max_delay": 9})
    assert loaded.origins["retry.max_retries"] == (
        "environment variable WEATHERGLASS_RETRY_MAX_RETRIES"
    )
    assert loaded.origins["retry.max_delay"] == f"file {file}"
    assert loaded.origins["deadline"] == f"file {file}"
    assert loaded.origins["retry.base_delay"] == "default"


def test_a_variable_names_the_file(file: Path) -> None:
    """D17: WEATHERGLASS_CONFIG names the file; an argument wins over it."""
    file.write_text("deadline = 7", encoding="utf-8")
    other = file.with_name("other.toml")
    other.write_text("deadline = 8", encoding="utf-8")
    environ = {"WEATHERGLASS_CONFIG": str(file)}

    assert load_policy(environ=environ).policy.deadline == 7
    assert load_policy(other, environ).policy.deadline == 8
    assert load_policy(environ={"WEATHERGLASS_CONFIG": ""}).policy == Policy()


def test_values_that_only_fit_together_are_judged_together(file: Path) -> None:
    """D17: a file whose value fits only with the environment's is not refused half-way."""
    loaded = from_file(file, "[retry]\nbase_delay = 50", {"WEATHERGLASS_RETRY_MAX_DELAY": "100"})

    assert (loaded.policy.retry.base_delay, loaded.policy.retry.max_delay) == (50, 100)


def test_contradictions_name_both_origins(file: Path) -> None:
    """D16, D17: values that make no sense together are named with where each comes from."""
    file.write_text("[retry]\nbase_delay = 50", encoding="utf-8")
    with pytest.raises(InvalidPolicy) as refused:
        load_policy(file, {"WEATHERGLASS_RETRY_MAX_DELAY": "40"})

    message = str(refused.value)
    assert "retry.base_delay is 50, but must be at most retry.max_delay, which is 40" in message
    assert f"retry.base_delay: file {file}" in message
    assert "retry.max_delay: environment variable WEATHERGLASS_RETRY_MAX_DELAY" in message


def test_a_given_policy_takes_the_place_of_the_defaults(file: Path) -> None:
    """D17: loading can begin with a policy, whose values have their own origin."""
    base = Policy(name="profile").new(retry={"max_retries": 1, "max_delay": 5})
    file.write_text("[retry]\nmax_delay = 6", encoding="utf-8")
    loaded = load_policy(file, NOTHING, base)

    assert (loaded.policy.retry.max_retries, loaded.policy.retry.max_delay) == (1, 6)
    assert loaded.origins["retry.max_retries"] == "policy profile"
    assert loaded.origins["retry.max_delay"] == f"file {file}"
    assert loaded.origins["retry.base_delay"] == "default"


def test_the_budgets_keep_their_own_defaults(file: Path) -> None:
    """D17: changing one field of the network budget leaves its other numbers alone."""
    policy = from_file(file, "[network_budget]\nper_second = 0.5").policy

    assert policy.network_budget.capacity == Policy().network_budget.capacity
    assert policy.retry_budget == Policy().retry_budget


# Files


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
end = 2026-05-02T14:00:00+02:00

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
    file.write_text(FULL.replace("14:00:00+02:00", "14:30:00+02:00"), encoding="utf-8")
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


# Environment


@pytest.mark.parametrize(
    ("variable", "text", "setting", "value"),
    [
        ("WEATHERGLASS_NAME", "orders", "name", "orders"),
        ("WEATHERGLASS_MODE", "observe", "mode", "observe"),
        ("WEATHERGLASS_MODE", " Observe ", "mode", "observe"),
        ("WEATHERGLASS_DEADLINE", "2.5", "deadline", 2.5),
        ("WEATHERGLASS_DEADLINE", " 20 ", "deadline", 20.0),
        ("WEATHERGLASS_DEADLINE", "1e2", "deadline", 100.0),
        ("WEATHERGLASS_DEADLINE", "None", "deadline", None),
        ("WEATHERGLASS_TIMEOUT_READ", "none", "timeout.read", None),
        ("WEATHERGLASS_RETRY_MAX_RETRIES", "0", "retry.max_retries", 0),
        ("WEATHERGLASS_RETRY_AFTER_FLOOR", "0.5", "retry_after.floor", 0.5),
        ("WEATHERGLASS_RETRY_BUDGET_CAPACITY", "5", "retry_budget.capacity", 5.0),
        ("WEATHERGLASS_NETWORK_BUDGET_CAPACITY", "5", "network_budget.capacity", 5.0),
        ("WEATHERGLASS_IDEMPOTENCY_KEY", "per_call", "idempotency.key", "per_call"),
        ("WEATHERGLASS_IDEMPOTENCY_CLIENT_ID", "None", "idempotency.client_id", None),
        (
            "WEATHERGLASS_RETRY_IDEMPOTENT_ROUTES",
            "POST /a/*, PATCH /b",
            "retry.idempotent_routes",
            ("POST /a/*", "PATCH /b"),
        ),
        ("WEATHERGLASS_RETRY_IDEMPOTENT_METHODS", "none", "retry.idempotent_methods", ()),
        *[
            ("WEATHERGLASS_RAISE_FAILURES", text, "raise_failures", value)
            for value, texts in ((True, "true 1 yes on TRUE"), (False, "false 0 no off No"))
            for text in texts.split()
        ],
    ],
)
def test_variables_set_their_settings(
    variable: str, text: str, setting: str, value: object
) -> None:
    """D17: numbers, texts, switches, lists and none are understood as texts."""
    loaded = load_policy(environ={variable: text})

    assert SETTINGS[setting].value(loaded.policy) == value
    assert loaded.origins[setting] == f"environment variable {variable}"
    assert [n for n, origin in loaded.origins.items() if origin != "default"] == [setting]


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
def test_every_setting_refuses_what_is_none_of_its_values(setting: Setting) -> None:
    """D16, D17: each variable is validated as Python is, and the message names the variable."""
    if setting.knob.type is str and not setting.knob.choices:
        text = "\udcff"
    elif setting.knob.type is tuple:
        text = "GET,,PUT"
    else:
        text = "nonsense"
    message = refused_variable(setting.variable, text)

    assert message.startswith(f"{setting.name} is ")
    assert setting.knob.allowed in message
    assert message.endswith(f"(environment variable {setting.variable})")


@pytest.mark.parametrize("text", ["3.5", "three", "1_0", "٣", "0x3", "+-3", "9" * 999, "-1"])
def test_whole_numbers_are_plain_ones(text: str) -> None:
    """D17: what Python's `int` would let pass, such as digits of other scripts, is refused."""
    assert "must be a whole number" in refused_variable("WEATHERGLASS_RETRY_MAX_RETRIES", text)


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "1_0", "٣", "3s", "0", "-1"])
def test_seconds_are_plain_numbers(text: str) -> None:
    """D17: seconds are finite decimal numbers without a unit."""
    assert "must be a finite number" in refused_variable("WEATHERGLASS_DEADLINE", text)


@pytest.mark.parametrize("text", ["maybe", "2", "y", "truee"])
def test_switches_are_not_guessed(text: str) -> None:
    """D17: what is not one of the known words for yes and no is refused."""
    assert "must be true or false" in refused_variable("WEATHERGLASS_BREAKER_ENABLED", text)


def test_none_is_refused_where_a_value_is_needed() -> None:
    """D16, D17: none does for optional settings alone."""
    message = refused_variable("WEATHERGLASS_RETRY_MAX_RETRIES", "none")

    assert "retry.max_retries is 'none'" in message


def test_an_empty_variable_is_not_set() -> None:
    """D17: an empty variable leaves the default, as it does for OpenTelemetry's."""
    loaded = load_policy(environ={"WEATHERGLASS_DEADLINE": "", "WEATHERGLASS_NAME": "  "})

    assert loaded.policy == Policy()
    assert set(loaded.origins.values()) == {"default"}


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ("WEATHERGLASS_RETRY_MAX_RETRYS", "WEATHERGLASS_RETRY_MAX_RETRIES"),
        ("WEATHERGLASS_MAX_RETRIES", "WEATHERGLASS_RETRY_MAX_RETRIES"),
        ("WEATHERGLASS_CONFIGURATION", "WEATHERGLASS_CONFIG"),
        ("WEATHERGLASS_", "WEATHERGLASS_"),
        ("WEATHERGLASS_RULES", "in a file or in Python"),
        ("WEATHERGLASS_MAINTENANCE_WINDOWS", "in a file or in Python"),
        ("WEATHERGLASS_BREAKER_KEY", "in Python only"),
        ("WEATHERGLASS_" + "X" * 100_000, "the nearest are"),
    ],
    ids=lambda part: repr(part)[:40],
)
def test_unknown_variables_are_refused(variable: str, named: str) -> None:
    """D17: a variable with our prefix that is no setting is an error that names the nearest."""
    message = refused_variable(variable, "5")

    assert "is not an environment variable of weatherglass" in message
    assert named in message
    assert len(message) < 1000


def test_the_value_of_an_unknown_variable_is_not_told() -> None:
    """T9: a secret in a misnamed variable does not appear in the error about its name."""
    assert "hush" not in refused_variable("WEATHERGLASS_CLIENT_SECRET", "hush")


# Printing


def breaker_of_all(origin: str, method: str) -> str:
    return f"{origin} {method}"


def loaded_fully(file: Path) -> LoadedPolicy:
    file.write_text(FULL.replace("14:00:00+02:00", "14:30:00+02:00"), encoding="utf-8")
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

    assert lines[-3:] == ["rules: none", "windows: none", "breaker_key: one breaker per origin"]


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
