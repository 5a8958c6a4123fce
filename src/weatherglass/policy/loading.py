"""The policy in force: defaults, then a file, then the environment (rule D17).

What is said in Python comes last: ``load_policy().policy.new(deadline=20)``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from weatherglass.errors import InvalidPolicy
from weatherglass.policy import printing
from weatherglass.policy.environment import read_environment
from weatherglass.policy.file import FileContents, read_file
from weatherglass.policy.model import Policy
from weatherglass.policy.settings import (
    BREAKER_KEY,
    CONFIG_VARIABLE,
    RULES,
    SETTINGS,
    WINDOWS,
)

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy and where each of its values came from."""

    policy: Policy
    origins: Mapping[str, str]
    """By setting (``retry.max_retries``): ``default``, ``policy <name>`` for a value of the
    policy that loading began with, ``file <path>`` or ``environment variable <name>``."""

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


def load_policy(
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    base: Policy | None = None,
) -> LoadedPolicy:
    """The policy that a file and the environment ask for, upon ``base`` or the defaults.

    The environment wins over the file. Without ``file``, the variable ``WEATHERGLASS_CONFIG``
    names it; without either there is none. ``environ`` is the process's environment unless
    given. Rules of the file are asked before those of ``base``; windows of the file join
    those of ``base``, and replace those of the same name.

    Raises:
        InvalidPolicy: for a file that cannot be read or is not valid, for a key or a variable
            with our prefix that is no setting, and for values that make no sense, alone or
            together; the message names what was wrong, where it stands and what is allowed.
    """
    if environ is None:
        environ = os.environ
    start = Policy() if base is None else base
    origins = _origins_of(start)
    found: dict[str, tuple[Any, str]] = {}
    named = environ.get(CONFIG_VARIABLE) if file is None else file
    contents = read_file(named) if named is not None and named != "" else None
    if contents is not None:
        found.update({name: (value, contents.origin) for name, value in contents.values.items()})
        start, joined = _joined(start, contents)
        for name in joined:
            origins[name] = _both(contents.origin, origins[name])
    found.update(read_environment(environ))
    origins.update({name: origin for name, (_, origin) in found.items()})
    return LoadedPolicy(_changed(start, found), origins)


def _origins_of(start: Policy) -> dict[str, str]:
    """Where the values of the policy that loading begins with come from."""
    plain = Policy()
    given = f"policy {start.name}"
    origins = {
        name: DEFAULT if setting.value(start) == setting.value(plain) else given
        for name, setting in SETTINGS.items()
    }
    origins[RULES] = given if start.rules else DEFAULT
    origins[WINDOWS] = given if start.maintenance.windows else DEFAULT
    origins[BREAKER_KEY] = given if start.breaker_key is not None else DEFAULT
    return origins


def _joined(start: Policy, contents: FileContents) -> tuple[Policy, list[str]]:
    """The policy with the file's rules and windows, and which of the two the file has."""
    joined = []
    if contents.rules:
        start = replace(start, rules=(*contents.rules, *start.rules))
        joined.append(RULES)
    if contents.windows:
        names = {window.name for window in contents.windows}
        kept = [window for window in start.maintenance.windows if window.name not in names]
        start = start.new(maintenance={"windows": (*kept, *contents.windows)})
        joined.append(WINDOWS)
    return start, joined


def _both(origin: str, before: str) -> str:
    return origin if before == DEFAULT else f"{origin} and {before}"


def _changed(start: Policy, found: Mapping[str, tuple[Any, str]]) -> Policy:
    changes: dict[str, Any] = {}
    for name, (value, _) in found.items():
        setting = SETTINGS[name]
        if setting.section:
            changes.setdefault(setting.section, {})[setting.field] = value
        else:
            changes[setting.field] = value
    try:
        return start.new(**changes)
    except InvalidPolicy as error:
        # Each value fits by itself; two together do not: say where each comes from.
        blamed = [
            f"{name}: {origin}"
            for name, (_, origin) in found.items()
            if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", str(error))
        ]
        raise InvalidPolicy(f"{error} ({'; '.join(blamed)})") from None
