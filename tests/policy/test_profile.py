"""A profile: what is known of one vendor, as data that a policy is completed with."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import (
    IdempotencyPolicy,
    LimitHeaders,
    MaintenancePolicy,
    Policy,
    Profile,
    RetryPolicy,
    Rule,
    StatusFeed,
    TimeoutPolicy,
    load_policy,
)

BUSY = Rule(name="busy", codes=("busy",), transient=True)
LOST = Rule(name="lost", codes=("lost",), transient=False)
LIMIT = LimitHeaders(name="quota", remaining="x-quota-left", reset="x-quota-reset")
FEED = StatusFeed("https://status.example.com", name="status")

FULL = Profile(
    "Example",
    settings={
        "correlation_headers": ["X-Example-Id"],
        "idempotency.key": "deterministic",
        "idempotency.done_codes": ("taken",),
        "retry.max_retries": 2,
    },
    rules=(BUSY,),
    limit_headers=(LIMIT,),
    feeds=(FEED,),
)


def test_a_profile_alone_is_a_policy() -> None:
    """G1: without a policy, the profile's values stand beside weatherglass' defaults."""
    policy = FULL.policy()

    assert policy.name == "Example"
    assert policy.correlation_headers == ("x-example-id",)
    assert (policy.idempotency.key, policy.idempotency.done_codes) == ("deterministic", ("taken",))
    assert policy.retry == RetryPolicy(max_retries=2)
    assert (policy.rules, policy.limit_headers) == ((BUSY,), (LIMIT,))
    assert policy.maintenance.feeds == (FEED,)
    assert policy.timeout == TimeoutPolicy()


def test_an_empty_profile_gives_its_name_alone() -> None:
    """G1: nothing is set that the profile does not set."""
    assert Profile("Example").policy() == Policy(name="Example")


def test_what_the_policy_has_changed_stays() -> None:
    """G1: the application's word is above the vendor's, setting by setting."""
    base = Policy(name="orders", retry=RetryPolicy(max_retries=7, base_delay=3))
    policy = FULL.policy(base)

    assert (policy.name, policy.retry.max_retries, policy.retry.base_delay) == ("orders", 7, 3)
    assert policy.idempotency.key == "deterministic"


def test_lists_are_joined_without_doubles_the_policy_s_first() -> None:
    """G1: what gathers things is gathered from both, and the policy's are asked first."""
    other = LimitHeaders(name="other", remaining="x-other-left")
    base = Policy(
        correlation_headers=("x-mine", "x-example-id"),
        idempotency=IdempotencyPolicy(done_codes=("done", "taken")),
        rules=(LOST, BUSY),
        limit_headers=(other,),
        maintenance=MaintenancePolicy(feeds=(StatusFeed("https://mine.example.com"),)),
    )
    policy = FULL.policy(base)

    assert policy.correlation_headers == ("x-mine", "x-example-id")
    assert policy.idempotency.done_codes == ("done", "taken")
    assert policy.rules == (LOST, BUSY)
    assert policy.limit_headers == (other, LIMIT)
    assert [feed.name for feed in policy.maintenance.feeds] == ["mine.example.com", "status"]


def test_of_two_feeds_or_families_of_one_name_the_policy_s_stays() -> None:
    """G1: so a policy can say where else a profile's status page is, or which headers there are."""
    feed = StatusFeed("https://elsewhere.example.com", name="status", ttl=60)
    family = LimitHeaders(name="quota", remaining="x-new-left")
    base = Policy(limit_headers=(family,), maintenance=MaintenancePolicy(feeds=(feed,)))
    policy = FULL.policy(base)

    assert policy.maintenance.feeds == (feed,)
    assert policy.limit_headers == (family,)


@pytest.mark.parametrize(
    ("base", "methods"),
    [(Policy(), ("POST",)), (Policy(idempotency=IdempotencyPolicy(methods=("PUT",))), ("PUT",))],
    ids=["default", "changed"],
)
def test_lists_that_are_a_choice_are_not_joined(base: Policy, methods: tuple[str, ...]) -> None:
    """G1: a list with a default of its own is a setting like any other: it can be narrowed."""
    narrow = Profile("Example", {"idempotency.methods": ("post",)})

    assert narrow.policy(base).idempotency.methods == methods


