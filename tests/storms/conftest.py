"""A fake server and sessions that live in one virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from storm_crew import DOWN, OPEN, once

from weatherglass import Policy, Session
from weatherglass.testing import FakeServer, FaultPlan, VirtualClock
from weatherglass.vocabulary import BreakerState


@pytest.fixture
def clock() -> VirtualClock:
    """The time in which client and server live: nobody really waits."""
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[FakeServer]:
    """A server whose API demands tokens, in virtual time."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        yield server


@pytest.fixture
def real_server() -> Iterator[FakeServer]:
    """The same in real time, for what hangs: a socket's timeout knows no other."""
    with FakeServer(require_tokens=True) as server:
        yield server


@pytest.fixture
def make_session(clock: VirtualClock) -> Iterator[Callable[..., Session]]:
    """Makes sessions in virtual time; keywords that a session does not know are the policy's."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Session:
            own = {"policy", "tokens", "callbacks", "runtime", "recorder", "pool_maxsize"}
            given: dict[str, Any] = {name: settings.pop(name) for name in own & settings.keys()}
            if settings:
                given["policy"] = Policy().new(**settings)
            # Enough connections for a crowd: a full pool would only add noise to the logs.
            session = Session(**{"runtime": clock, "pool_maxsize": 32, **given})
            return stack.enter_context(session)

        yield make


@pytest.fixture
def session(make_session: Callable[..., Session]) -> Session:
    """All defaults: a breaker that opens after five failures in a row, for sixty seconds."""
    return make_session()


@pytest.fixture
def opened(server: FakeServer, session: Session) -> Session:
    """A session whose breaker has just been opened by five failures; the server is up again."""
    server.plan = DOWN
    for _ in range(5):
        once(session, server.url + OPEN)
    assert session.breakers.state(server.url) is BreakerState.OPEN
    server.plan = FaultPlan()
    server.ledger.clear()
    return session
