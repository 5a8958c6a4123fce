"""The catalogue of all settings, made from the model: names, variables, and what is near a typo.

A knob added to a group is a setting at once: loading, printing and docs are driven from here.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from weatherglass.policy.knobs import Knob, knob_of
from weatherglass.policy.model import GROUPS, Policy

PREFIX = "WEATHERGLASS_"

CONFIG_VARIABLE = "WEATHERGLASS_CONFIG"
"""The environment variable that names the policy file."""

RULES = "rules"
WINDOWS = "maintenance.windows"
LIMIT_HEADERS = "limit_headers"
FEEDS = "maintenance.feeds"
BREAKER_KEY = "breaker_key"
"""What a policy has beside its knobs; the last can be given in Python only."""

_LONGEST_COMPARED = 80


@dataclass(frozen=True, slots=True)
class Setting:
    """One knob of a policy and where it stands."""

    section: str
    """The group, or an empty text for what the policy itself holds."""
    field: str
    knob: Knob

    @property
    def name(self) -> str:
        """The name in messages and origins: ``retry.max_retries``."""
        return f"{self.section}.{self.field}" if self.section else self.field

    @property
    def variable(self) -> str:
        """The environment variable: ``WEATHERGLASS_RETRY_MAX_RETRIES``."""
        return PREFIX + self.name.replace(".", "_").upper()

    def value(self, policy: Policy) -> Any:
        """The value that a policy has for it."""
        holder = getattr(policy, self.section) if self.section else policy
        return getattr(holder, self.field)


def _settings() -> Iterator[Setting]:
    records: dict[str, type[Any]] = {"": Policy, **GROUPS}
    for section, record in records.items():
        for field in dataclasses.fields(record):
            knob = knob_of(field)
            if knob is not None:
                yield Setting(section, field.name, knob)


SETTINGS: Mapping[str, Setting] = MappingProxyType({s.name: s for s in _settings()})
"""Every setting by name, in the order of the model."""

VARIABLES: Mapping[str, Setting] = MappingProxyType({s.variable: s for s in SETTINGS.values()})
"""Every setting by environment variable."""


def nearest(unknown: str, known: Iterable[str]) -> str:
    """The known names that are most like an unknown one, in words."""
    close = difflib.get_close_matches(unknown[:_LONGEST_COMPARED], sorted(known), n=3, cutoff=0)
    return (
        "the nearest is " + close[0] if len(close) == 1 else "the nearest are " + ", ".join(close)
    )
