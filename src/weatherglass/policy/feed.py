"""A status page that announces maintenance windows (rule M1)."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from typing import Final
from urllib.parse import urlsplit

from weatherglass.errors import InvalidPolicy
from weatherglass.origins import checked_url
from weatherglass.policy.knobs import check, knob, shown
from weatherglass.policy.window import checked_hosts


@dataclass(frozen=True, slots=True)
class StatusFeed:
    """A status page in the manner of Atlassian Statuspage, read for its scheduled maintenances.

    Raises:
        InvalidPolicy: for a URL that is neither https nor loopback, and for values that make no
            sense; the message names the feed.
    """

    url: str
    """The page's address, without the path of its API: ``https://status.example.com``."""
    _: KW_ONLY
    name: str = ""
    """Named in telemetry and by ``Adapter.feed_ages``; by default the URL's host."""
    components: tuple[str, ...] = knob(
        (),
        "Names of the page's components, without regard to case, with * at either end for any"
        " run of characters; all entries when empty.",
        type=tuple,
    )
    hosts: tuple[str, ...] = ()
    """The hosts that its windows concern, as they stand in URLs; all when empty."""
    ttl: float = knob(300.0, "Seconds between two readings.", type=float, minimum=1, maximum=86400)
    timeout: float = knob(
        10.0, "Seconds that a reading may take.", type=float, above=0, maximum=600
    )
    allow_insecure: bool = knob(
        False, "Whether a host other than loopback may be read without TLS.", type=bool
    )

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isprintable():
            raise InvalidPolicy(
                f"maintenance.feeds: a feed's name is {shown(self.name)}, but must be a text that"
                " can be printed"
            )
        where = f"maintenance.feeds.{self.name}" if self.name else "maintenance.feeds"
        origin = checked_url(self.url, f"{where}.url", allow_insecure=self.allow_insecure is True)
        parts = urlsplit(self.url)
        if parts.query:
            raise InvalidPolicy(f"{where}.url has a query, but must be the address of a page")
        if _OF_THE_API.search(parts.path):
            raise InvalidPolicy(
                f"{where}.url has the path {shown(parts.path)} of the page's API, but must be the"
                f" address of the page: {origin}"
            )
        object.__setattr__(self, "url", self.url.rstrip("/"))
        object.__setattr__(self, "name", self.name or origin.host)
        where = f"maintenance.feeds.{self.name}"
        if isinstance(self.components, str):
            object.__setattr__(self, "components", (self.components,))
        check(self, where)
        _check_patterns(self.components, f"{where}.components")
        object.__setattr__(self, "hosts", checked_hosts(self.hosts, f"{where}.hosts"))


_OF_THE_API: Final = re.compile(r"/api/v\d+(/|$)|\.json/?$")


def _check_patterns(patterns: tuple[str, ...], name: str) -> None:
    for pattern in patterns:
        if "*" in pattern[1:-1] or not pattern.strip("*"):
            raise InvalidPolicy(
                f"{name} has {shown(pattern)}, but must have names of components, with * at"
                " either end only"
            )
