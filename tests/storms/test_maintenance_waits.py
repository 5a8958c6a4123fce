"""Calls that wait for the end of a maintenance window."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

import pytest
from storm_crew import (
    CROWD,
    HOUR,
    OPEN,
    RELEASE,
    Ended,
    closed_for,
    crowd,
    in_window,
    reach,
)

from weatherglass import (
    CircuitOpen,
    DeadlineExceeded,
    Session,
)
from weatherglass.runtime import SystemRuntime
from weatherglass.testing import (
    FakeServer,
    FaultPlan,
    FaultRule,
    Maintenance,
    VirtualClock,
    faults,
)
from weatherglass.vocabulary import (
    GiveUpReason,
    WaitReason,
)

MakeSession = Callable[..., Session]


def test_fleet_that_waits_comes_back_after_the_window_one_by_one(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M3: in the mode `wait` a fleet succeeds after the window, spread out, none refused."""
    server.plan = closed_for()
    session = in_window(server, clock, make_session, mode="wait")
    ends = crowd(clock, session, server.url + OPEN)
    assert [end.status for end in ends] == [200] * CROWD
    assert {wait.reason for end in ends for wait in end.report.waits} == {WaitReason.MAINTENANCE}
    after = [
        entry.arrived_at - server.started_at - RELEASE.end
        for entry in server.ledger.requests()
        if entry.status == 200
    ]
    assert len(after) == CROWD
    assert min(after) >= 0
    assert max(after) < 10
    assert len(set(after)) >= CROWD - 1, "some came back at the same moment"


@pytest.mark.parametrize("late", [False, True])
def test_fleet_that_fails_together_waits_together(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, late: bool
) -> None:
    """M3: those who met the window themselves and those refused for it wait alike."""
    together = faults.hold("together", of=faults.answer(503))
    server.plan = FaultPlan(
        maintenance=(RELEASE,),
        rules=(FaultRule(fault=together, nth=tuple(range(1, CROWD + 1)), until=RELEASE.end),),
    )
    session = in_window(server, clock, make_session, mode="wait")
    if late:
        server.release("together")

    def release() -> None:
        if not late:
            server.wait_held("together", CROWD)
            server.release("together")

    functions: list[Callable[[], Ended | None]] = [lambda: reach(session, server.url + OPEN)]
    *ends, _ = clock.run_together([*functions * CROWD, release])
    assert [end.status for end in ends if end is not None] == [200] * CROWD
    assert all(end.report.maintenance == "release" for end in ends if end is not None)


def returns(server: FakeServer) -> list[float]:
    """When calls that had waited came back, in seconds since the server was started."""
    return [e.arrived_at - server.started_at for e in server.ledger.requests() if e.status == 200]


def back_early(server: FakeServer, clock: VirtualClock, make_session: MakeSession) -> Session:
    """A session that has met its window, which is to end at 4200 s; its server is back at 700 s."""
    server.plan = closed_for(Maintenance(name="release", start=600, end=4200, down_until=700))
    session = in_window(server, clock, make_session, mode="wait")
    # Who has no time to wait finds out for the others.
    assert reach(session, server.url + OPEN, deadline=60).statuses == [503]
    return session


