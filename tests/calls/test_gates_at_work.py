"""The gate: one rate limit, met by one call, holds back all of its origin and credential."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import requests
from scenes import PATIENCE, QUEUES, Clock, outcome_of, reason, statuses, token_source

import weatherglass
from weatherglass import (
    Attempt,
    Callbacks,
    DeadlineExceeded,
    Policy,
    RateLimited,
    RetryAfterPolicy,
    RetryPolicy,
    Session,
)
from weatherglass.runtime import Wakeable
from weatherglass.testing import FakeServer, FaultPlan, RateLimit, VirtualClock, faults
from weatherglass.vocabulary import WaitReason

THREADS = 24


@pytest.mark.parametrize("status", [429, 503])
def test_nobody_is_sent_before_the_limit_is_over(status: int) -> None:
    """A8: after one 429 or 503, two dozen threads stay away as long, and return spread out."""
    clock = VirtualClock(seed=3)
    met = threading.Event()

    def first(_: Attempt) -> None:
        met.set()

    with FakeServer(clock=clock) as server:
        server.plan = FaultPlan.script(faults.answer(status, retry_after=30))
        with Session(runtime=clock, callbacks=Callbacks(on_failure=first)) as session:

            def call(number: int) -> requests.Response:
                if number:
                    assert met.wait(PATIENCE)
                return session.get(f"{server.url}/echo", params={"n": number})

            began = clock.time()
            answers = clock.run_together([partial(call, number) for number in range(THREADS)])
    entries = server.ledger.requests()
    assert [entry.status for entry in entries] == [status, *[200] * THREADS]
    later = sorted(entry.arrived_at - began for entry in entries[1:])
    assert later[0] >= 30
    assert later[-1] <= 30 + 3 + 1e-6
    assert len({round(at, 9) for at in later}) > THREADS // 2
    assert later[-1] - later[0] > 1
    for answer in answers[1:]:
        (wait,) = weatherglass.report(answer).waits
        assert (wait.reason, wait.before_attempt) == (WaitReason.GATE, 1)
        assert wait.planned >= 30


def test_deadlines_are_heeded_at_the_gate() -> None:
    """A8, D9: of those who wait, each gives up at once whose deadline comes too early."""
    clock = VirtualClock()
    with FakeServer(clock=clock) as server, Session(runtime=clock) as session:
        server.plan = FaultPlan.script(faults.answer(429, retry_after=30))
        session.request("GET", f"{server.url}/echo", max_retries=0)

        def call(deadline: float) -> Any:
            return outcome_of(
                lambda: session.request("GET", f"{server.url}/echo", deadline=deadline)
            )

        outcomes = clock.run_together([partial(call, deadline) for deadline in (10, 29, 40, 50)])
    assert [type(outcome) for outcome in outcomes[:2]] == [DeadlineExceeded] * 2
    assert all(isinstance(outcome, requests.Response) for outcome in outcomes[2:])
    assert all(weatherglass.report(outcome).duration == 0 for outcome in outcomes[:2])


class Seen(VirtualClock):
    """A clock on which a test sees that somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        self.begun.set()
        return super().wait(wake, seconds)


def test_gate_is_held_longer_by_a_later_limit() -> None:
    """A8: who waits already also waits for a longer limit that another call then meets."""
    clock = Seen()
    with FakeServer(clock=clock) as server, Session(runtime=clock) as session:
        longer = faults.hold("on its way", of=faults.answer(429, retry_after=60))
        server.plan = FaultPlan(
            rules=(
                *FaultPlan.script(longer, path="/longer").rules,
                *FaultPlan.script(faults.answer(429, retry_after=20), path="/shorter").rules,
            )
        )

        def call(path: str) -> requests.Response:
            return session.request("GET", server.url + path, max_retries=0)

        def wait_at_the_gate() -> requests.Response:
            server.wait_held("on its way")
            call("/shorter")
            return session.get(f"{server.url}/echo")

        def let_it_arrive() -> requests.Response | None:
            assert clock.begun.wait(PATIENCE)
            server.release("on its way")
            return None

        began = clock.time()
        together: list[Callable[[], requests.Response | None]] = [
            partial(call, "/longer"), wait_at_the_gate, let_it_arrive,
        ]  # fmt: skip
        _, waiting, _ = clock.run_together(together)
    assert isinstance(waiting, requests.Response)
    (arrived,) = server.ledger.requests(path="/echo")
    assert arrived.arrived_at - began >= 60
    planned = [wait.planned for wait in weatherglass.report(waiting).waits]
    assert len(planned) == 2
    assert 20 <= planned[0] <= 22