def test_profiles_can_be_put_upon_each_other() -> None:
    """G1: a policy that has one profile takes another: a gateway's upon a vendor's."""
    gateway = Profile("gateway", {"correlation_headers": ("x-gateway-id",)}, rules=(LOST,))
    policy = FULL.policy(gateway.policy())

    assert policy.name == "gateway"
    assert policy.correlation_headers == ("x-gateway-id", "x-example-id")
    assert policy.rules == (LOST, BUSY)


def test_completing_a_policy_twice_changes_nothing() -> None:
    """G1: nothing is doubled."""
    once = FULL.policy(Policy(rules=(LOST,)))

    assert FULL.policy(once) == once


def test_what_a_file_says_counts_as_changed_even_if_it_is_the_default(tmp_path: Path) -> None:
    """G1, D17: a loaded policy tells what was said from what nobody said."""
    file = tmp_path / "weatherglass.toml"
    file.write_text('[retry]\nmax_retries = 5\n[idempotency]\nkey = "none"\n', encoding="utf-8")
    loaded = load_policy(file, environ={})

    assert FULL.policy(loaded).retry.max_retries == 5
    assert FULL.policy(loaded).idempotency.key is None
    assert FULL.policy(loaded.policy).retry.max_retries == 2


def test_file_environment_and_profile_are_loaded_together(tmp_path: Path) -> None:
    """G1, D17: the environment is above the file, the file above the profile; all are named."""
    file = tmp_path / "weatherglass.toml"
    file.write_text(
        'correlation_headers = ["x-mine"]\n[[rules]]\nname = "lost"\ncodes = ["lost"]\n'
        "transient = false\n",
        encoding="utf-8",
    )
    loaded = load_policy(file, {"WEATHERGLASS_RETRY_MAX_RETRIES": "9"}, profile=FULL)

    assert loaded.policy.retry.max_retries == 9
    assert loaded.policy.rules == (LOST, BUSY)
    assert loaded.policy.correlation_headers == ("x-mine", "x-example-id")
    assert {
        name: loaded.origins[name]
        for name in (
            "name",
            "mode",
            "retry.max_retries",
            "idempotency.key",
            "correlation_headers",
            "rules",
            "limit_headers",
        )
    } == {
        "name": "profile Example",
        "mode": "default",
        "retry.max_retries": "environment variable WEATHERGLASS_RETRY_MAX_RETRIES",
        "idempotency.key": "profile Example",
        "correlation_headers": f"file {file} and profile Example",
        "rules": f"file {file} and profile Example",
        "limit_headers": "profile Example",
    }


def test_a_completed_policy_can_be_written_down_and_loaded(tmp_path: Path) -> None:
    """G1, D17: all that a profile brings has its form in a file."""
    loaded = load_policy(environ={}, profile=FULL)
    file = tmp_path / "weatherglass.toml"
    file.write_text(loaded.to_toml(), encoding="utf-8")

    assert load_policy(file, environ={}).policy == loaded.policy
    assert "profile Example" in loaded.render()


# --- data -------------------------------------------------------------------------------------


def test_a_profile_is_a_value() -> None:
    """G1: it pickles, compares, is a key, and cannot be changed."""
    pickled = pickle.loads(pickle.dumps(FULL))  # noqa: S301 - our own bytes
    for again in (pickled, copy.deepcopy(FULL)):
        assert again == FULL
        assert hash(again) == hash(FULL)
    assert Profile("Example") != FULL
    assert dataclasses.replace(FULL, name="Other").policy().name == "Other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.name = "other"  # type: ignore[misc]  # what is tried
    with pytest.raises(TypeError):
        FULL.settings["retry.max_retries"] = 3  # type: ignore[index]  # what is tried


