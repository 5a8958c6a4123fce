"""What the two documents of an Atlassian Statuspage say, as maintenance windows (rule M1).

``/api/v2/scheduled-maintenances/upcoming.json`` and ``.../active.json``, in which each entry has
``id, name, status, scheduled_for, scheduled_until, started_at`` and ``components[{name}]``
(https://metastatuspage.com/api). Nothing is fetched here. Any bytes can be given: what is no such
document is refused as a whole, an entry that makes no sense is left out (rule S1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from weatherglass.errors import InvalidPolicy
from weatherglass.feeds.reading import FeedUnreadable
from weatherglass.policy import MaintenanceWindow, StatusFeed

PATHS: Final = (
    # In this order: an entry that becomes active in between is seen twice, and never not at all.
    "/api/v2/scheduled-maintenances/upcoming.json",
    "/api/v2/scheduled-maintenances/active.json",
)
"""Where the documents are, behind the page's address, in the order in which to read them."""

LARGEST: Final = 1024 * 1024
"""Bytes: a larger document is refused."""

MOST_ENTRIES: Final = 500
"""Entries of a document that are looked at."""

MOST_WINDOWS: Final = 100
"""Windows that are taken from a page: the first to begin."""

_MOST_COMPONENTS: Final = 500
_LONGEST_NAME: Final = 200
_OPEN: Final = ("scheduled", "in_progress", "verifying")
_UNNAMED: Final = "maintenance"


def windows(feed: StatusFeed, upcoming: bytes, active: bytes) -> tuple[MaintenanceWindow, ...]:
    """The windows that a page announces for a feed, by their start.

    Raises:
        FeedUnreadable: when one of the two is not such a document.
    """
    found: dict[Any, MaintenanceWindow] = {}
    for number, entry in enumerate((*_entries(active), *_entries(upcoming))):
        identity = entry.get("id")
        key = identity if isinstance(identity, str) and identity else number
        # What is active is known better than what was upcoming a moment ago.
        if key not in found and _concerns(entry, feed.components):
            window = _window(entry, feed.hosts)
            if window is not None:
                found[key] = window
    in_order = sorted(found.values(), key=lambda window: (window.start, window.end))
    return tuple(in_order[:MOST_WINDOWS])


def _entries(document: bytes) -> Iterator[Mapping[str, Any]]:
    if len(document) > LARGEST:
        raise FeedUnreadable("too_large")
    try:
        # Numbers mean nothing here, and one of a million digits takes seconds to understand.
        parsed = json.loads(document, parse_int=len, parse_float=len)
    except (ValueError, RecursionError):
        raise FeedUnreadable("not_json") from None
    listed = parsed.get("scheduled_maintenances") if isinstance(parsed, dict) else None
    if not isinstance(listed, list):
        raise FeedUnreadable("not_a_status_page")
    return (entry for entry in listed[:MOST_ENTRIES] if isinstance(entry, dict))


def _concerns(entry: Mapping[str, Any], wanted: tuple[str, ...]) -> bool:
    """Whether an entry is about a component that is asked for; everything is, without a filter."""
    if not wanted:
        return True
    listed = entry.get("components")
    if not isinstance(listed, list):
        return False
    names = [
        component["name"].strip().casefold()
        for component in listed[:_MOST_COMPONENTS]
        if isinstance(component, dict) and isinstance(component.get("name"), str)
    ]
    return any(_matches(pattern.casefold(), name) for pattern in wanted for name in names)


def _matches(pattern: str, name: str) -> bool:
    word = pattern.strip("*")
    if pattern.startswith("*"):
        return word in name if pattern.endswith("*") else name.endswith(word)
    return name.startswith(word) if pattern.endswith("*") else name == word


def _window(entry: Mapping[str, Any], hosts: tuple[str, ...]) -> MaintenanceWindow | None:
    status = entry.get("status")
    if not isinstance(status, str) or status.lower() not in _OPEN:
        return None
    start, end = _moment(entry.get("scheduled_for")), _moment(entry.get("scheduled_until"))
    if start is None or end is None:
        return None
    if status.lower() != "scheduled":
        start = min(start, _begun(entry) or start)
    try:
        return MaintenanceWindow(name=_name(entry), start=start, end=end, hosts=hosts)
    except InvalidPolicy:
        return None


def _begun(entry: Mapping[str, Any]) -> datetime | None:
    """When it really began."""
    started, created = _moment(entry.get("started_at")), _moment(entry.get("created_at"))
    # Pages that do not know put the time of the announcement there.
    return None if started is None or (created is not None and started <= created) else started


def _name(entry: Mapping[str, Any]) -> str:
    """The entry's name, fit to be printed and exported."""
    given = entry.get("name")
    if not isinstance(given, str):
        return _UNNAMED
    printed = "".join(c if c.isprintable() else " " for c in given[: 2 * _LONGEST_NAME])
    return " ".join(printed.split())[:_LONGEST_NAME] or _UNNAMED


_RFC3339: Final = re.compile(
    r"([12]\d{3})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?"
    r"(?:([Zz])|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def _moment(text: Any) -> datetime | None:
    """A date and time of RFC 3339, with whatever offset; ``None`` for anything else."""
    match = _RFC3339.fullmatch(text) if isinstance(text, str) and len(text) < 64 else None
    if match is None:
        return None
    *parts, fraction, utc, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = (int(part) for part in parts)
    microsecond = int(((fraction or "") + "000000")[:6])
    offset = timedelta() if utc else timedelta(hours=int(hours), minutes=int(minutes))
    try:
        # A leap second is the last that datetime knows.
        local = datetime(year, month, day, hour, minute, min(second, 59), microsecond)  # noqa: DTZ001 - placed below
        if second > 60 or offset >= timedelta(days=1):
            return None
        zone = timezone(-offset if sign == "-" else offset)
        return local.replace(tzinfo=zone).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
