"""Everything at once: random faults, threads and waits, with what must hold all the same (S2)."""

from __future__ import annotations

import gc
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
from scenes import QUEUES, in_threads, outcome_of, token_source

import weatherglass
from weatherglass import (
    Adapter,
    BreakerPolicy,
    CallFailed,
    CallReport,
    IdempotencyPolicy,
    Policy,
    RetryPolicy,
    Session,
    TimeoutPolicy,
)
from weatherglass.testing import (
    Entry,
    FakeServer,
    Fault,
    FaultPlan,
    FaultRule,
    IdempotencyMode,
    ScaledClock,
    faults,
)
from weatherglass.vocabulary import GiveUpReason, Outcome, RetryAfterVariant

THREADS = 8
CALLS = 30
FACTOR = 30.0
"""Half a minute of backoff passes in a second."""
DEADLINE = 20.0
ATTEMPT = 6.0
"""Seconds of the scaled clock, like all others."""

POLICY = Policy(
    deadline=DEADLINE,
    timeout=TimeoutPolicy(read=ATTEMPT),
    retry=RetryPolicy(max_delay=4),
    breaker=BreakerPolicy(consecutive_failures=8, failure_rate=None, cooldown=5, max_cooldown=10),
    idempotency=IdempotencyPolicy(key="per_call", methods=("PUT",), honours_keys=True),
)


class Scaled(Adapter):
    """Sockets live in real time, so their timeouts are scaled as well."""

    def send_once(self, wire: Any, stream: Any, timeout: Any, *rest: Any) -> requests.Response:
        connect, read = timeout
        return super().send_once(wire, stream, (connect, read / FACTOR), *rest)


def session_in_chaos(server: FakeServer, clock: ScaledClock) -> Session:
    session = Session(runtime=clock, policy=POLICY)
    scaled = Scaled(runtime=clock, policy=POLICY, tokens=token_source(server))
    session.mount("http://", scaled)
    return session


ALL_FAULTS: tuple[Fault, ...] = (
    *(faults.answer(status) for status in (400, 403, 404, 408, 409, 422, 500, 502, 503, 504)),
    *(
        faults.answer(status, retry_after=variant, retry_after_seconds=3)
        for status, variant in zip(
            [429, 503] * len(RetryAfterVariant), RetryAfterVariant, strict=False
        )
    ),
    faults.answer(429, retry_after=2),
    faults.answer(503, after_execution=True),
    faults.answer(503, form="html"),
    faults.answer(500, form="truncated"),
    faults.answer(502, form="latin1"),
    faults.answer(504, body=b"[" * 100_000),
    faults.daily_limit(),
    faults.redirect("/echo"),
    faults.raw(b"what?\r\n\r\n"),
    faults.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    faults.reset(),
    faults.disconnect(),
    faults.lose(),
    faults.cut(),
    faults.cut(abrupt=True),
    faults.cut(of=faults.answer(503)),
    faults.drip(0.3, size=50),
    faults.delay(1),
    faults.hang(),
    faults.hang(after_execution=True),
    faults.idle_close(),
    faults.revoke(),
    faults.answer(401),
)


def plan(seed: int) -> FaultPlan:
    """Half of all requests fail, of the token requests a fifth."""
    token_faults = (faults.answer(503), faults.reset(), faults.token_rate_limited(), faults.cut())
    share = 0.2 / len(token_faults)
    chaos = FaultPlan.chaos(ALL_FAULTS, 0.5, path="/[ae]*")
    # Which is not the token endpoint.
    tokens = [
        FaultRule(fault=fault, path="/oauth/token", probability=share) for fault in token_faults
    ]
    mode = (IdempotencyMode.IETF, IdempotencyMode.STRIPE)[seed % 2]
    return FaultPlan(rules=(*tokens, *chaos.rules), idempotency=mode)


class Caller:
    """One thread's share of calls, drawn from a seed of its own."""

    def __init__(self, session: Session, server: FakeServer, seed: int) -> None:
        self._session = session
        self._server = server
        self._never = threading.Event()
        self._random = random.Random(seed)
        self._seed = seed

    def run(self) -> list[requests.Response | Exception]:
        return [self._outcome(number) for number in range(CALLS)]

    def _outcome(self, number: int) -> requests.Response | Exception:
        outcome: requests.Response | Exception = outcome_of(lambda: self._call(number))
        if not weatherglass.report(outcome).attempts:
            # Refused: to go on at once would be to use all calls up on one breaker.
            self._server.clock.wait(self._never, 3)
        return outcome

    def _call(self, number: int) -> requests.Response:
        draw = self._random
        url = self._server.url + draw.choice([QUEUES, "/echo", "/api/v2/users/me"])
        method = draw.choice(["GET", "GET", "PUT", "DELETE", "POST", "POST", "PATCH"])
        options: dict[str, Any] = {}
        if method in ("POST", "PATCH", "PUT"):
            # Each has a body of its own, so that one sent twice can be told from two.
            options["json"] = {"name": f"{self._seed}-{number}"}
        if method == "POST" and draw.random() < 0.3:
            options |= {"idempotency_key": f"key-{self._seed}-{number}", "honours_key": True}
        if draw.random() < 0.2:
            options["stream"] = True
        try:
            answer = self._session.request(
                method, url, raise_failures=draw.random() < 0.2, **options
            )
        except CallFailed as error:
            if error.response is not None:
                error.response.close()
            raise
        if options.get("stream"):
            # What breaks while the caller reads is theirs.
            outcome_of(lambda: answer.content)
        return answer


