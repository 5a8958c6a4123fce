"""The breaker once it is open: cool-downs, probes, and outcomes that come late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import requests
from storm_crew import (
    CROWD,
    DOWN,
    OPEN,
    PATIENCE,
    Crew,
    Ended,
    always,
    once,
    reach,
)

from weatherglass import (
    Adapter,
    BreakerPolicy,
    CircuitOpen,
    Policy,
    Session,
)
from weatherglass.testing import (
    FakeServer,
    FaultPlan,
    FaultRule,
    VirtualClock,
    faults,
)
from weatherglass.vocabulary import (
    BreakerState,
    GiveUpReason,
)

MakeSession = Callable[..., Session]


def next_probe(session: Session, url: str) -> float:
    """Seconds until the next probe, as a refused caller is told."""
    end = once(session, url)
    assert isinstance(end.error, CircuitOpen)
    assert end.error.next_probe_in is not None
    return end.error.next_probe_in


def test_one_probe_of_a_crowd_reaches_the_server(
    server: FakeServer, clock: VirtualClock, opened: Session
) -> None:
    """B2: of twenty callers at half-open one reaches the server, and nineteen are refused."""
    server.plan = always(faults.hold("probe"))
    clock.advance(67)
    refused = threading.Semaphore(0)

    def call() -> Ended:
        end = reach(opened, server.url + OPEN)
        refused.release()
        return end

    crew = Crew([call] * CROWD)
    for _ in range(CROWD - 1):
        assert refused.acquire(timeout=PATIENCE)
    assert opened.breakers.state(server.url) is BreakerState.HALF_OPEN
    server.wait_held("probe", 1, PATIENCE)
    server.release("probe")
    ends = crew.join()
    errors = [end.error for end in ends if end.error is not None]
    assert len(errors) == CROWD - 1
    assert all(isinstance(error, CircuitOpen) and error.next_probe_in is None for error in errors)
    [probe] = [end for end in ends if end.error is None]
    assert probe.status == 200
    assert probe.report.attempts[0].breaker_state is BreakerState.HALF_OPEN
    assert len(server.ledger) == 1
    assert opened.breakers.state(server.url) is BreakerState.CLOSED
    assert once(opened, server.url + OPEN).status == 200


def test_failed_probes_make_the_cool_down_longer(
    server: FakeServer, clock: VirtualClock, opened: Session
) -> None:
    """B2: 60, 120, 240, 480, then 600 seconds, and a success starts it from the beginning."""
    server.plan = DOWN
    for expected in (60, 120, 240, 480, 600, 600):
        due = next_probe(opened, server.url + OPEN)
        assert expected - 1e-6 <= due <= min(600, expected * 1.1)
        clock.advance(due)
        end = reach(opened, server.url + OPEN)
        assert (end.statuses, end.report.give_up_reason) == ([503], GiveUpReason.CIRCUIT_OPEN)
    server.plan = FaultPlan()
    clock.advance(600)
    assert once(opened, server.url + OPEN).status == 200
    server.plan = DOWN
    for _ in range(5):
        once(opened, server.url + OPEN)
    assert 60 <= next_probe(opened, server.url + OPEN) <= 66


@pytest.mark.parametrize("status", [404, 401, 500])
def test_probe_that_is_answered_closes(
    server: FakeServer, clock: VirtualClock, opened: Session, status: int
) -> None:
    """B2, B4: whatever shows the server alive closes it; a 401 says nothing and frees the place."""
    server.plan = FaultPlan.script(faults.answer(status))
    clock.advance(67)
    assert once(opened, server.url + OPEN).status == status
    assert once(opened, server.url + OPEN).status == 200
    assert opened.breakers.state(server.url) is BreakerState.CLOSED


class Cancelled(BaseException):
    """What stops a thread from outside."""


def test_cancelled_probe_frees_its_place(
    server: FakeServer, clock: VirtualClock, opened: Session
) -> None:
    """B3: a probe whose thread is stopped while it sends lets the next one through at once."""

    def body() -> Iterator[bytes]:
        yield b"x"
        raise Cancelled

    clock.advance(67)
    with pytest.raises(Cancelled):
        opened.put(server.url + OPEN, data=body())
    assert once(opened, server.url + OPEN).status == 200


def test_hung_probe_loses_its_place_and_its_say(
    server: FakeServer, clock: VirtualClock, opened: Session
) -> None:
    """B3: a hanging probe's lease lapses, and its late failure does not undo the next one."""
    late = faults.hold("hung", of=faults.answer(503))
    server.plan = FaultPlan.script(late)
    clock.advance(67)
    hung = Crew([lambda: reach(opened, server.url + OPEN, max_retries=0)])
    server.wait_held("hung", 1, PATIENCE)
    clock.advance(59)
    assert isinstance(once(opened, server.url + OPEN).error, CircuitOpen)
    clock.advance(2)
    assert once(opened, server.url + OPEN).status == 200
    assert opened.breakers.state(server.url) is BreakerState.CLOSED
    server.release("hung")
    assert hung.join()[0].status == 503
    data = opened.breakers.data(server.url)
    assert (data.state, data.run, data.late) == (BreakerState.CLOSED, 0, 1)


@pytest.mark.parametrize("status", [200, 503])
def test_late_outcomes_do_not_move_it(server: FakeServer, session: Session, status: int) -> None:
    """B3: requests that were under way when it opened do neither close it nor make it worse."""
    held = faults.hold("late", of=faults.answer(status))
    server.plan = FaultPlan(
        rules=(
            FaultRule(fault=held, path="/status/200"),
            FaultRule(fault=faults.answer(503), path=OPEN),
        )
    )
    late = Crew([lambda: once(session, server.url + "/status/200")] * 8)
    server.wait_held("late", 8, PATIENCE)
    for _ in range(5):
        once(session, server.url + OPEN)
    before = session.breakers.data(server.url)
    assert before.state is BreakerState.OPEN
    server.release("late")
    assert [end.status for end in late.join()] == [status] * 8
    after = session.breakers.data(server.url)
    assert (after.state, after.probe_at) == (BreakerState.OPEN, before.probe_at)
    assert after.late == before.late + 8


@pytest.mark.parametrize("gate", [True, False])
def test_retry_after_of_a_503_makes_the_cool_down_longer(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, gate: bool
) -> None:
    """B7, B6: a 503 that asks for 170 s is not probed sooner, and calls are refused at once."""
    session = make_session(retry_after={"gate": gate}, breaker={"consecutive_failures": 1})
    server.plan = always(faults.answer(503, retry_after=170))
    once(session, server.url + OPEN)
    assert next_probe(session, server.url + OPEN) == 170
    clock.advance(100)
    assert next_probe(session, server.url + OPEN) == 70
    server.plan = FaultPlan()
    clock.advance(70)
    assert once(session, server.url + OPEN).status == 200


def test_open_breaker_refuses_before_a_closed_gate(server: FakeServer, clock: VirtualClock) -> None:
    """B6, A8: nobody waits at a gate only to be refused by the breaker behind it."""
    policy = Policy(breaker=BreakerPolicy(consecutive_failures=1))
    with requests.Session() as session:
        session.mount("http://", Adapter(policy=policy, runtime=clock))
        server.plan = always(faults.answer(503, retry_after=100))
        assert reach(session, server.url + OPEN).statuses == [503]
        waited = len(clock.waits)
        end = reach(session, server.url + OPEN)
        assert isinstance(end.error, CircuitOpen)
        assert end.error.next_probe_in == 100
        assert len(clock.waits) == waited
