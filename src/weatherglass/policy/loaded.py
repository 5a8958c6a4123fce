"""A policy together with the origin of each of its values (rule D17)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weatherglass.policy import printing
from weatherglass.policy.model import Policy
from weatherglass.policy.settings import (
    BREAKER_KEY,
    FEEDS,
    LIMIT_HEADERS,
    RULES,
    SETTINGS,
    WINDOWS,
)

DEFAULT = "default"
"""The origin of what nobody has set."""


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy and where each of its values came from."""

    policy: Policy
    origins: Mapping[str, str]
    """By setting (``retry.max_retries``): ``default``, ``policy <name>`` for a value of the
    policy that loading began with, ``profile <name>``, ``file <path>`` or
    ``environment variable <name>``; several with ``and`` between them."""

    def render(self) -> str:
        """Every value with its origin and meaning, as lines for a person."""
        return printing.render(self.policy, self.origins)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON types, by setting."""
        return printing.to_dict(self.policy, self.origins)

    def to_toml(self) -> str:
        """The same as a policy file that leads to this policy when it is loaded.

        A breaker's key function has no place in a file and is only mentioned.
        """
        return printing.to_toml(self.policy, self.origins)


def with_origins(policy: Policy) -> LoadedPolicy:
    """A policy that was made in Python: what it has changed comes from itself."""
    plain, given = Policy(), f"policy {policy.name}"
    origins = {
        name: DEFAULT if setting.value(policy) == setting.value(plain) else given
        for name, setting in SETTINGS.items()
    }
    for name, records in beside(policy).items():
        origins[name] = given if records else DEFAULT
    origins[BREAKER_KEY] = given if policy.breaker_key is not None else DEFAULT
    return LoadedPolicy(policy, origins)


def beside(policy: Policy) -> dict[str, tuple[Any, ...]]:
    """The lists of records that a policy has beside its settings, by name."""
    return {
        RULES: policy.rules,
        WINDOWS: policy.maintenance.windows,
        LIMIT_HEADERS: policy.limit_headers,
        FEEDS: policy.maintenance.feeds,
    }
