"""A server, a session and the virtual time that both live in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scenes import Clock

from weatherglass import Session
from weatherglass.layers import forget_warnings
from weatherglass.testing import FakeServer
from weatherglass.testing.plugin import (
    weatherglass_requests_mock as weatherglass_requests_mock,  # noqa: PLC0414 - a fixture, for here
)


@pytest.fixture
def clock() -> Clock:
    """Time that passes only in waits, and chance that is always one half."""
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[FakeServer]:
    """A server without faults; a test sets its ``plan``."""
    with FakeServer(clock=clock) as server:
        yield server


@pytest.fixture
def session(clock: Clock) -> Iterator[Session]:
    """A session as it is made without any configuration, but for its clock."""
    with Session(runtime=clock) as session:
        yield session


@pytest.fixture
def warned_of_nothing() -> Iterator[None]:
    """For tests of warnings that are given once per process."""
    forget_warnings()
    yield
    forget_warnings()
