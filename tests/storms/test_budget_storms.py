"""What a failing origin sees of a fleet: never much more than the calls that were made."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
import requests
from storm_crew import OPEN, Ended, always, reach

from weatherglass import CircuitOpen, Session
from weatherglass.testing import FakeServer, Fault, FaultPlan, FaultRule, VirtualClock, faults
from weatherglass.vocabulary import GiveUpReason, Outcome

MakeSession = Callable[..., Session]

NEVER = threading.Event()


def fleet(
    clock: VirtualClock,
    session: Session,
    url: str,
    *,
    threads: int,
    calls: int,
    pause: float = 0.0,
    method: str = "GET",
) -> list[Ended]:
    """So many threads, each making so many calls one after the other."""

    def work() -> list[Ended]:
        ends = []
        for _ in range(calls):
            ends.append(reach(session, url, method))
            clock.wait(NEVER, pause)
        return ends

    return [end for ends in clock.run_together([work] * threads) for end in ends]


@pytest.mark.parametrize(
    ("threads", "plan"),
    [
        (1, always(faults.answer(503))),
        (20, always(faults.answer(503))),
        (5, always(faults.answer(429))),
        (5, FaultPlan.chaos([faults.answer(503)], 0.5)),
        (20, FaultPlan.chaos([faults.answer(503), faults.reset()], 0.8)),
    ],
    ids=["one thread", "503", "429", "half", "most"],
)
def test_load_on_a_failing_origin_is_bounded(
    server: FakeServer,
    clock: VirtualClock,
    make_session: MakeSession,
    plan: FaultPlan,
    threads: int,
) -> None:
    """R4: without a breaker, 1000 calls lead to less than 1200 requests, with any threads."""
    server.plan = plan
    session = make_session(breaker={"enabled": False})
    ends = fleet(clock, session, server.url + OPEN, threads=threads, calls=1000 // threads)
    assert len(ends) == 1000
    assert len(server.ledger) == sum(len(end.statuses) for end in ends)
    assert len(server.ledger) < 1200
    reasons = Counter(end.report.give_up_reason for end in ends)
    assert reasons[GiveUpReason.RETRY_BUDGET_EMPTY] > 300


def test_call_without_budget_returns_what_it_has(
    server: FakeServer, make_session: MakeSession
) -> None:
    """R4, R2: with the budget spent, the first answer is returned at once, for that reason."""
    server.plan = always(faults.answer(503))
    session = make_session(
        breaker={"enabled": False}, retry_budget={"capacity": 3, "per_second": 0}
    )
    assert reach(session, server.url + OPEN).statuses == [503] * 4
    end = reach(session, server.url + OPEN)
    assert end.statuses == [503]
    assert end.status == 503
    assert end.report.give_up_reason is GiveUpReason.RETRY_BUDGET_EMPTY
    assert end.report.outcome is Outcome.GAVE_UP
    assert end.report.waits == ()


def test_success_pays_back(server: FakeServer, make_session: MakeSession) -> None:
    """R4: ten successes pay for one retry."""
    session = make_session(
        breaker={"enabled": False}, retry_budget={"capacity": 1, "per_second": 0}
    )
    server.plan = FaultPlan.script(faults.answer(503), faults.answer(503))
    assert reach(session, server.url + OPEN).statuses == [503, 503]
    for _ in range(9):
        reach(session, server.url + OPEN)
    server.plan = FaultPlan.script(faults.answer(503))
    assert reach(session, server.url + OPEN).statuses == [503]
    reach(session, server.url + OPEN)
    server.plan = FaultPlan.script(faults.answer(503))
    assert reach(session, server.url + OPEN).statuses == [503, 200]


def test_low_traffic_is_not_starved(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """R4: a call a minute, each of which fails at first, is retried each time, for hours on end."""
    server.plan = FaultPlan(
        rules=(FaultRule(fault=faults.answer(503), nth=tuple(range(1, 1000, 2))),)
    )
    session = make_session(
        breaker={"enabled": False}, retry_budget={"capacity": 2, "per_success": 0}
    )
    ends = fleet(clock, session, server.url + OPEN, threads=1, calls=240, pause=60)
    assert [end.statuses for end in ends] == [[503, 200]] * 240


def test_low_traffic_recovers_from_an_outage(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """R4: after an outage has spent the budget, a minute of rest pays for the next retries."""
    server.plan = always(faults.answer(503))
    session = make_session(breaker={"enabled": False})
    fleet(clock, session, server.url + OPEN, threads=4, calls=50)
    assert reach(session, server.url + OPEN).statuses == [503]
    clock.advance(60)
    assert reach(session, server.url + OPEN).statuses == [503] * 6


def test_budgets_are_those_of_one_origin(server: FakeServer, make_session: MakeSession) -> None:
    """R4: what one origin has used up, another still has."""
    server.plan = always(faults.answer(503))
    session = make_session(
        breaker={"enabled": False}, retry_budget={"capacity": 1, "per_second": 0}
    )
    reach(session, server.url + OPEN)
    assert reach(session, server.url + OPEN).statuses == [503]
    assert reach(session, server.other_url + OPEN).statuses == [503, 503]


def test_network_retries_have_a_count_of_their_own(
    server: FakeServer, make_session: MakeSession
) -> None:
    """N3: three retries after network failures, though status failures would get five."""
    server.plan = always(faults.reset())
    session = make_session(breaker={"enabled": False})
    end = reach(session, server.url + OPEN)
    assert end.statuses == [None] * 4
    assert end.report.give_up_reason is GiveUpReason.NETWORK_RETRIES_EXHAUSTED


def test_network_and_status_retries_add_up(server: FakeServer, make_session: MakeSession) -> None:
    """N3, R1: network retries count among a call's five, status retries not among its three."""
    reset, down = faults.reset(), faults.answer(503)
    server.plan = FaultPlan.script(reset, down, reset, down, reset, reset)
    session = make_session(breaker={"enabled": False})
    end = reach(session, server.url + OPEN)
    assert end.statuses == [None, 503, None, 503, None, None]
    assert end.report.give_up_reason is GiveUpReason.RETRIES_EXHAUSTED


