"""What the tests of status feeds need: feeds of the fake server, and readings that have ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from storm_crew import PATIENCE

from weatherglass import Adapter, Policy, Session
from weatherglass.feeds import FeedReading
from weatherglass.policy import StatusFeed
from weatherglass.runtime import SYSTEM, Wakeable
from weatherglass.testing import Entry, FakeServer, Fault, FaultPlan, FaultRule, VirtualClock

PAGES = "/api/v2/scheduled-maintenances/*"
"""The documents of the status page."""

UPCOMING = "/api/v2/scheduled-maintenances/upcoming.json"
ACTIVE = "/api/v2/scheduled-maintenances/active.json"


def feed(server: FakeServer, **settings: Any) -> StatusFeed:
    """The server's own status page; its windows concern the server by its address alone."""
    return StatusFeed(server.url, **{"name": "page", "hosts": ("127.0.0.1",), **settings})


def feed_policy(server: FakeServer, **settings: Any) -> Policy:
    """The default policy with that page."""
    return Policy().new(maintenance={"feeds": (feed(server, **settings),)})


def adapter(session: Session) -> Adapter:
    """The session's adapter."""
    found = session.get_adapter("https://api.example.com")
    assert isinstance(found, Adapter)
    return found


def read(session: Session) -> Mapping[str, FeedReading]:
    """Read the session's feeds here and now."""
    return adapter(session).read_feeds()


def readers() -> list[threading.Thread]:
    """The threads that read feeds just now."""
    return [t for t in threading.enumerate() if t.name == "weatherglass-feeds"]


def settle() -> None:
    """Return when nobody reads any more."""
    until = SYSTEM.monotonic() + PATIENCE
    while threads := readers():
        # One that another thread has just made cannot be joined yet.
        with suppress(RuntimeError):
            threads[0].join(PATIENCE)
        assert SYSTEM.monotonic() < until, "a reading hangs"


def pages(server: FakeServer) -> list[Entry]:
    """The requests for the status page."""
    return [e for e in server.ledger.requests() if "scheduled-maintenances" in e.path]


def spoiled(fault: Fault, **plan: Any) -> FaultPlan:
    """The status page fails so, and nothing else does."""
    return FaultPlan(rules=(FaultRule(fault=fault, path=PAGES),), **plan)


class UnhurriedClock(VirtualClock):
    """Virtual time that waits for readings, which take none of it."""

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        settle()
        return super().wait(wake, seconds)
