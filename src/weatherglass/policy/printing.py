"""A policy written down, with the origin of each value: for persons, as JSON, as TOML (D17)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from weatherglass.policy.feed import StatusFeed
from weatherglass.policy.limit_headers import LimitHeaders
from weatherglass.policy.model import Policy
from weatherglass.policy.rule import Rule
from weatherglass.policy.settings import (
    BREAKER_KEY,
    FEEDS,
    LIMIT_HEADERS,
    RULES,
    SETTINGS,
    WINDOWS,
    Setting,
)
from weatherglass.policy.window import MaintenanceWindow

Origins = Mapping[str, str]

_Record = Rule | LimitHeaders | MaintenanceWindow | StatusFeed


def to_dict(policy: Policy, origins: Origins) -> dict[str, Any]:
    """Every setting with value, origin, meaning, allowed values and variable; plain JSON types."""
    plain: dict[str, Any] = {
        name: {
            "value": _plain(setting.value(policy)),
            "origin": origins[name],
            "help": setting.knob.help,
            "allowed": setting.knob.allowed,
            "variable": setting.variable,
        }
        for name, setting in SETTINGS.items()
    }
    beside = {
        WINDOWS: [_record(window) for window in policy.maintenance.windows],
        FEEDS: [_record(feed) for feed in policy.maintenance.feeds],
        RULES: [_record(rule) for rule in policy.rules],
        LIMIT_HEADERS: [_record(family) for family in policy.limit_headers],
        BREAKER_KEY: _function(policy),
    }
    return plain | {n: {"value": v, "origin": origins[n]} for n, v in beside.items()}


def render(policy: Policy, origins: Origins) -> str:
    """Lines for a person: each value, its origin, and under them what it means."""
    rows = [
        (s.section, s.field, _worded(s.value(policy)), origins[name], s.knob.help)
        for name, s in SETTINGS.items()
    ]
    names = max(len(field) for _, field, _, _, _ in rows)
    values = min(24, max(len(value) for _, _, value, _, _ in rows))
    lines: list[str] = []
    section = ""
    for group, field, value, origin, meaning in rows:
        if group != section:
            section = group
            lines += ["", f"[{group}]"]
        lines.append(f"{field:<{names}} = {value:<{values}}  {origin}")
        lines.append(f"{'':<{names}}   {meaning}")
    lines.append("")
    lines += _counted("rules", [rule.name for rule in policy.rules], origins[RULES])
    families = [family.name for family in policy.limit_headers]
    lines += _counted("limit headers", families, origins[LIMIT_HEADERS])
    lines += _counted("windows", [_span(w) for w in policy.maintenance.windows], origins[WINDOWS])
    lines += _counted("feeds", [_page(f) for f in policy.maintenance.feeds], origins[FEEDS])
    lines.append(f"{BREAKER_KEY}: {_function(policy) or 'one breaker per origin'}")
    return "\n".join(lines)


def to_toml(policy: Policy, origins: Origins) -> str:
    """A policy file; each value's origin, meaning and allowed values stand above it."""
    lines: list[str] = []
    section = ""
    for name, setting in SETTINGS.items():
        if setting.section != section:
            section = setting.section
            lines += [f"[{section}]"]
        lines += _entry(setting, policy, origins[name])
    for window in policy.maintenance.windows:
        lines += _tables(WINDOWS, window)
    for feed in policy.maintenance.feeds:
        lines += _tables(FEEDS, feed)
    for rule in policy.rules:
        lines += _tables(RULES, rule)
    for family in policy.limit_headers:
        lines += _tables(LIMIT_HEADERS, family)
    if policy.breaker_key is not None:
        lines.append(f"# {BREAKER_KEY} is {_function(policy)}, which can be given in Python only.")
    return "\n".join(lines).rstrip() + "\n"


def _entry(setting: Setting, policy: Policy, origin: str) -> Iterator[str]:
    yield f"# {setting.knob.help}"
    yield _comment(f"{setting.knob.allowed}; {origin}")
    yield f"{setting.field} = {_spelled(setting.value(policy))}"
    yield ""


def _tables(name: str, record: _Record) -> Iterator[str]:
    yield f"[[{name}]]"
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value is not None and value != ():
            yield f"{field.name} = {_spelled(value)}"
    yield ""


def _comment(text: str) -> str:
    # A path in an origin can hold a line break, which would end the comment.
    return "# " + "".join(c if c.isprintable() else "?" for c in text)


def _worded(value: Any) -> str:
    """A value for a person."""
    return "none" if value is None else _spelled(value)


def _spelled(value: Any) -> str:
    """A value as TOML spells it."""
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return _stamp(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_spelled(item) for item in value) + "]"
    if isinstance(value, str):
        text = str(value)  # a word of our vocabulary is its spelling
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _stamp(at: datetime) -> str:
    offset = at.utcoffset()
    # Local mean times, with their odd seconds, cannot be written in RFC 3339.
    whole = offset is not None and not offset % timedelta(minutes=1)
    return (at if whole else at.astimezone(timezone.utc)).isoformat()


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return _stamp(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _record(record: _Record) -> dict[str, Any]:
    return {f.name: _plain(getattr(record, f.name)) for f in dataclasses.fields(record)}


def _function(policy: Policy) -> str | None:
    key = policy.breaker_key
    if key is None:
        return None
    return f"{key.__module__}.{getattr(key, '__qualname__', type(key).__qualname__)}"


def _span(window: MaintenanceWindow) -> str:
    return f"{window.name}, {_stamp(window.start)} to {_stamp(window.end)}"


def _page(feed: StatusFeed) -> str:
    return feed.name if feed.name in feed.url else f"{feed.name}, {feed.url}"


def _counted(noun: str, items: list[str], origin: str) -> list[str]:
    if not items:
        return [f"{noun}: none"]
    return [f"{noun}: {len(items)}, {origin}", *(f"  {item}" for item in items)]
