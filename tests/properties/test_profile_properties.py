"""Whatever a policy and a profile hold: whose word counts, and that nothing is lost or doubled."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from test_policy_properties import CHANGES, RULES, policy_with

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import Policy, Profile, Rule, load_policy
from weatherglass.policy.settings import SETTINGS

PLAIN = Policy()
OWN = CHANGES.map(lambda changes: {n: v for n, v in changes.items() if n != "name"})
SOME_RULES = st.lists(RULES, max_size=3).map(tuple)


def completed(base: Policy, profile: Profile) -> Policy:
    """The policy of both; examples in which they contradict each other are dropped."""
    try:
        return profile.policy(base)
    except InvalidPolicy as error:
        assume(not str(error).startswith("profile vendor does not fit policy "))
        raise


def joined(first: tuple[Any, ...], more: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*first, *more)))


def profile_with(settings: Mapping[str, Any], rules: tuple[Rule, ...]) -> Profile:
    try:
        return Profile("vendor", settings, rules)
    except InvalidPolicy as error:
        assume(" must be at most " not in str(error))
        raise


@given(changes=CHANGES, base_rules=SOME_RULES, settings=OWN, rules=SOME_RULES)
def test_every_value_comes_from_where_it_should(
    changes: dict[str, Any],
    base_rules: tuple[Rule, ...],
    settings: dict[str, Any],
    rules: tuple[Rule, ...],
) -> None:
    """G1: the policy's word, then the profile's, then the default; lists are joined."""
    base = policy_with(changes).new(rules=base_rules)
    profile = profile_with(settings, rules)
    policy = completed(base, profile)

    for name, setting in SETTINGS.items():
        mine, theirs = setting.value(base), profile.settings.get(name)
        default = setting.value(PLAIN)
        found = setting.value(policy)
        if name == "name":
            assert found == (mine if mine != default else "vendor")
        elif setting.knob.type is tuple and default == ():
            assert found == (mine if theirs is None else joined(mine, theirs))
        elif mine != default or name not in profile.settings:
            assert found == mine
        else:
            assert found == theirs
    assert policy.rules == (joined(base_rules, rules) if rules else base_rules)
    assert completed(policy, profile) == policy


@given(settings=OWN, rules=SOME_RULES)
def test_profiles_pickle_and_print(settings: dict[str, Any], rules: tuple[Rule, ...]) -> None:
    """G1, D17: a profile is a value, and whatever it brings has an origin."""
    profile = profile_with(settings, rules)

    assert pickle.loads(pickle.dumps(profile)) == profile  # noqa: S301 - our own bytes
    loaded = load_policy(environ={}, profile=profile)
    assert loaded.policy == profile.policy()
    for name in profile.settings:
        assert loaded.origins[name] == "profile vendor"
    assert "profile vendor" in loaded.to_toml()
