"""A planned maintenance window (rule M1)."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from weatherglass.errors import InvalidPolicy
from weatherglass.origins import origin_of
from weatherglass.policy.knobs import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceWindow:
    """A time in which an origin is expected to be down."""

    name: str
    start: datetime
    """With a time zone."""
    end: datetime
    """With a time zone, after ``start``."""
    hosts: tuple[str, ...] = ()
    """The hosts that it concerns, as they stand in URLs (``api.example.com``); all when empty."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InvalidPolicy(
                f"maintenance.windows: a window's name is {shown(self.name)}, but must be a text"
            )
        where = f"maintenance.windows.{self.name}"
        for field in ("start", "end"):
            value = getattr(self, field)
            if not isinstance(value, datetime) or value.utcoffset() is None:
                raise InvalidPolicy(
                    f"{where}.{field} is {shown(value)}, but must be a date and time with a"
                    " time zone"
                )
        if self.end <= self.start:
            raise InvalidPolicy(
                f"{where}.end is {self.end.isoformat()}, but must be after its start,"
                f" {self.start.isoformat()}"
            )
        object.__setattr__(self, "hosts", checked_hosts(self.hosts, f"{where}.hosts"))

    def concerns(self, host: str) -> bool:
        """Whether the window is about this host."""
        return not self.hosts or host in self.hosts

    def covers(self, at: float) -> bool:
        """Whether the window is in force at this time, in seconds since the epoch."""
        return self.start.timestamp() <= at < self.end.timestamp()


def checked_hosts(given: Any, name: str) -> tuple[str, ...]:
    """Hosts in the spelling by which origins are told apart; one text is one host.

    Raises:
        InvalidPolicy: naming ``name``, for what is no list of hosts.
    """
    try:
        hosts = (given,) if isinstance(given, str) else tuple(given)
    except TypeError:
        hosts = ("",)
    found = [_host(host) for host in hosts]
    if None in found:
        # One with a port, or a pattern, would never be met.
        raise InvalidPolicy(
            f"{name} is {shown(given)}, but must be a list of hosts without scheme, port and *,"
            " like 'api.example.com'"
        )
    return tuple(host for host in found if host)


_NO_HOST: Final = re.compile(r"[\s/*@?#\\]")


def _host(given: Any) -> str | None:
    if not isinstance(given, str) or _NO_HOST.search(given):
        return None
    bare = given[1:-1] if given.startswith("[") and given.endswith("]") else given
    with suppress(ValueError):
        return ipaddress.IPv6Address(bare).compressed
    if ":" in given:
        return None
    try:
        return origin_of(f"https://{given}").host
    except ValueError:
        return None
