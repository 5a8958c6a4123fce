"""The deadline: one bound over attempts, waits, gates, redirects and the reading of bodies."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import requests
from requests.exceptions import ConnectionError as RequestsConnectionError
from scenes import QUEUES, Clock, Noting, kinds, outcome_of, reason, statuses, token_source

import weatherglass
from weatherglass import (
    Adapter,
    BreakerPolicy,
    DeadlineExceeded,
    MaintenancePolicy,
    MaintenanceWindow,
    Policy,
    Session,
)
from weatherglass.testing import TOKEN_PATH, FakeServer, FaultPlan, faults

DOWN = FaultPlan.script(*[faults.answer(503)] * 30)
STEADY = Policy(breaker=BreakerPolicy(enabled=False))
DRIPPING = faults.drip(1, of=faults.answer(200, body=b"x" * 60))
"""For virtual time, in which the server is done long before the client looks."""
ENDLESS = faults.drip(0.01, of=faults.answer(200, body=b"x" * 100_000))
"""For real time."""


def test_wait_that_would_cross_it_is_not_begun(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """D9: with 1.5 s left no backoff of 2 s is begun: the call gives up at once."""
    server.plan = DOWN
    answer = session.request("GET", f"{server.url}/echo", deadline=3)
    assert (statuses(answer), reason(answer)) == ([503, 503, 503], "deadline")
    assert clock.waits == [0.5, 1.0]
    assert weatherglass.report(answer).duration == 1.5


def test_server_s_delay_that_would_cross_it_is_not_begun(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """D9, A6: a Retry-After beyond the deadline gives up at once, and stands in the report."""
    server.plan = FaultPlan.script(faults.answer(429, retry_after=60))
    answer = session.request("GET", f"{server.url}/echo", deadline=30)
    assert (answer.status_code, reason(answer), clock.waits) == (429, "deadline", [])
    (attempt,) = weatherglass.report(answer).attempts
    assert str(attempt.disposition) == "refused"
    assert attempt.failure is not None
    assert attempt.failure.retry_after_seconds == 60


def test_wait_that_ends_before_it_is_begun(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """D9: what fits into the deadline is done as usual."""
    server.plan = FaultPlan.script(faults.answer(503))
    answer = session.request("GET", f"{server.url}/echo", deadline=0.6)
    assert (statuses(answer), clock.waits) == ([503, 200], [0.5])


@pytest.mark.parametrize("way", ["policy", "call", "options", "plain session"])
def test_deadline_is_set_in_every_way(server: FakeServer, clock: Clock, way: str) -> None:
    """D9, D16: the policy's deadline, and that of a call, which wins over it."""
    server.plan = DOWN
    policy = Policy(deadline=3 if way == "policy" else 300)
    with Session(runtime=clock, policy=policy) as session, requests.Session() as plain:
        plain.mount("http://", Adapter(runtime=clock, policy=policy))
        if way == "policy":
            answer = session.get(f"{server.url}/echo")
        elif way == "call":
            answer = session.request("GET", f"{server.url}/echo", deadline=3)
        else:
            with weatherglass.options(deadline=3):
                answer = (plain if way == "plain session" else session).get(f"{server.url}/echo")
    assert (len(statuses(answer)), reason(answer)) == (3, "deadline")


def test_timeouts_shrink_to_what_is_left(server: FakeServer, clock: Clock) -> None:
    """D9: no attempt may take longer than the deadline leaves; shorter timeouts stay."""
    below = Noting()
    server.plan = DOWN
    with Session(runtime=clock, policy=STEADY) as session:
        session.adapter.inner = below
        session.request("GET", f"{server.url}/echo", deadline=10)
        assert below.timeouts == [(5, 10), (5, 9.5), (5, 8.5), (5, 6.5), (2.5, 2.5)]
        below.timeouts.clear()
        session.request("GET", f"{server.url}/echo", deadline=1, timeout=None)
        session.request("GET", f"{server.url}/echo", deadline=1, timeout=0.25)
        assert below.timeouts == [(1, 1), (0.5, 0.5), (0.25, 0.25), (0.25, 0.25)]
    below.close()


def test_hanging_server_is_left_in_time(server: FakeServer) -> None:
    """D9: on the real clock, a server that never answers is left when the deadline passes."""
    server.plan = FaultPlan.script(*[faults.hang()] * 9)
    with Session() as session, pytest.raises(requests.ReadTimeout) as caught:
        session.request("GET", f"{server.url}/echo", deadline=0.2)
    assert reason(caught.value) == "deadline"
    assert kinds(caught.value) == ["read_timeout"]


