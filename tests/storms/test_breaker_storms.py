"""The breaker in whole calls: when it opens, what counts, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

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
    CircuitOpen,
    DeadlineExceeded,
    Session,
)
from weatherglass.runtime import SYSTEM
from weatherglass.testing import (
    FakeServer,
    Fault,
    FaultPlan,
    FaultRule,
    VirtualClock,
    faults,
)
from weatherglass.vocabulary import (
    BreakerState,
    GiveUpReason,
    Kind,
    Outcome,
)

MakeSession = Callable[..., Session]


def test_five_failures_in_a_row_open_it(server: FakeServer, session: Session) -> None:
    """B1: by default four failures leave it closed and the fifth opens it."""
    server.plan = DOWN
    for _ in range(4):
        assert once(session, server.url + OPEN).status == 503
    assert session.breakers.state(server.url) is BreakerState.CLOSED
    assert once(session, server.url + OPEN).status == 503
    assert session.breakers.state(server.url) is BreakerState.OPEN


def test_success_ends_the_run(server: FakeServer, session: Session) -> None:
    """B1: four failures, a success, four failures: it stays closed."""
    down = [faults.answer(503)] * 4
    server.plan = FaultPlan.script(*down, None, *down)
    for _ in range(9):
        once(session, server.url + OPEN)
    assert session.breakers.state(server.url) is BreakerState.CLOSED


def test_network_failures_open_it(server: FakeServer, session: Session) -> None:
    """B4: an origin that refuses connections is as down as one that answers 503."""
    url = server.refused_url()
    ends = [once(session, url) for _ in range(6)]
    assert all(isinstance(end.error, requests.ConnectionError) for end in ends)
    assert isinstance(ends[5].error, CircuitOpen)
    assert not any(isinstance(end.error, CircuitOpen) for end in ends[:5])


def test_open_breaker_refuses_without_sending(server: FakeServer, opened: Session) -> None:
    """B6: a refused call sends nothing, waits for nothing, and says when the next probe is due."""
    ends = Crew([lambda: reach(opened, server.url + OPEN)] * CROWD).join()
    for end in ends:
        assert isinstance(end.error, CircuitOpen)
        assert end.error.next_probe_in is not None
        assert 60 <= end.error.next_probe_in <= 66
        assert end.report.outcome is Outcome.REFUSED
        assert end.report.give_up_reason is GiveUpReason.CIRCUIT_OPEN
        assert end.report.attempts == ()
        assert end.report.duration == 0
    assert len(server.ledger) == 0


def test_circuit_open_is_a_connection_error(server: FakeServer, opened: Session) -> None:
    """B6, D6: an application that knows requests alone takes it for a failed connection."""
    with pytest.raises(requests.ConnectionError):
        opened.get(server.url + OPEN)


def test_failure_rate_opens_it(server: FakeServer, session: Session) -> None:
    """B1: every other call failing never makes five in a row, but half of twenty is too many."""
    server.plan = FaultPlan.script(*[None, faults.answer(503)] * 10)
    for _ in range(19):
        once(session, server.url + OPEN)
    assert session.breakers.state(server.url) is BreakerState.CLOSED
    once(session, server.url + OPEN)
    assert session.breakers.state(server.url) is BreakerState.OPEN


def test_failure_rate_is_that_of_a_window(
    server: FakeServer, clock: VirtualClock, session: Session
) -> None:
    """B1: failures of a minute ago are forgotten."""
    server.plan = FaultPlan.script(*[None, faults.answer(503)] * 20)
    for _ in range(40):
        once(session, server.url + OPEN)
        clock.advance(7)
    assert session.breakers.state(server.url) is BreakerState.CLOSED


def test_slow_calls_open_it_if_asked(server: FakeServer, make_session: MakeSession) -> None:
    """B1: with a limit set, calls that succeed too slowly open it; without one they do not."""
    server.plan = always(faults.delay(3))
    slow = make_session(breaker={"slow_call": 2.0, "minimum_calls": 5})
    patient = make_session(breaker={"minimum_calls": 5})
    for _ in range(5):
        assert once(slow, server.url + OPEN).status == 200
        assert once(patient, server.url + OPEN).status == 200
    assert isinstance(once(slow, server.url + OPEN).error, CircuitOpen)
    assert once(patient, server.url + OPEN).status == 200


def test_server_that_hangs_beyond_deadlines_is_down(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """B4, N3: calls whose deadlines pass while the server hangs open the breaker."""
    server = real_server
    server.plan = always(faults.hang())
    session = make_session(runtime=SYSTEM, deadline=0.1)
    ends = [reach(session, server.url + OPEN) for _ in range(6)]
    assert [end.report.give_up_reason for end in ends[:5]] == [GiveUpReason.DEADLINE] * 5
    assert isinstance(ends[5].error, CircuitOpen)


def test_last_moment_of_a_deadline_is_not_held_against_the_server(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """B4: an attempt that is cut short, with little time left for it, does not count."""
    server = real_server
    server.plan = FaultPlan.script(faults.delay(0.6, of=faults.answer(503)), faults.hang())
    session = make_session(runtime=SYSTEM, deadline=1, retry={"base_delay": 0.001})
    end = reach(session, server.url + OPEN)
    assert end.statuses == [503, None]
    assert end.report.give_up_reason is GiveUpReason.DEADLINE
    assert session.breakers.data(server.url).run == 1


def test_slow_body_is_not_held_against_the_server(
    server: FakeServer, make_session: MakeSession
) -> None:
    """B4, D9: a server that has begun to answer when the time is over is no server that hangs."""
    server.plan = always(faults.delay(101))
    session = make_session(deadline=100)
    for _ in range(6):
        assert isinstance(reach(session, server.url + OPEN).error, DeadlineExceeded)
    assert session.breakers.data(server.url).run == 0


def test_answer_at_the_deadline_is_still_an_answer(
    server: FakeServer, make_session: MakeSession
) -> None:
    """B4, D9: a 503 that arrives when the time is over counts as the 503 that it is."""
    server.plan = FaultPlan.script(
        faults.delay(60, of=faults.answer(503)), faults.delay(45, of=faults.answer(503))
    )
    session = make_session(deadline=100)
    assert reach(session, server.url + OPEN).statuses == [503, 503]
    assert session.breakers.data(server.url).run == 2


HARMLESS = {
    "400": faults.answer(400),
    "401": faults.answer(401),
    "403": faults.answer(403),
    "404": faults.answer(404),
    "408": faults.answer(408),
    "409": faults.answer(409),
    "429": faults.answer(429, retry_after=1),
    "permanent 500": faults.answer(500),
    "501": faults.answer(501),
    "permanent code on a 503": faults.answer(503, code="validation.failed"),
}


@pytest.mark.parametrize("fault", HARMLESS.values(), ids=HARMLESS)
def test_what_is_not_the_servers_fault_does_not_open_it(
    server: FakeServer, session: Session, fault: Fault
) -> None:
    """B4: fifty of these leave it closed."""
    server.plan = always(fault)
    for _ in range(50):
        assert once(session, server.url + OPEN).status == fault.status
    assert session.breakers.state(server.url) is BreakerState.CLOSED


def test_permanent_500_proves_the_server_alive(server: FakeServer, session: Session) -> None:
    """B4: it ends a run of failures; a 404 leaves the run as it is."""
    four = [faults.answer(503)] * 4
    server.plan = FaultPlan.script(*four, faults.answer(500), *four, faults.answer(404))
    for _ in range(10):
        once(session, server.url + OPEN)
    assert session.breakers.state(server.url) is BreakerState.CLOSED
    server.plan = DOWN
    once(session, server.url + OPEN)
    assert session.breakers.state(server.url) is BreakerState.OPEN


def test_one_breaker_per_origin(server: FakeServer, opened: Session) -> None:
    """B5: another origin, though it be the same server, is not concerned."""
    assert isinstance(once(opened, server.url + OPEN).error, CircuitOpen)
    assert once(opened, server.other_url + OPEN).status == 200


def by_method(origin: str, method: str) -> str:
    """A breaker key: reads and writes fail apart."""
    return f"{origin} {'read' if method == 'GET' else 'write'}"


def test_key_is_a_policy_function(server: FakeServer, make_session: MakeSession) -> None:
    """B5: with a key of origin and method, writes that fail do not stop reads."""
    session = make_session(breaker_key=by_method)
    server.plan = always(faults.answer(503), method="POST")
    for _ in range(5):
        once(session, server.url + OPEN, method="POST")
    for method in ("POST", "PUT"):
        assert isinstance(once(session, server.url + OPEN, method=method).error, CircuitOpen)
    assert once(session, server.url + OPEN).status == 200
    assert session.breakers.state(f"{server.url} write") is BreakerState.OPEN
    assert session.breakers.state(f"{server.url} read") is BreakerState.CLOSED


def test_call_in_mid_retry_stops_when_it_opens(server: FakeServer, session: Session) -> None:
    """B6: five attempts open the breaker, and the last real answer is returned at once."""
    server.plan = DOWN
    end = reach(session, server.url + OPEN)
    assert end.statuses == [503] * 5
    assert end.status == 503
    assert end.report.give_up_reason is GiveUpReason.CIRCUIT_OPEN
    assert len(end.report.waits) == 4


def test_sleeping_call_finds_it_open(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """B6: a sleeping call for which others open the breaker returns its own last answer."""
    session = make_session(retry={"base_delay": 30.0})
    server.plan = DOWN

    def sleeper() -> Ended:
        return reach(session, server.url + "/status/200")

    def opener() -> None:
        server.ledger.wait_until(1, PATIENCE, path="/status/200")
        for _ in range(4):
            once(session, server.url + OPEN)

    end, _ = clock.run_together([sleeper, opener])
    assert isinstance(end, Ended)
    assert end.statuses == [503]
    assert end.status == 503
    assert end.report.give_up_reason is GiveUpReason.CIRCUIT_OPEN
    assert end.report.failure is not None
    assert end.report.failure.kind is Kind.UNAVAILABLE


def test_sleeping_call_with_a_network_failure_finds_it_open(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """B6: what it raises then is its own last error, not the breaker's."""
    session = make_session(retry={"base_delay": 30.0})
    server.plan = FaultPlan(
        rules=(
            FaultRule(fault=faults.reset(), path="/status/200"),
            FaultRule(fault=faults.answer(503)),
        )
    )

    def opener() -> None:
        server.ledger.wait_until(1, PATIENCE, path="/status/200")
        for _ in range(4):
            once(session, server.url + OPEN)

    end, _ = clock.run_together([lambda: reach(session, server.url + "/status/200"), opener])
    assert isinstance(end, Ended)
    assert isinstance(end.error, requests.ConnectionError)
    assert not isinstance(end.error, CircuitOpen)
    assert end.report.give_up_reason is GiveUpReason.CIRCUIT_OPEN


def test_healthy_calls_overlap_fully(real_server: FakeServer, make_session: MakeSession) -> None:
    """D13: eight calls of one session that the server holds are all in it at the same time."""
    server = real_server
    server.plan = always(faults.hold("inside"))
    session = make_session()
    crew = Crew([lambda: reach(session, server.url + OPEN)] * 8)
    server.wait_held("inside", 8, PATIENCE)
    server.release("inside")
    assert [end.statuses for end in crew.join()] == [[200]] * 8


def test_disabled_breaker_refuses_nothing(server: FakeServer, make_session: MakeSession) -> None:
    """B1: a policy without breakers lets every failure through."""
    session = make_session(breaker={"enabled": False})
    server.plan = DOWN
    assert [once(session, server.url + OPEN).status for _ in range(30)] == [503] * 30
