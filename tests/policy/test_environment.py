"""What environment variables say, and what they may not say."""

from __future__ import annotations

import pytest

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import (
    Policy,
    load_policy,
)
from weatherglass.policy.settings import SETTINGS, Setting


def refused_variable(name: str, text: str) -> str:
    with pytest.raises(InvalidPolicy) as refused:
        load_policy(environ={name: text})
    return str(refused.value)


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