def test_gate_that_opens_after_it_refuses_at_once(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """D9, A8: nobody queues at a gate that opens too late; nothing is sent."""
    server.plan = FaultPlan.script(faults.answer(429, retry_after=60))
    session.request("GET", f"{server.url}/echo", max_retries=0)
    with pytest.raises(DeadlineExceeded, match=r"rate limit of .* ends after it") as caught:
        session.request("GET", f"{server.url}/echo", deadline=30)
    assert caught.value.report.attempts == ()
    assert (clock.monotonic(), len(server.ledger)) == (0, 1)


def test_maintenance_that_ends_after_it_refuses_at_once(server: FakeServer, clock: Clock) -> None:
    """D9, M3: nor does anybody wait for the end of a window that ends too late."""
    server.plan = DOWN
    now = datetime.fromtimestamp(clock.time(), tz=timezone.utc)
    window = MaintenanceWindow(name="sunday", start=now, end=now + timedelta(hours=1))
    policy = Policy(deadline=60, maintenance=MaintenancePolicy(mode="wait", windows=(window,)))
    with Session(runtime=clock, policy=policy) as session:
        first = session.get(f"{server.url}/echo")
        second = outcome_of(lambda: session.get(f"{server.url}/echo"))
    assert (statuses(first), reason(first)) == ([503], "deadline")
    assert isinstance(second, DeadlineExceeded)
    assert (len(server.ledger), clock.waits) == (1, [])


def test_token_endpoint_has_no_longer_than_the_call(clock: Clock) -> None:
    """D9, T8: a slow refresh is bounded by the deadline of the call that needs it."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        server.plan = FaultPlan.script(*[faults.answer(503)] * 9, path=TOKEN_PATH)
        with Session(runtime=clock, tokens=token_source(server)) as session:
            error = outcome_of(lambda: session.request("GET", server.url + QUEUES, deadline=1))
        assert clock.monotonic() < 1
    assert isinstance(error, requests.RequestException)
    assert reason(error) in ("deadline", "token_refresh_failed")
    assert server.ledger.requests(path=QUEUES) == ()


def test_body_that_drips_is_left_in_time() -> None:
    """D9: on the real clock, a body that would drip for a quarter of an hour is left in time."""
    with (
        FakeServer(FaultPlan.script(ENDLESS)) as server,
        Session() as session,
        pytest.raises(DeadlineExceeded) as caught,
    ):
        session.request("GET", f"{server.url}/echo", deadline=0.2)
    assert reason(caught.value) == "deadline"
    assert kinds(caught.value) == ["read_timeout"]


def test_connection_of_a_dripping_body_is_closed(server: FakeServer, session: Session) -> None:
    """D9, D11: what is left half read is not used for the next call."""
    server.plan = FaultPlan.script(DRIPPING)
    with pytest.raises(DeadlineExceeded):
        session.request("GET", f"{server.url}/echo", deadline=10)
    assert session.get(f"{server.url}/echo").ok
    first, second = server.ledger.requests()
    assert first.connection != second.connection


def test_body_that_stands_still_is_left_in_time() -> None:
    """D9: on the real clock, a body that stops coming is left when the deadline passes."""
    stalling = faults.drip(900, size=9, of=faults.answer(200, body=b"x" * 60))
    with (
        FakeServer(FaultPlan.script(stalling)) as server,
        Session() as session,
        pytest.raises(DeadlineExceeded) as caught,
    ):
        session.request("GET", f"{server.url}/echo", deadline=0.2)
    assert reason(caught.value) == "deadline"


def test_failed_body_that_drips_is_left_in_time_when_streamed() -> None:
    """D9, C7: our own look into a streamed failure does not outlast the deadline either."""
    plan = FaultPlan.script(ENDLESS.new(of=faults.answer(503, body=b"y" * 60_000)))
    with FakeServer(plan) as server, Session() as session:
        answer = session.request("GET", f"{server.url}/echo", deadline=0.2, stream=True)
        assert (answer.status_code, reason(answer)) == (503, "deadline")
        assert answer.raw.read(10) == b"yyyyyyyyyy"
        answer.close()


def test_streamed_success_is_the_caller_s_to_bound(server: FakeServer, clock: Clock) -> None:
    """D9: a streamed success is read without the deadline, though it had passed by then."""
    server.plan = FaultPlan.script(faults.answer(200, body=b"x" * 100_000))
    with Session(runtime=clock) as session:
        answer = session.request("GET", f"{server.url}/echo", deadline=10, stream=True)
        clock.advance(60)
        assert len(answer.content) == 100_000


def test_redirects_share_one_deadline(server: FakeServer, session: Session, clock: Clock) -> None:
    """D9, D15: each hop has what the hops before it have left, and none begins after the end."""
    server.plan = FaultPlan.script(
        *[faults.delay(4, of=faults.redirect("/echo"))] * 2, faults.delay(4)
    )
    error = outcome_of(lambda: session.request("GET", f"{server.url}/echo", deadline=10))
    assert isinstance(error, DeadlineExceeded)
    assert (statuses(error), reason(error)) == ([302, 302, 200], "deadline")
    assert clock.monotonic() == 12

    # A streamed hop is not read, so its end is seen only when the next is to begin.
    server.plan = FaultPlan.script(faults.delay(11, of=faults.redirect("/echo")))
    error = outcome_of(
        lambda: session.request("GET", f"{server.url}/echo", deadline=10, stream=True)
    )
    assert isinstance(error, DeadlineExceeded)
    assert statuses(error) == [302]
    assert len(server.ledger) == 4


def test_expired_attempt_says_nothing_about_the_server() -> None:
    """D9, B4: attempts that the caller's own haste cut short do not open the breaker."""
    with FakeServer(FaultPlan.script(*[ENDLESS] * 8)) as server, Session() as session:
        for _ in range(8):
            error = outcome_of(lambda: session.request("GET", f"{server.url}/echo", deadline=0.1))
            assert isinstance(error, requests.Timeout)
        server.plan = FaultPlan()
        assert session.get(f"{server.url}/echo").ok


def test_deadline_error_is_a_timeout_for_requests(server: FakeServer, session: Session) -> None:
    """D6, D9: whoever catches requests' timeouts catches the deadline's."""
    server.plan = FaultPlan.script(DRIPPING)
    error = outcome_of(lambda: session.request("GET", f"{server.url}/echo", deadline=3))
    assert isinstance(error, requests.Timeout)
    assert not isinstance(error, RequestsConnectionError)
