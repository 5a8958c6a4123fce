"""The contestants: that each is set up as the demo says, the others no worse than they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from urllib3 import HTTPResponse

from weatherglass.demo.contestants import (
    FEED_TTL,
    POLICY,
    AsleepForTooLong,
    CompressedRetry,
    Contestant,
    PlainRequests,
    RequestsWithRetry,
    Weatherglass,
    policy_at,
)
from weatherglass.demo.fleet import Done, Failed, PutOff, Verdict
from weatherglass.demo.weather import API_HOST, REGION, Call
from weatherglass.genesys import profile
from weatherglass.policy import Policy
from weatherglass.runtime import SYSTEM
from weatherglass.testing import FakeServer, FaultPlan, VirtualClock, retry_after_example
from weatherglass.testing.faults import answer, lose
from weatherglass.vocabulary import RetryAfterVariant

READ = Call("read", "GET", "/api/v2/routing/queues")
WRITE = Call("write", "POST", "/api/v2/quality/conversations/c/evaluations")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def server(clock: VirtualClock) -> Iterator[FakeServer]:
    with FakeServer(clock=clock, require_tokens=True) as server:
        yield server


def plain(server: FakeServer) -> PlainRequests:
    return PlainRequests(server)


def with_retry(server: FakeServer, clock: VirtualClock) -> RequestsWithRetry:
    return RequestsWithRetry(server, clock, threading.Event())


def send(contestant: Contestant, *calls: Call) -> list[Verdict]:
    """Have one client make the calls; the contestant is closed after that."""
    [client] = contestant.clients(1)
    try:
        return [client.send(call, "phase") for call in calls]
    finally:
        contestant.close()


def test_the_plain_one_fetches_a_token_and_again_after_a_401(server: FakeServer) -> None:
    """Hand-written code: a token when there is none, and a new one when it is refused."""
    [client] = (contestant := plain(server)).clients(1)
    try:
        assert client.send(READ, "phase") == Done()
        server.revoke_tokens()
        assert client.send(READ, "phase") == Done()
    finally:
        contestant.close()

    assert len(server.ledger.token_calls()) == 2
    assert server.ledger.by_status(path=READ.path) == {200: 2, 401: 1}


@pytest.mark.parametrize(
    ("header", "verdict"),
    [
        ("7", PutOff(7, "HTTP 429")),
        ("0", PutOff(0, "HTTP 429")),
        ("soon", Failed("HTTP 429")),
        ("-3", Failed("HTTP 429")),
        ("³²", Failed("HTTP 429")),
        ("1767225600", Failed("HTTP 429")),
        (None, Failed("HTTP 429")),
    ],
)
def test_the_plain_one_comes_back_when_it_can_read_when(
    server: FakeServer, header: str | None, verdict: Verdict
) -> None:
    """Whole seconds are read as any author would read them; all else is a failed call."""
    server.plan = FaultPlan.script(
        answer(429, headers={"Retry-After": header} if header else {}), path=READ.path
    )

    assert send(plain(server), READ) == [verdict]


def test_the_plain_one_repeats_nothing(server: FakeServer) -> None:
    """A lost answer is a failed call, executed or not."""
    server.plan = FaultPlan.script(lose(), path=WRITE.path)

    assert send(plain(server), WRITE) == [Failed("ConnectionError")]
    assert len(server.ledger.executions(path=WRITE.path)) == 1


def test_urllib3_may_retry_as_often_as_weatherglass(
    server: FakeServer, clock: VirtualClock
) -> None:
    """R1: both have five retries after the first attempt, and then a failed call."""
    server.plan = FaultPlan.script(*[answer(503)] * 9, path=READ.path)

    assert send(with_retry(server, clock), READ) == [Failed("RetryError")]
    assert len(server.ledger.requests(path=READ.path)) == Policy().retry.max_retries + 1
    assert clock.waits == [2, 4, 8, 16]


def test_urllib3_sends_a_lost_write_again(server: FakeServer, clock: VirtualClock) -> None:
    """With POST among the methods to retry, an answer that is lost costs a second execution."""
    server.plan = FaultPlan.script(lose(), path=WRITE.path)

    assert send(with_retry(server, clock), WRITE) == [Done()]
    assert len(server.ledger.executions(path=WRITE.path)) == 2


@pytest.mark.parametrize(
    "variant",
    [
        RetryAfterVariant.DELTA_SECONDS,
        RetryAfterVariant.IMF_FIXDATE,
        RetryAfterVariant.RFC850,
        RetryAfterVariant.ASCTIME,
        RetryAfterVariant.DATE_OTHER_ZONE,
    ],
)
def test_urllib3_lives_in_compressed_time(variant: RetryAfterVariant) -> None:
    """It sleeps on the demo's clock, and dates are dates of that clock."""
    clock = VirtualClock(start=SYSTEM.time())
    clock.advance(900)
    retry = CompressedRetry(total=3).living_in(clock, threading.Event()).increment("GET", "/")
    headers = dict(retry_after_example(variant, 20, clock.time()))
    retry.sleep(HTTPResponse(status=429, headers=headers))

    assert clock.waits == [pytest.approx(20, abs=1)]


