"""The breaker watched and driven from outside, under real threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from itertools import pairwise

import pytest
from storm_crew import DOWN, OPEN, PATIENCE, Crew, Ended, once

from weatherglass import Callbacks, CircuitOpen, Session
from weatherglass.decide.breaker import Transition
from weatherglass.testing import FakeServer, FaultPlan, VirtualClock, faults
from weatherglass.vocabulary import BreakerCause, BreakerState

MakeSession = Callable[..., Session]


def test_transitions_of_an_outage(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """B8: a watcher is told of each step of an outage, with its cause."""
    told: list[Transition] = []
    session = make_session(callbacks=Callbacks(on_transition=told.append))
    server.plan = DOWN
    for _ in range(5):
        once(session, server.url + OPEN)
    clock.advance(67)
    once(session, server.url + OPEN)
    server.plan = FaultPlan()
    clock.advance(133)
    once(session, server.url + OPEN)
    assert [(step.state, step.cause) for step in told] == [
        (BreakerState.OPEN, BreakerCause.CONSECUTIVE_FAILURES),
        (BreakerState.HALF_OPEN, BreakerCause.PROBE_DUE),
        (BreakerState.OPEN, BreakerCause.PROBE_FAILED),
        (BreakerState.HALF_OPEN, BreakerCause.PROBE_DUE),
        (BreakerState.CLOSED, BreakerCause.PROBE_SUCCEEDED),
    ]
    assert {step.name for step in told} == {server.url}


def test_transitions_are_told_in_order_under_threads(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """B8: whatever eleven threads do, each step that a watcher sees begins where one ended."""
    told: list[Transition] = []
    session = make_session(
        callbacks=Callbacks(on_transition=told.append),
        breaker={"consecutive_failures": 2, "cooldown": 1.0, "jitter": 0.0},
    )
    server.plan = FaultPlan.chaos([faults.answer(503)], 0.5)

    def call() -> None:
        for _ in range(25):
            once(session, server.url + OPEN)
            clock.advance(0.3)

    def push() -> None:
        for _ in range(40):
            session.breakers.force_open(server.url)
            clock.advance(0.2)
            session.breakers.force_closed(server.url)
            clock.advance(0.2)

    Crew([call] * 10 + [push]).join()
    assert len(told) >= 80
    assert told[0].previous is BreakerState.CLOSED
    assert all(one.state is other.previous for one, other in pairwise(told))
    generations = [step.generation for step in told]
    assert generations == sorted(set(generations))
    assert session.breakers.state(server.url) is told[-1].state


def test_watcher_is_called_without_any_lock(server: FakeServer, make_session: MakeSession) -> None:
    """B8, D13: what a watcher does in other threads is not blocked by the call it is told by."""
    seen: list[Ended] = []

    def look(_: Transition) -> None:
        seen.extend(Crew([lambda: once(session, server.other_url + OPEN)] * 3).join())
        seen.extend(Crew([lambda: once(session, server.url + OPEN)] * 3).join())
        Crew([session.breakers.states]).join()

    session = make_session(callbacks=Callbacks(on_transition=look))
    server.plan = FaultPlan.script(*[faults.answer(503)] * 5)
    for _ in range(5):
        once(session, server.url + OPEN)
    assert [end.status for end in seen] == [200] * 3 + [None] * 3


def test_watcher_that_raises_changes_nothing(
    server: FakeServer, make_session: MakeSession, caplog: pytest.LogCaptureFixture
) -> None:
    """R6, B8: the fifth failure is returned as it came, and the watcher's mistake is logged."""

    def fail(_: Transition) -> None:
        raise RuntimeError("my own mistake")

    session = make_session(callbacks=Callbacks(on_transition=fail))
    server.plan = DOWN
    with caplog.at_level(logging.WARNING, "weatherglass"):
        assert [once(session, server.url + OPEN).status for _ in range(5)] == [503] * 5
    assert "on_transition" in caplog.text
    assert isinstance(once(session, server.url + OPEN).error, CircuitOpen)


def test_forced_open_refuses_a_healthy_server(
    server: FakeServer, make_session: MakeSession
) -> None:
    """B8: an operator can shut an origin off: nothing is sent and no probe is promised."""
    session = make_session()
    assert once(session, server.url + OPEN).status == 200
    session.breakers.force_open(server.url)
    ends = Crew([lambda: once(session, server.url + OPEN)] * 10).join()
    assert all(isinstance(end.error, CircuitOpen) for end in ends)
    assert {end.error.next_probe_in for end in ends if isinstance(end.error, CircuitOpen)} == {None}
    assert len(server.ledger) == 1


def test_forced_open_stays_for_days(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """B8: time does not undo what an operator did; closing does."""
    session = make_session()
    session.breakers.force_open(server.url)
    clock.advance(86400 * 7)
    assert isinstance(once(session, server.url + OPEN).error, CircuitOpen)
    session.breakers.force_closed(server.url)
    assert once(session, server.url + OPEN).status == 200


def test_forced_closed_opens_again_by_the_rules(
    server: FakeServer, make_session: MakeSession
) -> None:
    """B8: closing forgets the failures, and the next five open it again."""
    session = make_session()
    server.plan = DOWN
    for _ in range(5):
        once(session, server.url + OPEN)
    session.breakers.force_closed(server.url)
    assert [once(session, server.url + OPEN).status for _ in range(5)] == [503] * 5
    assert isinstance(once(session, server.url + OPEN).error, CircuitOpen)


def test_disabled_by_hand_lets_everything_through(
    server: FakeServer, make_session: MakeSession
) -> None:
    """B8: a disabled breaker counts nothing, until it is reset."""
    session = make_session()
    session.breakers.disable(server.url)
    server.plan = DOWN
    assert [once(session, server.url + OPEN).status for _ in range(20)] == [503] * 20
    assert session.breakers.state(server.url) is BreakerState.DISABLED
    session.breakers.reset(server.url)
    assert session.breakers.state(server.url) is BreakerState.CLOSED


def test_states_can_be_read_while_threads_call(
    server: FakeServer, make_session: MakeSession
) -> None:
    """B8: the states of all breakers can be read at any time, by name."""
    session = make_session()
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            once(session, server.url + OPEN)

    crew = Crew([call] * 4)
    server.ledger.wait_until(20, PATIENCE)
    for _ in range(100):
        assert session.breakers.states() == {server.url: BreakerState.CLOSED}
    stop.set()
    crew.join()
