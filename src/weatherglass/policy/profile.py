"""What is known of one vendor's API, as data that a policy is completed with (rule G1).

A profile knows what the core does not: which codes will pass, which headers tell of the limit,
what the server calls an exchange. It holds no code, so it cannot do anything that a policy
cannot. Addresses, credentials and the vendor's way to a token belong to a session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from weatherglass.errors import InvalidPolicy
from weatherglass.policy.feed import StatusFeed
from weatherglass.policy.knobs import fitted, shown
from weatherglass.policy.limit_headers import LimitHeaders
from weatherglass.policy.loaded import DEFAULT, LoadedPolicy, beside, with_origins
from weatherglass.policy.model import GROUPS, Policy
from weatherglass.policy.rule import Rule
from weatherglass.policy.settings import (
    BREAKER_KEY,
    FEEDS,
    LIMIT_HEADERS,
    RULES,
    SETTINGS,
    WINDOWS,
    Setting,
    nearest,
)

_PLAIN = Policy()
_ELSEWHERE = {
    "name": "the profile's own name is the policy's",
    RULES: "give them as rules=(...)",
    LIMIT_HEADERS: "give them as limit_headers=(...)",
    FEEDS: "give them as feeds=(...)",
    WINDOWS: "windows belong to a policy, not to a profile",
    BREAKER_KEY: "it belongs to a policy, not to a profile",
}


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of one vendor's API: rules, headers, feeds, and settings that fit it.

    It is data: immutable, comparable, and it pickles. It is validated when it is made.

    Raises:
        InvalidPolicy: for an unknown setting (the message names the nearest) and for values
            that make no sense, alone or together; the message names the profile.
    """

    name: str
    """The vendor's name. A policy that has none of its own gets it."""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Values by the names of their settings, as in files: ``{"retry.max_retries": 3}``."""
    rules: tuple[Rule, ...] = ()
    """What the vendor's errors mean."""
    limit_headers: tuple[LimitHeaders, ...] = ()
    """The headers in which the vendor tells of its rate limit."""
    feeds: tuple[StatusFeed, ...] = ()
    """The status pages on which the vendor announces maintenance."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InvalidPolicy(
                f"a profile's name is {shown(self.name)}, but must be a text that is not empty"
            )
        with_name = f"profile {self.name}"
        try:
            own = _own_policy(self)
        except InvalidPolicy as error:
            raise InvalidPolicy(f"{with_name}: {error}") from None
        taken = {name: SETTINGS[name].value(own) for name in self.settings}
        object.__setattr__(self, "settings", MappingProxyType(taken))
        lists = beside(own)
        for name, held in (("rules", RULES), ("limit_headers", LIMIT_HEADERS), ("feeds", FEEDS)):
            object.__setattr__(self, name, lists[held])

    def __reduce__(self) -> tuple[Any, ...]:
        """A read-only mapping does not pickle; an unpickled profile is validated again."""
        plain = dict(self.settings)
        return Profile, (self.name, plain, self.rules, self.limit_headers, self.feeds)

    def policy(self, base: Policy | LoadedPolicy | None = None) -> Policy:
        """The policy ``base``, completed by this profile.

        What ``base`` has changed stays; where it has weatherglass' default, the profile's value
        holds. Of a loaded policy, all that a file or a variable says counts as changed, the
        default value too. Lists (rules, limit headers, feeds, and settings that are empty by
        default, such as ``correlation_headers``) are joined, those of ``base`` first, without
        doubles; of limit headers and feeds of one name, that of ``base`` stays. The policy gets
        the profile's name unless it has one.

        Raises:
            InvalidPolicy: when the values of the two make no sense together.
            TypeError: when ``base`` is no policy.
        """
        return self.onto(base).policy

    def onto(self, base: Policy | LoadedPolicy | None = None) -> LoadedPolicy:
        """The same policy, with the origin of each value."""
        if base is None or isinstance(base, Policy):
            base = with_origins(_PLAIN if base is None else base)
        elif not isinstance(base, LoadedPolicy):
            raise TypeError(
                f"base is a {type(base).__name__}, but must be a Policy or a LoadedPolicy"
            )
        return _completed(base, self)


def changed(policy: Policy, values: Mapping[str, Any]) -> Policy:
    """The policy with values by the names of their settings.

    Raises:
        InvalidPolicy: for values that make no sense, alone or together.
    """
    changes: dict[str, Any] = {}
    for name, value in values.items():
        section, dot, inner = name.rpartition(".")
        if dot:
            changes.setdefault(section, {})[inner] = value
        else:
            changes[name] = value
    return policy.new(**changes)


def _own_policy(profile: Profile) -> Policy:
    """The policy of a profile alone, which holds its values in their proper form."""
    settings = profile.settings
    if not isinstance(settings, Mapping):
        raise InvalidPolicy(
            f"settings is {shown(settings)}, but must be a mapping such as"
            " {'retry.max_retries': 3}"
        )
    values: dict[str, Any] = {"name": profile.name}
    for name, value in settings.items():
        values[name] = fitted(_setting(name).knob, value, name)
    lists = {RULES: profile.rules, LIMIT_HEADERS: profile.limit_headers, FEEDS: profile.feeds}
    values.update({name: records for name, records in lists.items() if records != ()})
    return changed(_PLAIN, values)


def _setting(name: Any) -> Setting:
    if not isinstance(name, str):
        raise InvalidPolicy(f"settings has {shown(name)}, but must have the names of settings")
    if name in _ELSEWHERE:
        raise InvalidPolicy(f"{name} is not a setting of profiles: {_ELSEWHERE[name]}")
    if name in GROUPS:
        raise InvalidPolicy(f"{name} is a group; name its settings, such as '{name}.…'")
    found = SETTINGS.get(name)
    if found is None:
        raise InvalidPolicy(f"{shown(name)} is not a setting; {nearest(name, SETTINGS)}")
    return found


def _completed(base: LoadedPolicy, profile: Profile) -> LoadedPolicy:
    mine = f"profile {profile.name}"
    values: dict[str, Any] = {}
    origins = dict(base.origins)
    for name, value in _chosen(base, profile):
        values[name], origins[name] = value, mine
    for name, value in _gathered(base.policy, profile):
        before = origins.get(name, DEFAULT)
        values[name], origins[name] = value, mine if before == DEFAULT else f"{before} and {mine}"
    try:
        return LoadedPolicy(changed(base.policy, values), origins)
    except InvalidPolicy as error:
        raise InvalidPolicy(f"{mine} does not fit policy {base.policy.name}: {error}") from None


_Values = Iterator[tuple[str, Any]]


def _chosen(base: LoadedPolicy, profile: Profile) -> _Values:
    """The profile's settings that hold, since nobody has made another choice."""
    for name, value in (("name", profile.name), *profile.settings.items()):
        if not _is_collection(SETTINGS[name]) and base.origins.get(name, DEFAULT) == DEFAULT:
            yield name, value


def _gathered(policy: Policy, profile: Profile) -> _Values:
    """What both hold together."""
    for name, value in profile.settings.items():
        if _is_collection(SETTINGS[name]):
            yield name, _joined(SETTINGS[name].value(policy), value)
    for name, records, same in (
        (RULES, profile.rules, None),
        (LIMIT_HEADERS, profile.limit_headers, attrgetter("name")),
        (FEEDS, profile.feeds, attrgetter("name")),
    ):
        if records:
            yield name, _joined(beside(policy)[name], records, same)


def _is_collection(setting: Setting) -> bool:
    """Whether a list of texts gathers things (none by default), or is a choice like any other."""
    return setting.knob.type is tuple and setting.value(_PLAIN) == ()


def _joined(
    first: Iterable[Any], more: Iterable[Any], same: Callable[[Any], Any] | None = None
) -> tuple[Any, ...]:
    """Both lists without doubles; of two that are the same, the first stays."""
    found: dict[Any, Any] = {}
    for each in (*first, *more):
        found.setdefault(each if same is None else same(each), each)
    return tuple(found.values())
