"""Maintenance windows in whole calls: what a fleet does before, in and after one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import pairwise

import pytest
import requests
from storm_crew import (
    CROWD,
    HOUR,
    OPEN,
    RELEASE,
    Crew,
    Ended,
    closed_for,
    crowd,
    in_window,
    reach,
)

from weatherglass import (
    Callbacks,
    CircuitOpen,
    MaintenanceInProgress,
    MaintenanceWindow,
    Session,
)
from weatherglass.decide.breaker import Transition
from weatherglass.runtime import SYSTEM
from weatherglass.testing import (
    FakeServer,
    Fault,
    FaultPlan,
    FaultRule,
    Maintenance,
    VirtualClock,
    faults,
)
from weatherglass.vocabulary import (
    BreakerCause,
    BreakerState,
    GiveUpReason,
    Kind,
    Outcome,
)

MakeSession = Callable[..., Session]

NEVER = threading.Event()


def test_before_the_window_nothing_is_different(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M1: a window that is still to come changes nothing and labels nothing."""
    server.plan = FaultPlan(
        maintenance=(RELEASE,), rules=(FaultRule(fault=faults.answer(503), nth=(1,)),)
    )
    session = make_session(maintenance={"windows": server.maintenance_windows()})
    end = reach(session, server.url + OPEN)
    assert end.statuses == [503, 200]
    assert [attempt.maintenance for attempt in end.report.attempts] == [None, None]
    assert clock.monotonic() < 600


