"""Calls that are paced: what their callers see, and what ends a wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from scenes import Clock, outcome_of, reason, statuses, token_source

import weatherglass
from weatherglass import (
    CallFailed,
    CircuitOpen,
    DeadlineExceeded,
    Policy,
    RateLimited,
    Session,
    SessionClosed,
)
from weatherglass.policy import LimitHeaders, PacingPolicy
from weatherglass.runtime import Wakeable
from weatherglass.testing import TOKEN_PATH, FakeServer, FaultPlan, faults
from weatherglass.vocabulary import ObservedDecision, WaitReason

FAMILY = LimitHeaders(name="mine", limit="x-limit", remaining="x-left", reset="x-reset")
PACED = Policy(limit_headers=(FAMILY,), pacing=PacingPolicy(enabled=True))


def told(left: int, reset: float = 30, status: int = 200) -> Any:
    """An answer that tells of a limit of ten requests."""
    headers = {"x-limit": "10", "x-left": str(left), "x-reset": f"{reset:g}"}
    return faults.answer(status, headers=headers)


def windowed(left: int) -> list[Any]:
    """Three answers by which the limit is seen to be a fixed window."""
    return [told(9), told(5), told(left)]


@pytest.fixture
def paced(clock: Clock) -> Iterator[Session]:
    """A session with pacing."""
    with Session(policy=PACED, runtime=clock) as session:
        yield session


def learn(server: FakeServer, session: Session, left: int) -> None:
    """Three calls, after which the limit is known and ``left`` requests are left."""
    server.plan = FaultPlan.script(*windowed(left))
    for _ in range(3):
        session.request("GET", f"{server.url}/echo", max_retries=0)


def test_a_wait_is_in_the_report(server: FakeServer, paced: Session) -> None:
    """G4: the wait has a reason of its own, and costs no retry and no budget."""
    learn(server, paced, left=3)
    answer = paced.get(f"{server.url}/echo")
    report = weatherglass.report(answer)
    (wait,) = report.waits
    assert (wait.reason, wait.before_attempt) == (WaitReason.PACING, 1)
    # The attempt before it was one of five in thirty seconds.
    assert wait.actual == pytest.approx(6)
    assert statuses(answer) == [200]


def test_without_pacing_nobody_waits(server: FakeServer, clock: Clock) -> None:
    """G4: it is off by default."""
    with Session(policy=Policy(limit_headers=(FAMILY,)), runtime=clock) as session:
        learn(server, session, left=0)
        assert weatherglass.report(session.get(f"{server.url}/echo")).waits == ()


def test_deadlines_are_heeded(server: FakeServer, paced: Session, clock: Clock) -> None:
    """G4, D9: a wait that would cross the deadline is not begun."""
    learn(server, paced, left=0)
    outcome = outcome_of(lambda: paced.request("GET", f"{server.url}/echo", deadline=5))
    assert isinstance(outcome, DeadlineExceeded)
    assert reason(outcome) == "deadline"
    assert clock.waits == []


def test_nobody_waits_longer_than_for_a_retry_after(
    server: FakeServer, paced: Session, clock: Clock
) -> None:
    """G4, A6: a limit that is used up for hours is told at once, as the server's word would be."""
    server.plan = FaultPlan.script(told(9, 8000), told(5, 8000), told(0, 8000))
    for _ in range(3):
        paced.get(f"{server.url}/echo")
    outcome = outcome_of(lambda: paced.get(f"{server.url}/echo"))
    assert isinstance(outcome, RateLimited)
    assert reason(outcome) == "retry_after_above_ceiling"
    assert outcome.retry_after == pytest.approx(8001)
    assert clock.waits == []


def test_closing_ends_the_wait(server: FakeServer) -> None:
    """G4, D14: who waits for a place is woken when the session is closed."""

    class Closing(Clock):
        session: Session | None = None

        def wait(self, wake: Wakeable, seconds: float) -> bool:
            if self.session is not None:
                self.session.close()
            return super().wait(wake, seconds)

    clock = Closing()
    with Session(policy=PACED, runtime=clock) as session:
        learn(server, session, left=0)
        clock.session = session
        outcome = outcome_of(lambda: session.get(f"{server.url}/echo"))
        clock.session = None
    assert isinstance(outcome, SessionClosed)