def test_network_budget_ends_the_retries_of_a_fleet(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """N3: a fleet that reaches nobody makes some fifty retries, then none, for this reason."""
    server.plan = always(faults.reset())
    session = make_session(breaker={"enabled": False})
    ends = fleet(clock, session, server.url + OPEN, threads=10, calls=40)
    assert all(isinstance(end.error, requests.ConnectionError) for end in ends)
    retries = len(server.ledger) - len(ends)
    assert 50 <= retries <= 60
    reasons = Counter(end.report.give_up_reason for end in ends)
    assert reasons[GiveUpReason.NETWORK_BUDGET_EMPTY] > 300


def test_retry_that_one_budget_refuses_costs_the_other_nothing(
    server: FakeServer, make_session: MakeSession
) -> None:
    """N3, R4: a retry that the retry budget refuses is not charged to the network budget."""
    server.plan = always(faults.reset())
    session = make_session(
        breaker={"enabled": False},
        retry_budget={"capacity": 1, "per_second": 0},
        network_budget={"capacity": 10, "per_second": 0},
    )
    for _ in range(5):
        reach(session, server.url + OPEN)
    levels = {name: level for _, name, level in session.adapter.budget_levels()}
    assert levels == {"retry": 0, "network": 9}


@pytest.mark.parametrize("fault", [faults.reset(), faults.answer(503)], ids=["network", "503"])
def test_long_outage_ends_in_fast_named_refusals(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession, fault: Fault
) -> None:
    """N3, B6: in an hour of outage 600 calls send a few probes; the rest is refused at once."""
    server.plan = always(fault)
    session = make_session()
    ends = fleet(clock, session, server.url + OPEN, threads=10, calls=60, pause=60)
    assert len(ends) == 600
    refused = [end for end in ends if isinstance(end.error, CircuitOpen)]
    assert len(refused) > 500
    assert all(end.report.duration == 0 for end in refused)
    assert all(end.report.give_up_reason is not None for end in ends)
    assert len(server.ledger) <= 40


def test_fleet_recovers_after_a_long_outage(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """N3, B2: when the server is back, the fleet is back within the longest cool-down."""
    server.plan = FaultPlan(rules=(FaultRule(fault=faults.reset(), until=3600.0),))
    session = make_session()
    fleet(clock, session, server.url + OPEN, threads=5, calls=60, pause=60)
    clock.advance(600)
    ends = fleet(clock, session, server.url + OPEN, threads=5, calls=20, pause=1)
    assert [end.status for end in ends[1:]].count(200) >= 95


def test_unreachable_origin_ends_in_refusals_too(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """N3: a port that refuses connections, likewise."""
    session = make_session()
    ends = fleet(clock, session, server.refused_url(), threads=10, calls=20, pause=5)
    assert sum(len(end.statuses) for end in ends) <= 25
    assert sum(isinstance(end.error, CircuitOpen) for end in ends) > 170