def test_first_failure_in_a_window_opens_until_its_end(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M3: in a window one 503 is returned without a retry, and the next calls fail fast."""
    server.plan = closed_for()
    session = in_window(server, clock, make_session)
    first = reach(session, server.url + OPEN)
    assert first.statuses == [503]
    assert first.report.give_up_reason is GiveUpReason.MAINTENANCE
    assert first.report.waits == ()
    ends = crowd(clock, session, server.url + OPEN)
    for end in ends:
        assert isinstance(end.error, MaintenanceInProgress)
        assert isinstance(end.error, requests.ConnectionError)
        assert end.error.next_probe_in == 30
        assert end.report.outcome is Outcome.REFUSED
        assert end.report.give_up_reason is GiveUpReason.MAINTENANCE
        assert end.report.failure is not None
        assert end.report.failure.kind is Kind.MAINTENANCE
        assert end.report.maintenance == "release"
        assert end.report.duration == 0
    assert len(server.ledger) == 1


def test_network_failure_in_a_window_is_the_same(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M3: a server that resets connections in its window is down, after one attempt."""
    server.plan = closed_for(
        Maintenance(name="release", start=600, end=600 + HOUR, fault=faults.reset())
    )
    session = in_window(server, clock, make_session)
    end = reach(session, server.url + OPEN)
    assert isinstance(end.error, requests.ConnectionError)
    assert not isinstance(end.error, CircuitOpen)
    assert end.statuses == [None]
    assert end.report.give_up_reason is GiveUpReason.MAINTENANCE
    assert isinstance(reach(session, server.url + OPEN).error, MaintenanceInProgress)


@pytest.mark.parametrize("fault", [faults.answer(502), faults.answer(429, retry_after=2)])
def test_other_failures_in_a_window_are_ordinary(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, fault: Fault
) -> None:
    """M3, M4: a 502 or a 429 is retried as ever, and labelled with the window."""
    session = in_window(_closed(server, fault), clock, make_session)
    end = reach(session, server.url + OPEN)
    assert end.statuses == [fault.status, 200]
    assert end.report.attempts[0].maintenance == "release"
    assert end.report.maintenance == "release"


def _closed(server: FakeServer, fault: Fault) -> FakeServer:
    """Announced, but up: only its first answer is a fault."""
    server.plan = FaultPlan(
        maintenance=(Maintenance(name="release", start=600, end=4200, down_until=600),),
        rules=(FaultRule(fault=fault, nth=(1,)),),
    )
    return server


def test_probes_in_a_window_are_slow_and_steady(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M3, B7: a fleet that calls all the time sends one request per probe interval."""
    server.plan = closed_for()
    session = in_window(server, clock, make_session, probe_interval=300.0)

    def work() -> list[Ended]:
        ends = []
        while server.clock.time() < server.started_at + RELEASE.end - 10:
            ends.append(reach(session, server.url + OPEN))
            clock.wait(NEVER, 10)
        return ends

    ends = [end for ends in clock.run_together([work] * 4) for end in ends]
    assert all(end.report.maintenance == "release" for end in ends)
    # Those that were under way together when the window was met count as one.
    arrivals = sorted({entry.arrived_at for entry in server.ledger.requests()})
    assert len(arrivals) == 12
    assert len(server.ledger) <= 11 + 4
    assert all(300 <= later - earlier <= 310 for earlier, later in pairwise(arrivals))


def test_windows_of_one_origin_are_not_those_of_another(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M1: the same failure of a host that the window does not name is an ordinary one."""
    server.plan = closed_for()
    session = in_window(server, clock, make_session)
    assert reach(session, server.url + OPEN).statuses == [503]
    end = reach(session, server.other_url + OPEN)
    assert end.statuses == [503] * 5
    assert end.report.give_up_reason is GiveUpReason.CIRCUIT_OPEN
    assert end.report.maintenance is None


@pytest.mark.parametrize("hours", [-11, 0, 9.5])
def test_windows_have_time_zones(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, hours: float
) -> None:
    """M1: the same moment, written in any zone, is the same window."""
    zone = timezone(timedelta(hours=hours))
    start = datetime.fromtimestamp(clock.time() + 600, tz=zone)
    window = MaintenanceWindow(name="here", start=start, end=start + timedelta(hours=1))
    session = make_session(maintenance={"windows": (window,)})
    server.plan = FaultPlan(rules=(FaultRule(fault=faults.answer(503)),))
    clock.advance(599)
    assert reach(session, server.url + OPEN, max_retries=0).report.maintenance is None
    clock.advance(1)
    assert reach(session, server.url + OPEN).report.give_up_reason is GiveUpReason.MAINTENANCE


def test_breaker_that_opened_before_the_window_is_part_of_it(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M3, M4: when the server goes down early, callers in the window are told of the window."""
    server.plan = closed_for(Maintenance(name="release", start=600, end=600 + HOUR, down_from=580))
    session = make_session(maintenance={"windows": server.maintenance_windows()})
    clock.advance(590)
    for _ in range(5):
        reach(session, server.url + OPEN, max_retries=0)
    early = reach(session, server.url + OPEN)
    assert type(early.error) is CircuitOpen
    clock.advance(11)
    assert clock.monotonic() > 600
    end = reach(session, server.url + OPEN)
    assert isinstance(end.error, MaintenanceInProgress)
    assert end.report.maintenance == "release"


def test_ignored_windows_change_nothing(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M3: in the mode `ignore` the ordinary rules are at work, and nothing is labelled."""
    server.plan = closed_for()
    session = in_window(server, clock, make_session, mode="ignore")
    end = reach(session, server.url + OPEN)
    assert end.statuses == [503] * 5
    assert end.report.give_up_reason is GiveUpReason.CIRCUIT_OPEN
    assert end.report.maintenance is None
    assert {attempt.maintenance for attempt in end.report.attempts} == {None}
    end = reach(session, server.url + OPEN)
    assert type(end.error) is CircuitOpen


def test_window_that_ends_early(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M5: half an hour before the announced end a probe succeeds, and everybody is let through."""
    steps: list[Transition] = []
    server.plan = closed_for(
        Maintenance(name="release", start=600, end=600 + HOUR, down_until=600 + HOUR / 2)
    )
    session = make_session(
        maintenance={"windows": server.maintenance_windows()},
        callbacks=Callbacks(on_transition=steps.append),
    )
    clock.advance(601)
    assert reach(session, server.url + OPEN).status == 503
    clock.advance(HOUR / 2)
    assert reach(session, server.url + OPEN).status == 200
    ends = crowd(clock, session, server.url + OPEN)
    assert [end.status for end in ends] == [200] * CROWD
    assert [step.cause for step in steps] == [
        BreakerCause.MAINTENANCE,
        BreakerCause.PROBE_DUE,
        BreakerCause.PROBE_SUCCEEDED,
    ]


def test_server_that_falls_again_in_its_window(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M5, M3: after a success in the window, the next 503 in it opens at once again."""
    server.plan = FaultPlan(
        maintenance=(Maintenance(name="release", start=600, end=4200, down_until=600),),
        rules=(FaultRule(fault=faults.answer(503), nth=(1, 3)),),
    )
    session = in_window(server, clock, make_session)
    assert reach(session, server.url + OPEN).statuses == [503]
    clock.advance(31)
    assert reach(session, server.url + OPEN).statuses == [200]
    assert reach(session, server.url + OPEN).statuses == [503]
    assert isinstance(reach(session, server.url + OPEN).error, MaintenanceInProgress)


@pytest.mark.parametrize("mode", ["fail", "wait"])
def test_window_that_overruns(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, mode: str
) -> None:
    """M5: after the end the ordinary cool-down and refusals hold, and no label hides them."""
    server.plan = closed_for(
        Maintenance(name="release", start=600, end=600 + HOUR, down_until=600 + 2 * HOUR)
    )
    session = in_window(server, clock, make_session, mode=mode)
    reach(session, server.url + OPEN, deadline=1)
    clock.advance(HOUR)
    probe = reach(session, server.url + OPEN)
    assert probe.statuses == [503]
    assert probe.report.give_up_reason is GiveUpReason.CIRCUIT_OPEN
    assert probe.report.maintenance is None
    end = reach(session, server.url + OPEN)
    assert type(end.error) is CircuitOpen
    assert end.error.next_probe_in is not None
    assert 60 <= end.error.next_probe_in <= 66
    assert end.report.maintenance is None
    clock.advance(HOUR)
    assert reach(session, server.url + OPEN).status == 200
    assert session.breakers.state(server.url) is BreakerState.CLOSED


def test_labels_of_the_calls_around_a_window(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M4: failures are labelled in the window, and only there."""
    server.plan = FaultPlan(
        maintenance=(RELEASE,), rules=(FaultRule(fault=faults.answer(502), nth=(1, 2, 3)),)
    )
    session = make_session(
        maintenance={"windows": server.maintenance_windows()}, breaker={"enabled": False}
    )
    labels = []
    for at in (590, 601, 600 + HOUR + 1):
        clock.advance(at - clock.monotonic())
        labels.append(reach(session, server.url + OPEN, max_retries=0).report.maintenance)
    assert labels == [None, "release", None]


def test_calls_in_real_time_share_one_look_at_a_window(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """M3, M4: of forty calls in a window few reach the server, and all failures are labelled."""
    server = real_server
    server.plan = FaultPlan(maintenance=(Maintenance(name="now", start=0, end=HOUR),))
    session = make_session(runtime=SYSTEM, maintenance={"windows": server.maintenance_windows()})
    ends = [
        end
        for ends in Crew([lambda: [reach(session, server.url + OPEN) for _ in range(5)]] * 8).join()
        for end in ends
    ]
    assert {end.report.maintenance for end in ends} == {"now"}
    assert {end.report.give_up_reason for end in ends} == {GiveUpReason.MAINTENANCE}
    assert len(server.ledger) <= 8