def test_gate_concerns_one_origin_and_credential(clock: Clock) -> None:
    """A8: another origin, another token and a call without any go through at once."""
    with FakeServer(clock=clock, require_tokens=(QUEUES,)) as server:
        server.plan = FaultPlan.script(faults.answer(429, retry_after=60), path=QUEUES)
        bound = token_source(server)
        with Session(runtime=clock, tokens=bound) as session, Session(runtime=clock) as tokenless:
            session.request("GET", server.url + QUEUES, max_retries=0)
            session.get(f"{server.other_url}/echo")
            session.get(f"{server.url}/echo", auth=("another", "credential"))
            tokenless.get(f"{server.url}/echo")
            assert clock.waits == []
            session.get(f"{server.url}/echo")
            assert len(clock.waits) == 1


def test_gate_can_be_switched_off(server: FakeServer, clock: Clock) -> None:
    """A8: without the gate each call finds out for itself."""
    server.plan = FaultPlan.script(faults.answer(429, retry_after=60))
    policy = Policy(retry_after=RetryAfterPolicy(gate=False))
    with Session(runtime=clock, policy=policy) as session:
        session.request("GET", f"{server.url}/echo", max_retries=0)
        assert session.get(f"{server.url}/echo").ok
    assert clock.waits == []


def test_limit_of_hours_stops_nobody_else(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """A6, A8: one route's daily quota does not close the gate of a whole origin."""
    server.plan = FaultPlan.script(faults.daily_limit(), path="/limited")
    assert reason(session.get(f"{server.url}/limited")) == "retry_after_above_ceiling"
    assert session.get(f"{server.url}/echo").ok
    assert clock.waits == []


def test_call_with_a_lower_ceiling_does_not_wait_at_the_gate(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """A6, A8: a call that would not have waited so long itself is refused, and told how long."""
    server.plan = FaultPlan.script(faults.answer(429, retry_after=100))
    session.request("GET", f"{server.url}/echo", max_retries=0)
    clock.advance(40)
    impatient = Policy(retry_after=RetryAfterPolicy(ceiling=20))
    error = outcome_of(lambda: session.request("GET", f"{server.url}/echo", policy=impatient))
    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert 60 <= error.retry_after <= 65
    assert len(server.ledger) == 1


def test_503_without_a_delay_closes_no_gate(server: FakeServer, session: Session) -> None:
    """A8: where no time was said, nobody else is held back."""
    server.plan = FaultPlan.script(faults.answer(503), faults.answer(429))
    for _ in range(2):
        session.request("GET", f"{server.url}/echo", max_retries=0)
    answer = session.get(f"{server.url}/echo")
    assert weatherglass.report(answer).waits == ()


def test_fleet_under_a_rate_limit_gets_through_without_a_storm() -> None:
    """A8, R4: twenty threads under a limit of 30 per minute all succeed, with few 429s between."""
    clock = VirtualClock(seed=5)
    calls, threads = 6, 20
    with FakeServer(clock=clock, require_tokens=True) as server:
        server.plan = FaultPlan(rate_limit=RateLimit(limit=30, window=60))
        policy = Policy(retry=RetryPolicy(max_retries=50))
        with Session(runtime=clock, policy=policy, tokens=token_source(server)) as session:
            session.get(server.url + QUEUES)

            def call() -> list[int | None]:
                return [statuses(session.get(server.url + QUEUES))[-1] for _ in range(calls)]

            ended = clock.run_together([call] * threads)
    assert ended == [[200] * calls] * threads
    refused = server.ledger.by_status(path=QUEUES)[429]
    assert refused < calls * threads * 2