def test_a_profile_does_not_hang_on_what_it_was_made_from() -> None:
    """G1: lists and mappings are taken as they are at that moment, in their proper form."""
    settings: dict[str, Any] = {"retry.max_delay": 60, "idempotency.methods": ["post"]}
    rules = [BUSY]
    made = Profile("Example", settings, rules)  # type: ignore[arg-type]  # a list is taken, too
    settings["retry.max_delay"] = 1
    rules.clear()

    assert made.settings == {"retry.max_delay": 60.0, "idempotency.methods": ("POST",)}
    assert made.rules == (BUSY,)


# --- what is refused --------------------------------------------------------------------------

REFUSED: list[tuple[Mapping[Any, Any], str]] = [
    ({"retry.max_retry": 3}, "'retry.max_retry' is not a setting; the nearest are retry.max_re"),
    ({"retry": {"max_retries": 3}}, "retry is a group"),
    ({"retry.max_retries": -1}, "retry.max_retries is -1, but must be a whole number from 0"),
    ({"retry.base_delay": 50}, "retry.base_delay is 50, but must be at most retry.max_delay"),
    ({"correlation_headers": ("not a header",)}, "correlation_headers has 'not a header'"),
    ({"idempotency.done_codes": "taken"}, "idempotency.done_codes is 'taken', but must be a list"),
    ({"name": "x"}, "name is not a setting of profiles: the profile's own name"),
    ({"rules": ()}, "rules is not a setting of profiles: give them as rules="),
    ({"limit_headers": ()}, "limit_headers is not a setting of profiles: give them as limit"),
    ({"maintenance.feeds": ()}, "maintenance.feeds is not a setting of profiles: give them as fe"),
    ({"maintenance.windows": ()}, "maintenance.windows is not a setting of profiles: windows bel"),
    ({"breaker_key": None}, "breaker_key is not a setting of profiles"),
    ({3: 4}, "settings has 3, but must have the names of settings"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=lambda value: str(value)[:30])
def test_nonsense_is_refused_when_a_profile_is_made(
    settings: Mapping[Any, Any], message: str
) -> None:
    """D16: the message names the profile, the setting, and what is allowed."""
    with pytest.raises(InvalidPolicy) as caught:
        Profile("Example", settings)
    assert str(caught.value).startswith(f"profile Example: {message}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"settings": ["retry.max_retries"]},
            "settings is ['retry.max_retries'], but must be a ma",
        ),
        ({"rules": ("busy",)}, "rules has 'busy', but must have Rule objects"),
        ({"limit_headers": (BUSY,)}, "limit_headers has Rule("),
        ({"feeds": ("https://status.example.com",)}, "maintenance.feeds has 'https://status.exa"),
        ({"rules": 3}, "rules is 3, but must be a list of Rule objects"),
    ],
)
def test_records_of_another_kind_are_refused(given: dict[str, Any], message: str) -> None:
    """D16: as a policy refuses them."""
    with pytest.raises(InvalidPolicy) as caught:
        Profile("Example", **given)
    assert str(caught.value).startswith(f"profile Example: {message}")


@pytest.mark.parametrize("name", ["", " ", None, 3])
def test_a_profile_has_a_name(name: Any) -> None:
    """D16: it is what messages, reports and origins call it."""
    with pytest.raises(InvalidPolicy, match="a profile's name is"):
        Profile(name)


def test_what_makes_no_sense_together_names_both() -> None:
    """D16: each fits by itself; the message says whose they are."""
    slow = Profile("Slow", {"retry.max_delay": 10})
    base = Policy(name="orders", retry=RetryPolicy(base_delay=20))
    with pytest.raises(
        InvalidPolicy, match=r"profile Slow does not fit policy orders: retry\.base"
    ):
        slow.policy(base)


@pytest.mark.parametrize("base", ["weatherglass.toml", {}, FULL])
def test_a_profile_completes_policies_only(base: Any) -> None:
    """D16: a file is loaded first; the error says what is taken."""
    with pytest.raises(TypeError, match=r"profile is a str, but must be a weatherglass\.Profile"):
        load_policy(environ={}, profile="genesys")  # type: ignore[arg-type]  # the point
    with pytest.raises(TypeError, match="but must be a Policy or a LoadedPolicy"):
        FULL.policy(base)
