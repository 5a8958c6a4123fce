"""One server, and the same test for a session of requests and for one of ours.

A test that passes with the original states how requests behaves; that it passes with ours is the
proof of rule D1.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

import weatherglass
from weatherglass.testing import FakeServer, VirtualClock

CLASSES: tuple[type[requests.Session], ...] = (requests.Session, weatherglass.Session)


@pytest.fixture
def clock() -> VirtualClock:
    """The time of the server and of our sessions."""
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[FakeServer]:
    """A server without faults; a test sets its ``plan``."""
    with FakeServer(clock=clock) as server:
        yield server


@pytest.fixture(params=CLASSES, ids=["original", "ours"])
def session_class(request: pytest.FixtureRequest) -> type[requests.Session]:
    """The class to subclass or to instantiate."""
    chosen: type[requests.Session] = request.param
    return chosen


@pytest.fixture
def session(
    session_class: type[requests.Session], clock: VirtualClock
) -> Iterator[requests.Session]:
    """A session as it is made without any configuration, but for the clock of ours."""
    if issubclass(session_class, weatherglass.Session):
        made: requests.Session = session_class(runtime=clock)
    else:
        made = session_class()
    with made as session:
        yield session