def reports_of(outcomes: list[requests.Response | Exception]) -> list[CallReport]:
    return [weatherglass.report(outcome) for outcome in outcomes]


def descriptors() -> set[str]:
    return {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


@pytest.mark.parametrize("seed", [1, 2])
def test_chaos(seed: int) -> None:
    """S2: whatever goes wrong, calls end in time, nothing is done twice, nothing leaks."""
    gc.collect()
    threads, opened = set(threading.enumerate()), descriptors()
    clock = ScaledClock(FACTOR, seed=seed)
    server = FakeServer(plan(seed), clock=clock, seed=seed, require_tokens=True)
    with server, session_in_chaos(server, clock) as session:
        callers = [Caller(session, server, seed * 1000 + number) for number in range(THREADS)]
        ran = in_threads(THREADS, lambda number: callers[number].run())
    outcomes = [outcome for caller in ran for outcome in caller]
    reports = reports_of(outcomes)
    entries = server.ledger.requests()

    assert len(reports) == THREADS * CALLS
    assert_ended_in_time(reports)
    assert_executed_once(server)
    assert_ledger_agrees(reports, entries)
    assert_weather_was_bad(reports)
    assert set(threading.enumerate()) == threads
    assert descriptors() == opened
    for outcome in outcomes:
        assert isinstance(outcome, (requests.Response, requests.RequestException))


def assert_ended_in_time(reports: list[CallReport]) -> None:
    # One that was on the wire at the deadline ends with its socket's timeout; the rest is what a
    # busy machine may make of a clock that runs thirty times as fast.
    busy = 5 * FACTOR
    assert [report for report in reports if report.duration > DEADLINE + ATTEMPT + busy] == []
    assert all(wait.planned < DEADLINE for report in reports for wait in report.waits)
    assert any(report.give_up_reason is GiveUpReason.DEADLINE for report in reports)


def assert_executed_once(server: FakeServer) -> None:
    for again in server.ledger.duplicates():
        raise AssertionError(f"executed {len(again)} times: {again}")


def assert_ledger_agrees(reports: list[CallReport], entries: tuple[Entry, ...]) -> None:
    """Every answer in a report was given, and no request was made that is in no report."""
    seen = Counter((e.method, e.path) for e in entries if e.path != "/oauth/token")
    told = Counter(
        (a.method, "/" + a.url.split("/", 3)[3])
        for report in reports
        for a in report.attempts
        # Without an answer, a request may have been lost before the server read it.
        if a.status is not None
    )
    for key, count in told.items():
        assert count <= seen[key]
    attempts = sum(len(report.attempts) for report in reports)
    assert sum(seen.values()) <= attempts


def assert_weather_was_bad(reports: list[CallReport]) -> None:
    """Or nothing was proven."""
    kinds = {a.failure.kind for r in reports for a in r.attempts if a.failure is not None}
    assert len(kinds) > 6
    outcomes = {report.outcome for report in reports}
    assert {Outcome.SUCCESS, Outcome.FAILED, Outcome.GAVE_UP} <= outcomes
    assert any(len(report.attempts) > 1 and report.succeeded for report in reports)


def test_chaos_ends_with_the_weather() -> None:
    """S2, B2: when the faults end, so do the failures: breakers close, tokens are had again."""
    clock = ScaledClock(FACTOR, seed=4)
    server = FakeServer(plan(4), clock=clock, seed=4, require_tokens=True)
    with server, session_in_chaos(server, clock) as session:
        callers = [Caller(session, server, 4000 + number) for number in range(THREADS)]
        in_threads(THREADS, lambda number: callers[number].run())
        server.plan = FaultPlan()
        never = threading.Event()
        for _ in range(30):
            outcome = outcome_of(lambda: session.get(server.url + QUEUES))
            if isinstance(outcome, requests.Response) and outcome.ok:
                break
            assert isinstance(outcome, CallFailed)
            clock.wait(never, 10)
        assert all(
            session.get(server.url + QUEUES).ok
            for _ in in_threads(THREADS, lambda _: session.get(server.url + QUEUES).ok)
        )
