"""The policy in force: defaults, then a file, then the environment (rule D17).

What is said in Python comes last: ``load_policy().policy.new(deadline=20)``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weatherglass.errors import InvalidPolicy
from weatherglass.policy.environment import read_environment
from weatherglass.policy.file import FileContents, read_file
from weatherglass.policy.loaded import DEFAULT, LoadedPolicy, with_origins
from weatherglass.policy.model import Policy
from weatherglass.policy.profile import Profile
from weatherglass.policy.settings import (
    CONFIG_VARIABLE,
    FEEDS,
    LIMIT_HEADERS,
    RULES,
    SETTINGS,
    WINDOWS,
)


def load_policy(
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    base: Policy | None = None,
    profile: Profile | None = None,
) -> LoadedPolicy:
    """The policy that a file and the environment ask for, upon ``base`` or the defaults.

    The environment wins over the file. Without ``file``, the variable ``WEATHERGLASS_CONFIG``
    names it; without either there is none. ``environ`` is the process's environment unless
    given. Rules and limit headers of the file are asked before those of ``base``; windows of the
    file join those of ``base``, and replace those of the same name. What none of them sets,
    ``profile`` does, as :meth:`Profile.policy <weatherglass.Profile.policy>` says.

    Raises:
        InvalidPolicy: for a file that cannot be read or is not valid, for a key or a variable
            with our prefix that is no setting, and for values that make no sense, alone or
            together; the message names what was wrong, where it stands and what is allowed.
        TypeError: when ``profile`` is no profile, but its name, say.
    """
    if environ is None:
        environ = os.environ
    if profile is not None and not isinstance(profile, Profile):
        raise TypeError(
            f"profile is a {type(profile).__name__}, but must be a weatherglass.Profile"
        )
    start = Policy() if base is None else base
    origins = dict(with_origins(start).origins)
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
    loaded = LoadedPolicy(_changed(start, found), origins)
    return loaded if profile is None else profile.onto(loaded)


def _joined(start: Policy, contents: FileContents) -> tuple[Policy, list[str]]:
    """The policy with the file's lists of records, and which of them the file has."""
    joined = []
    if contents.rules:
        start = replace(start, rules=(*contents.rules, *start.rules))
        joined.append(RULES)
    if contents.windows:
        names = {window.name for window in contents.windows}
        kept = [window for window in start.maintenance.windows if window.name not in names]
        start = start.new(maintenance={"windows": (*kept, *contents.windows)})
        joined.append(WINDOWS)
    if contents.feeds:
        names = {feed.name for feed in contents.feeds}
        pages = [feed for feed in start.maintenance.feeds if feed.name not in names]
        start = start.new(maintenance={"feeds": (*pages, *contents.feeds)})
        joined.append(FEEDS)
    if contents.limit_headers:
        named = {family.name for family in contents.limit_headers}
        others = [family for family in start.limit_headers if family.name not in named]
        start = replace(start, limit_headers=(*contents.limit_headers, *others))
        joined.append(LIMIT_HEADERS)
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
