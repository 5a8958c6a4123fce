"""Rate limits under threads: one call meets the limit, and all hold back."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from storm_crew import (
    API,
    CROWD,
    OPEN,
    PATIENCE,
    Ended,
    credentials,
    crowd,
    reach,
)

from weatherglass import DeadlineExceeded, Session
from weatherglass.testing import (
    FakeServer,
    Fault,
    FaultPlan,
    FaultRule,
    Limiting,
    RateLimit,
    VirtualClock,
    faults,
)
from weatherglass.vocabulary import BreakerState, GiveUpReason, Kind, WaitReason

MakeSession = Callable[..., Session]


def limited(session: Session, server: FakeServer, fault: Fault, path: str = OPEN) -> None:
    """One call meets the fault and does not wait for its own retry."""
    server.plan = FaultPlan.script(fault, path=path)
    reach(session, server.url + path, max_retries=0)
    server.ledger.clear()


@pytest.mark.parametrize("status", [429, 503])
def test_one_limited_call_holds_a_crowd_back(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, status: int
) -> None:
    """A8: after one Retry-After a crowd sends nothing too early, then comes spread out."""
    session = make_session()
    limited(session, server, faults.answer(status, retry_after=30))
    ends = crowd(clock, session, server.url + OPEN)
    assert [end.statuses for end in ends] == [[200]] * CROWD
    arrivals = [entry.arrived_at - server.started_at for entry in server.ledger.requests()]
    assert min(arrivals) >= 30
    assert max(arrivals) <= 33
    assert len(set(arrivals)) == CROWD
    for end in ends:
        [wait] = end.report.waits
        assert wait.reason is WaitReason.GATE
        assert 30 <= wait.actual <= 33
        assert wait.before_attempt == 1


def test_crowd_that_is_limited_together(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """A8, A5: twenty calls that each meet the limit come back once, none too early."""
    rule = FaultRule(
        fault=faults.hold("in", of=faults.answer(429, retry_after=20)),
        nth=tuple(range(1, CROWD + 1)),
    )
    server.plan = FaultPlan(rules=(rule,))
    session = make_session()

    def release() -> None:
        server.wait_held("in", CROWD, PATIENCE)
        server.release("in")

    functions: list[Callable[[], Ended | None]] = [lambda: reach(session, server.url + OPEN)]
    *ends, _ = clock.run_together([*functions * CROWD, release])
    assert [end.statuses for end in ends if end is not None] == [[429, 200]] * CROWD
    again = [e.arrived_at - server.started_at for e in server.ledger.requests()][CROWD:]
    assert min(again) >= 20
    assert len(set(again)) == CROWD


def test_fleet_at_its_rate_limit(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """A8: a fleet at ten times its rate limit gets all answers, with few more 429s than that."""
    server.plan = FaultPlan(
        rate_limit=RateLimit(limit=10, window=60, algorithm=Limiting.WINDOW, path=OPEN)
    )
    session = make_session(retry={"max_retries": 20})

    def work() -> list[Ended]:
        return [reach(session, server.url + OPEN) for _ in range(10)]

    ends = [end for ends in clock.run_together([work] * 10) for end in ends]
    assert [end.status for end in ends] == [200] * 100
    assert server.ledger.by_status()[429] <= 100
    assert session.breakers.state(server.url) is BreakerState.CLOSED


def test_gate_is_that_of_one_credential(server: FakeServer, make_session: MakeSession) -> None:
    """A8: what limits the session's token does not hold back another one, nor vice versa."""
    session = make_session(tokens=credentials(server))
    own = {"Authorization": f"Bearer {server.issue_token()}"}
    other = {"Authorization": f"Bearer {server.issue_token()}"}
    limited(session, server, faults.answer(429, retry_after=100), API)
    assert reach(session, server.url + API, headers=own).report.waits == ()
    server.plan = FaultPlan.script(faults.answer(429, retry_after=100), path=API)
    reach(session, server.url + API, headers=own, max_retries=0)
    assert reach(session, server.url + API, headers=other).report.waits == ()
    assert reach(session, server.url + API, headers=own).report.waited >= 100