def test_fleet_that_waits_comes_back_when_a_probe_succeeds(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M5: when a call finds the server up before the end, those who wait come back, spread out."""
    session = back_early(server, clock, make_session)

    def call_later() -> Ended:
        clock.wait(threading.Event(), 200)
        return reach(session, server.url + OPEN)

    # Of writes, no one probes by itself.
    waiting: list[Callable[[], Ended]] = [lambda: reach(session, server.url + OPEN, method="POST")]
    *ends, probe = clock.run_together([*waiting * CROWD, call_later])
    assert probe.statuses == [200]
    assert [end.status for end in ends] == [200] * CROWD
    probed, *others = sorted(returns(server))
    assert probed == pytest.approx(801)
    assert others[0] > probed
    assert others[-1] - probed < 30 + 5, "a probe interval, and what they are spread over"
    assert others[-1] - others[0] > 1
    assert len(set(others)) == CROWD


def test_one_of_those_who_wait_finds_out_that_the_server_is_back(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M5: where all wait, they probe by turns, one at a time, and come back with the server."""
    session = back_early(server, clock, make_session)
    ends = crowd(clock, session, server.url + OPEN)
    assert [end.status for end in ends] == [200] * CROWD
    probed, *others = sorted(returns(server))
    assert 700 <= probed < 700 + 30 + 5
    assert others[-1] - probed < 30 + 5, "a probe interval, and what they are spread over"
    failed = [e.arrived_at for e in server.ledger.requests() if e.status == 503]
    assert 1 < len(failed) <= 5
    assert all(after - before >= 29 for before, after in pairwise(failed))
    assert max(len(end.report.waits) for end in ends) <= 3


def test_no_write_is_risked_to_find_out(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M5, R3: a POST that waits for the end does not probe: it could not be sent again."""
    session = back_early(server, clock, make_session)
    posts: list[Callable[[], Ended]] = [lambda: reach(session, server.url + OPEN, method="POST")]
    ends = clock.run_together(posts * 4)
    assert [end.statuses for end in ends] == [[200]] * 4
    assert min(returns(server)) >= 4200


def test_window_that_ends_in_centuries_is_waited_for() -> None:
    """M3, S1: no end is so far away that waiting for it raises."""
    wake, runtime = threading.Event(), SystemRuntime()
    threading.Timer(0.05, wake.set).start()
    assert runtime.wait(wake, 4e10)


def test_server_that_asks_for_more_time_is_waited_for(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M3, B7: a Retry-After that reaches beyond the window's end refuses nobody who waits."""
    down = faults.answer(503, retry_after=120)
    server.plan = closed_for(Maintenance(name="release", start=600, end=700, fault=down))
    session = in_window(server, clock, make_session, mode="wait")
    ends = crowd(clock, session, server.url + OPEN)
    assert [end.status for end in ends] == [200] * CROWD
    first = min(entry.arrived_at for entry in server.ledger.requests() if entry.status == 200)
    assert first - server.started_at >= 601 + 120


def test_waiting_call_respects_its_deadline(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M3, D9: who cannot wait for the end is told at once, and of the window."""
    server.plan = closed_for()
    session = in_window(server, clock, make_session, mode="wait")
    first = reach(session, server.url + OPEN, deadline=60)
    assert first.statuses == [503]
    assert first.report.give_up_reason is GiveUpReason.DEADLINE
    end = reach(session, server.url + OPEN, deadline=60)
    assert isinstance(end.error, DeadlineExceeded)
    assert end.report.duration == 0
    assert end.report.maintenance == "release"
    assert len(server.ledger) == 1


def test_post_is_not_sent_twice_for_waiting(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M3, R3: a POST that met the window is not replayed; one that never left is sent once."""
    server.plan = closed_for()
    session = in_window(server, clock, make_session, mode="wait")
    met = reach(session, server.url + OPEN, "POST", data=b"met")
    assert met.statuses == [503]
    assert met.report.give_up_reason is GiveUpReason.METHOD_NOT_REPLAYABLE
    waited = reach(session, server.url + OPEN, "POST", data=b"waited")
    assert waited.statuses == [200]
    assert server.ledger.duplicates() == ()


def test_fleet_that_waited_for_a_window_that_overruns(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M5, B6: of a fleet that waited one request finds the overrun, and all end soon after."""
    server.plan = closed_for(
        Maintenance(name="release", start=600, end=600 + HOUR, down_until=600 + 2 * HOUR)
    )
    session = in_window(server, clock, make_session, mode="wait")
    ends = crowd(clock, session, server.url + OPEN)
    assert {end.report.give_up_reason for end in ends} == {GiveUpReason.CIRCUIT_OPEN}
    assert all(end.report.duration < HOUR + 10 for end in ends)
    late = [e for e in server.ledger.requests() if e.arrived_at > server.started_at + RELEASE.end]
    assert len(late) == 1


def test_operator_is_not_maintenance(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M3, B8: what an operator has forced open is refused as such, and not waited for."""
    server.plan = closed_for()
    session = in_window(server, clock, make_session, mode="wait")
    session.breakers.force_open(server.url)
    end = reach(session, server.url + OPEN)
    assert type(end.error) is CircuitOpen
    assert end.report.waits == ()
