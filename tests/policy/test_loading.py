"""The policy in force: defaults, a file and the environment, in this order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import (
    LoadedPolicy,
    Policy,
    load_policy,
)
from weatherglass.policy.settings import SETTINGS

NOTHING: Mapping[str, str] = {}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weatherglass.toml"


def from_file(file: Path, text: str, environ: Mapping[str, str] = NOTHING) -> LoadedPolicy:
    file.write_text(text, encoding="utf-8")
    return load_policy(file, environ)


def test_without_anything_the_defaults_are_in_force() -> None:
    """D17: nothing said is the default policy, and every origin says so."""
    loaded = load_policy(environ={"PATH": "/bin", "OTEL_SERVICE_NAME": "x"})

    assert loaded.policy == Policy()
    assert set(loaded.origins.values()) == {"default"}


def test_every_value_has_an_origin() -> None:
    """D17: the origins name every setting, and what a policy has beside them."""
    beside = {"rules", "limit_headers", "maintenance.windows", "maintenance.feeds", "breaker_key"}
    expected = {*SETTINGS, *beside}

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