def test_gate_is_that_of_one_origin(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """A8: another origin is not held back."""
    session = make_session()
    limited(session, server, faults.answer(429, retry_after=100))
    assert reach(session, server.other_url + OPEN).report.waits == ()
    assert clock.waits == []


def test_waiters_respect_their_deadlines(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """A8, D9: who has less time than the gate is closed does not begin to wait."""
    session = make_session()
    limited(session, server, faults.answer(429, retry_after=30))
    ends = crowd(clock, session, server.url + OPEN, deadline=20)
    assert all(isinstance(end.error, DeadlineExceeded) for end in ends)
    assert {end.report.give_up_reason for end in ends} == {GiveUpReason.DEADLINE}
    assert clock.monotonic() == 0
    assert len(server.ledger) == 0


def test_long_quota_of_one_route_does_not_stop_the_others(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """A6, A8: a daily limit ends the call that met it at once, and holds back nobody."""
    session = make_session()
    server.plan = FaultPlan.script(faults.daily_limit(), path="/status/200")
    end = reach(session, server.url + "/status/200")
    assert end.statuses == [429]
    assert end.report.give_up_reason is GiveUpReason.RETRY_AFTER_ABOVE_CEILING
    assert [e.statuses for e in crowd(clock, session, server.url + OPEN)] == [[200]] * CROWD
    assert clock.monotonic() == 0


def test_gate_that_is_held_again_is_waited_for_again(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """A8: when the first to come back meets the limit again, those still waiting wait on."""
    session = make_session()
    limited(session, server, faults.answer(429, retry_after=30))
    server.plan = FaultPlan.script(faults.answer(429, retry_after=60))
    ends = crowd(clock, session, server.url + OPEN)
    assert [end.status for end in ends] == [200] * CROWD
    assert len(server.ledger) == CROWD + 1
    arrivals = sorted(entry.arrived_at - server.started_at for entry in server.ledger.requests())
    assert arrivals[1] >= arrivals[0] + 60


def test_gate_can_be_turned_off(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """A8: without gates each call finds out for itself."""
    session = make_session(retry_after={"gate": False})
    limited(session, server, faults.answer(429, retry_after=30))
    assert [e.statuses for e in crowd(clock, session, server.url + OPEN)] == [[200]] * CROWD
    assert clock.monotonic() == 0


def test_403_after_a_run_of_429s_is_escalated(
    server: FakeServer,
    make_session: MakeSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """C9: it is named, told, and not retried."""
    limit = faults.answer(429, retry_after=1)
    server.plan = FaultPlan.script(limit, limit, limit, faults.answer(403), path=API)
    session = make_session(tokens=credentials(server))
    with caplog.at_level(logging.DEBUG, "weatherglass"):
        end = reach(session, server.url + API)
    assert end.statuses == [429, 429, 429, 403]
    assert end.status == 403
    assert end.report.failure is not None
    assert end.report.failure.kind is Kind.ESCALATED
    assert end.report.give_up_reason is None
    assert "escalated" in caplog.text


def test_403_is_escalated_across_calls(server: FakeServer, make_session: MakeSession) -> None:
    """C9: the run is the credential's, not the call's."""
    session = make_session(tokens=credentials(server))
    for _ in range(3):
        limited(session, server, faults.answer(429, retry_after=1), API)
    server.plan = FaultPlan.script(faults.answer(403), path=API)
    failure = reach(session, server.url + API).report.failure
    assert failure is not None
    assert failure.kind is Kind.ESCALATED


@pytest.mark.parametrize("between", [None, faults.answer(404), faults.answer(503)])
def test_403_without_a_run_is_ordinary(
    server: FakeServer, make_session: MakeSession, between: Fault | None
) -> None:
    """C9: two 429s are no run, and any other answer ends one."""
    session = make_session(tokens=credentials(server))
    for _ in range(3):
        limited(session, server, faults.answer(429, retry_after=1), API)
    server.plan = FaultPlan.script(between, faults.answer(403), path=API)
    reach(session, server.url + API, max_retries=0)
    failure = reach(session, server.url + API).report.failure
    assert failure is not None
    assert failure.kind is Kind.FORBIDDEN


def test_403_of_another_credential_is_ordinary(
    server: FakeServer, make_session: MakeSession
) -> None:
    """C9: the run of one credential does not make another's 403 suspicious."""
    session = make_session(tokens=credentials(server))
    for _ in range(3):
        limited(session, server, faults.answer(429, retry_after=1), API)
    server.plan = FaultPlan.script(faults.answer(403), path=API)
    own = {"Authorization": f"Bearer {server.issue_token()}"}
    failure = reach(session, server.url + API, headers=own).report.failure
    assert failure is not None
    assert failure.kind is Kind.FORBIDDEN
