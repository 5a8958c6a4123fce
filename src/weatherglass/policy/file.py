"""Settings, and the lists of records that stand beside them, from a TOML file (rule D17).

The names are those of Python: ``max_retries = 3`` under ``[retry]``; ``name``, ``mode``,
``deadline`` and ``raise_failures`` at the top; ``[[rules]]``, ``[[limit_headers]]``,
``[[maintenance.windows]]`` and ``[[maintenance.feeds]]`` for the lists of records. TOML has no
null: ``"none"`` stands for no value where that is allowed.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from weatherglass.errors import InvalidPolicy
from weatherglass.policy.feed import StatusFeed
from weatherglass.policy.knobs import fitted, shown
from weatherglass.policy.limit_headers import LimitHeaders
from weatherglass.policy.model import GROUPS
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
from weatherglass.policy.window import MaintenanceWindow

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LARGEST_FILE = 1024 * 1024
"""Bytes: a larger file is refused unread (rule S1)."""

_MOST_DOT_WORK = 25_000_000
_LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a policy file holds; nothing for what it leaves out."""

    origin: str
    """``file weatherglass.toml``"""
    values: Mapping[str, Any]
    """Values by the names of their settings."""
    rules: tuple[Rule, ...]
    windows: tuple[MaintenanceWindow, ...]
    limit_headers: tuple[LimitHeaders, ...]
    feeds: tuple[StatusFeed, ...]


def read_file(file: str | os.PathLike[str]) -> FileContents:
    """Read a policy file.

    Raises:
        InvalidPolicy: when it cannot be read, is larger than 1 MiB, is not TOML (the message
            names the line), has an unknown key (the message names the nearest known ones), or
            a value that does not fit.
    """
    origin = f"file {os.fspath(file)}"
    document = _parse(_read(file, origin), origin)
    try:
        return FileContents(
            origin,
            _values(document),
            _rules(document),
            _windows(document),
            _limit_headers(document),
            _feeds(document),
        )
    except InvalidPolicy as error:
        raise InvalidPolicy(f"{error} ({origin})") from None