def test_an_open_breaker_refuses_before_the_wait(
    server: FakeServer, paced: Session, clock: Clock
) -> None:
    """G4, B6: nobody waits for a place to be refused afterwards, or takes one from others."""
    learn(server, paced, left=0)
    paces = paced.adapter.live.paces
    assert paces is not None
    before = paces.states()
    paced.breakers.force_open(server.url)
    outcome = outcome_of(lambda: paced.get(f"{server.url}/echo"))
    assert isinstance(outcome, CircuitOpen)
    assert clock.waits == []
    assert paces.states() == before


def test_observing_tells_and_does_not_wait(server: FakeServer, clock: Clock) -> None:
    """G4, D18: what would have waited is told, is sent, and is still learned from."""
    with Session(policy=PACED.new(mode="observe"), runtime=clock) as session:
        learn(server, session, left=0)
        answer = session.get(f"{server.url}/echo")
        paces = session.adapter.live.paces
    assert weatherglass.report(answer).observed == (ObservedDecision.PACING_WAIT,)
    assert clock.waits == []
    assert paces is not None
    (state,) = paces.states().values()
    assert (state.sent, state.settled) == (4, 4)


def test_a_limit_that_is_hit_meanwhile_is_waited_for(server: FakeServer) -> None:
    """G4, A8: who waited for a place still passes the gate that a 429 has closed since."""

    class Meanwhile(Clock):
        session: Session | None = None

        def wait(self, wake: Wakeable, seconds: float) -> bool:
            session, self.session = self.session, None
            if session is not None:
                server.plan = FaultPlan.script(faults.answer(429, retry_after=50))
                session.request("GET", f"{server.url}/echo", max_retries=0)
            return super().wait(wake, seconds)

    clock = Meanwhile()
    with Session(policy=PACED, runtime=clock) as session:
        learn(server, session, left=3)
        session.get(f"{server.url}/echo")
        clock.session = session
        report = weatherglass.report(session.get(f"{server.url}/echo"))
    reasons = [wait.reason for wait in report.waits]
    assert reasons[:2] == [WaitReason.PACING, WaitReason.GATE]
    assert [attempt.status for attempt in report.attempts] == [200]


def test_a_place_that_is_not_used_is_given_back(server: FakeServer, clock: Clock) -> None:
    """G4: a call that gets no token after its place was never made, and is not counted as such."""
    server.plan = FaultPlan.script(*[faults.answer(400)] * 9, path=TOKEN_PATH)
    with Session(policy=PACED, tokens=token_source(server), runtime=clock) as session:
        outcome = outcome_of(lambda: session.get(f"{server.url}/echo"))
        assert isinstance(outcome, CallFailed)
        assert outcome.report.attempts == ()
        paces = session.adapter.live.paces
        assert paces is not None
        (state,) = paces.states().values()
    assert (state.sent, state.settled) == (1, 1)


def test_failures_tell_of_the_limit_too(server: FakeServer, paced: Session) -> None:
    """G4: the headers of an error count like those of a success."""
    server.plan = FaultPlan.script(told(9), told(5), told(0, status=404))
    for _ in range(3):
        paced.get(f"{server.url}/echo")
    (wait,) = weatherglass.report(paced.get(f"{server.url}/echo")).waits
    assert wait.reason is WaitReason.PACING
    assert wait.planned == pytest.approx(31)


def test_other_credentials_go_on(server: FakeServer, paced: Session) -> None:
    """G4: a limit is one credential's; another one does not wait for it."""
    learn(server, paced, left=0)
    answer = paced.get(f"{server.url}/echo", headers={"Authorization": "Bearer other"})
    assert weatherglass.report(answer).waits == ()


def test_broken_connections_leave_no_trace(server: FakeServer, paced: Session) -> None:
    """G4: an attempt without an answer is over like any other."""
    server.plan = FaultPlan.script(*[faults.reset()] * 3, told(9))
    assert isinstance(paced.get(f"{server.url}/echo"), requests.Response)
    paces = paced.adapter.live.paces
    assert paces is not None
    (state,) = paces.states().values()
    assert (state.sent, state.settled) == (4, 4)