def test_urllib3_takes_a_point_in_time_for_a_delay() -> None:
    """A sleep that would outlast the demo is a failed call, and is not begun."""
    clock = VirtualClock()
    retry = CompressedRetry(total=3).living_in(clock, threading.Event())
    headers = dict(retry_after_example(RetryAfterVariant.EPOCH_SECONDS, 4, clock.time()))

    with pytest.raises(AsleepForTooLong):
        retry.sleep(HTTPResponse(status=429, headers=headers))
    assert clock.waits == []


def test_weatherglass_goes_by_its_defaults() -> None:
    """The demo's policy differs from the default in keys, waiting and the API's profile alone."""
    assert POLICY.new(name="default", idempotency={}, maintenance={}) == POLICY.new(name="default")
    changed = POLICY.new(
        name="default",
        idempotency={"key": None, "honours_keys": False},
        maintenance={"mode": "fail"},
    )

    assert changed == Policy()


def test_weatherglass_reads_the_servers_status_page(server: FakeServer) -> None:
    """G1: what the profile of the API adds, with its feed at the server and read more often."""
    policy = policy_at(server)
    [feed] = policy.maintenance.feeds
    assert (feed.url, feed.hosts, feed.ttl) == (server.other_url, (API_HOST,), FEED_TTL)
    assert [urlsplit(url).hostname for url in (server.url, feed.url)] == [API_HOST, "localhost"]
    [as_it_comes] = profile(REGION, hosts=(API_HOST,), status_feed=server.other_url).feeds

    assert replace(feed, ttl=as_it_comes.ttl) == as_it_comes
    assert policy.maintenance.mode == "wait"
    assert policy.idempotency.honours_keys is True


def test_weatherglass_puts_a_call_off_while_the_breaker_is_open(
    server: FakeServer, clock: VirtualClock
) -> None:
    """B6: a call that the breaker ends comes back, and one that it refuses is told when."""
    server.plan = FaultPlan.script(*[answer(503)] * 5, path=READ.path)
    first, second = send(Weatherglass(server, clock, 1), READ, READ)

    assert first == PutOff(0.0, "circuit_open")
    assert isinstance(second, PutOff)
    assert 0 < second.seconds <= POLICY.breaker.cooldown * (1 + POLICY.breaker.jitter)


def test_weatherglass_executes_a_lost_write_once(server: FakeServer, clock: VirtualClock) -> None:
    """I4: with a key that the server honours, a write whose answer was lost is not repeated."""
    server.plan = FaultPlan.script(lose(), path=WRITE.path, idempotency="ietf")

    assert send(Weatherglass(server, clock, 1), WRITE) == [Done()]
    assert len(server.ledger.executions(path=WRITE.path)) == 1


def test_weatherglass_can_fail(server: FakeServer, clock: VirtualClock) -> None:
    """D5: a failure that nothing can help is a failed call for weatherglass, too."""
    server.plan = FaultPlan.script(answer(404), path=READ.path)

    assert send(Weatherglass(server, clock, 1), READ) == [Failed("not_found")]