def _read(file: str | os.PathLike[str], origin: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidPolicy(f"{origin} cannot be read: {reason}") from error
    if len(data) > LARGEST_FILE:
        raise InvalidPolicy(f"{origin} is too large: at most {LARGEST_FILE} bytes are read")
    return data


def _parse(data: bytes, origin: str) -> dict[str, Any]:
    # Parsers take time and memory that grow with the square of the parts of a dotted key.
    if sum(line.count(b".") ** 2 for line in data.split(b"\n")) > _MOST_DOT_WORK:
        raise InvalidPolicy(f"{origin} is not acceptable: it has lines with thousands of dots")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise InvalidPolicy(f"{origin} is not acceptable: it is nested too deeply") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidPolicy(f"{origin} is not UTF-8 (at line {line})") from None
    except ValueError as error:
        last = data.count(b"\n") + 1
        reason = str(error).replace("at end of document", f"at line {last}, the last")
        raise InvalidPolicy(f"{origin} is not valid TOML: {reason}") from error


def _values(document: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in document.items():
        if key in GROUPS:
            for field, inner in _table(value, key).items():
                if f"{key}.{field}" not in (WINDOWS, FEEDS):
                    _take(values, f"{key}.{field}", inner)
        elif key not in (RULES, LIMIT_HEADERS):
            _take(values, key, value)
    return values


def _take(values: dict[str, Any], name: str, value: Any) -> None:
    setting = SETTINGS.get(name)
    if setting is None:
        raise InvalidPolicy(_unknown(name))
    values[name] = fitted(setting.knob, _from_toml(setting, value), name)


def _unknown(name: str) -> str:
    if name == BREAKER_KEY:
        return "breaker_key is not a setting of files: it can be given in Python only"
    near = nearest(name, [*SETTINGS, *GROUPS, RULES, LIMIT_HEADERS, WINDOWS, FEEDS])
    return f"{name[:_LONGEST_SHOWN]} is not a setting; {near}"


def _from_toml(setting: Setting, value: Any) -> Any:
    if setting.knob.optional and isinstance(value, str) and value.lower() == "none":
        return None
    return value


def _rules(document: Mapping[str, Any]) -> tuple[Rule, ...]:
    known = [field.name for field in dataclasses.fields(Rule)]
    return tuple(
        Rule(**_record(table, f"{RULES}[{number}]", known, ("name",)))
        for number, table in enumerate(_tables(document.get(RULES, ()), RULES))
    )


def _limit_headers(document: Mapping[str, Any]) -> tuple[LimitHeaders, ...]:
    known = [field.name for field in dataclasses.fields(LimitHeaders)]
    tables = _tables(document.get(LIMIT_HEADERS, ()), LIMIT_HEADERS)
    return tuple(
        LimitHeaders(**_record(table, f"{LIMIT_HEADERS}[{number}]", known, ("name",)))
        for number, table in enumerate(tables)
    )


def read_windows(data: bytes, origin: str) -> tuple[MaintenanceWindow, ...]:
    """The ``[[windows]]`` of a file that has nothing else (``maintenance.file``).

    Raises:
        InvalidPolicy: when it is not TOML, or has something else or a value that does not fit.
    """
    document = _parse(data, origin)
    try:
        _record(document, "the file", ("windows",), ())
        return _windows_of(document.get("windows", ()), "windows")
    except InvalidPolicy as error:
        raise InvalidPolicy(f"{error} ({origin})") from None


def _windows(document: Mapping[str, Any]) -> tuple[MaintenanceWindow, ...]:
    return _windows_of(_listed(document, WINDOWS), WINDOWS)


def _feeds(document: Mapping[str, Any]) -> tuple[StatusFeed, ...]:
    known = [field.name for field in dataclasses.fields(StatusFeed)]
    return tuple(
        StatusFeed(**_record(table, f"{FEEDS}[{number}]", known, ("url",)))
        for number, table in enumerate(_tables(_listed(document, FEEDS), FEEDS))
    )


def _listed(document: Mapping[str, Any], name: str) -> Any:
    section, _, field = name.partition(".")
    return document.get(section, {}).get(field, ())


def _windows_of(listed: Any, name: str) -> tuple[MaintenanceWindow, ...]:
    known = [field.name for field in dataclasses.fields(MaintenanceWindow)]
    windows = []
    for number, table in enumerate(_tables(listed, name)):
        where = f"{name}[{number}]"
        record = _record(table, where, [*known, "timezone"], ("name", "start", "end"))
        zone = _zone(record.pop("timezone", None), where)
        for bound in ("start", "end"):
            record[bound] = _placed(record[bound], zone, f"{where}.{bound}")
        windows.append(MaintenanceWindow(**record))
    return tuple(windows)


def _zone(name: Any, where: str) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    # Besides an unknown name: one that is no text, that leads out of the data base, or into
    # one of its folders.
    except (KeyError, ValueError, TypeError, AttributeError, OSError):
        raise InvalidPolicy(
            f"{where}.timezone is {shown(name)}, but must be a time zone that"
            " this machine knows, such as 'Europe/Berlin'"
        ) from None


def _placed(value: Any, zone: ZoneInfo | None, name: str) -> Any:
    """A date and time with its time zone; anything else is left for the window to refuse."""
    if not isinstance(value, datetime) or value.tzinfo is not None:
        return value
    if zone is None:
        raise InvalidPolicy(
            f"{name} is {value.isoformat()}, but must have an offset (+02:00), or its window a"
            " timezone = 'Europe/Berlin'"
        )
    return value.replace(tzinfo=zone)


def _table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidPolicy(f"{name} is {shown(value)}, but must be a table: [{name}]")
    return value


def _tables(value: Any, name: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, Mapping) for v in value):
        raise InvalidPolicy(f"{name} is {shown(value)}, but must be tables: [[{name}]]")
    return list(value)


def _record(
    table: Mapping[str, Any], where: str, known: Iterable[str], required: Iterable[str]
) -> dict[str, Any]:
    for key in table:
        if key not in known:
            raise InvalidPolicy(
                f"{where}.{key[:_LONGEST_SHOWN]} is not known; {nearest(key, known)}"
            )
    for key in required:
        if key not in table:
            raise InvalidPolicy(f"{where} has no {key}, but must have one")
    return dict(table)
