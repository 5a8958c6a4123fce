"""Retry-After as a call obeys it: every spelling, every source, floor, ceiling and jitter."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
import requests
from scenes import Clock, reason, statuses

import weatherglass
from weatherglass import Attempt, Policy, RetryAfterPolicy, Session
from weatherglass.policy import LimitHeaders
from weatherglass.testing import FakeServer, Fault, FaultPlan, faults
from weatherglass.vocabulary import Disposition, RetryAfterSource, RetryAfterVariant, WaitReason

V = RetryAfterVariant

UNUSABLE = {
    V.MISSING, V.EMPTY, V.NEGATIVE, V.NON_FINITE, V.OVERFLOW, V.NON_ASCII_DIGITS, V.UNPARSEABLE,
}  # fmt: skip
NOTHING_LEFT = {V.DELTA_ZERO, V.DATE_PAST}


def first(answer: requests.Response) -> Attempt:
    return weatherglass.report(answer).attempts[0]


@pytest.mark.parametrize("variant", list(V))
@pytest.mark.parametrize("status", [429, 503])
def test_each_spelling_has_its_label_and_is_obeyed(
    server: FakeServer, session: Session, clock: Clock, variant: RetryAfterVariant, status: int
) -> None:
    """A1, A5, A7: each form has its label; a time is waited for, what is unusable backs off."""
    fault = faults.answer(status, retry_after=variant, retry_after_seconds=70)
    server.plan = FaultPlan.script(fault)
    answer = session.get(f"{server.url}/echo")
    assert statuses(answer) == [status, 200]
    attempt = first(answer)
    assert attempt.failure is not None
    assert attempt.failure.retry_after is not None
    assert attempt.failure.retry_after.variant is variant
    (waited,) = clock.waits
    if variant in UNUSABLE:
        assert (waited, attempt.delay_source) == (0.5, WaitReason.BACKOFF)
        assert attempt.disposition is Disposition.IGNORED
    elif variant in NOTHING_LEFT:
        assert (waited, attempt.delay_source) == (1.05, WaitReason.RETRY_AFTER)
        assert attempt.disposition is Disposition.FLOORED
    else:
        assert 70 <= waited <= 78
        assert attempt.delay_source is WaitReason.RETRY_AFTER
        assert attempt.disposition is Disposition.HONOURED


SOURCES: dict[str, tuple[dict[str, str], str, RetryAfterSource, float | None]] = {
    "milliseconds first": (
        {"retry-after-ms": "2500", "Retry-After": "9", "RateLimit": '"d";r=0;t=8'},
        "",
        RetryAfterSource.RETRY_AFTER_MS,
        2.5,
    ),
    "Azure's milliseconds": (
        {"x-ms-retry-after-ms": "3500"},
        "",
        RetryAfterSource.RETRY_AFTER_MS,
        3.5,
    ),
    "then Retry-After": (
        {"Retry-After": "9", "RateLimit": '"d";r=0;t=8', "x-ratelimit-reset": "7"},
        "in 6 seconds",
        RetryAfterSource.RETRY_AFTER,
        9,
    ),
    "then RateLimit": (
        {"RateLimit": '"d";r=0;t=8', "x-ratelimit-reset": "7"},
        "",
        RetryAfterSource.RATELIMIT,
        8,
    ),
    "then a reset": ({"x-ratelimit-reset": "7"}, "", RetryAfterSource.RATELIMIT_RESET, 7),
    "a reset of the policy's": ({"x-reset": "11"}, "", RetryAfterSource.RATELIMIT_RESET, 11),
    "then the text": ({}, "Retry the request in [42] seconds", RetryAfterSource.TEXT, 42),
    "unusable, then usable": (
        {"Retry-After": "soon", "x-ratelimit-reset": "7"},
        "",
        RetryAfterSource.RATELIMIT_RESET,
        7,
    ),
    "nothing at all": ({}, "Slowly.", RetryAfterSource.NONE, None),
}


@pytest.mark.parametrize(
    ("headers", "message", "source", "seconds"), SOURCES.values(), ids=SOURCES.keys()
)
def test_sources_in_their_order(
    server: FakeServer,
    clock: Clock,
    headers: dict[str, str],
    message: str,
    source: RetryAfterSource,
    seconds: float | None,
) -> None:
    """A3: the delay is read from the first source that can be used, and the source is named."""
    server.plan = FaultPlan.script(faults.answer(429, headers=headers, message=message))
    family = LimitHeaders(name="mine", remaining="x-left", reset="X-Reset")
    with Session(policy=Policy(limit_headers=(family,)), runtime=clock) as session:
        attempt = first(session.get(f"{server.url}/echo"))
    assert attempt.failure is not None
    assert attempt.failure.retry_after is not None
    assert attempt.failure.retry_after.source is source
    assert attempt.failure.retry_after_seconds == seconds
    assert attempt.delay is not None
    assert attempt.delay >= (seconds or 0)


def test_date_is_measured_against_the_server_s_own_clock(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """A4: a server whose clock is 500 s behind is understood, and the skew is in the report."""
    behind = clock.time() - 500
    headers = {
        "Date": formatdate(behind, usegmt=True),
        "Retry-After": formatdate(behind + 30, usegmt=True),
    }
    server.plan = FaultPlan.script(faults.answer(429, headers=headers))
    attempt = first(session.get(f"{server.url}/echo"))
    assert attempt.failure is not None
    asked = attempt.failure.retry_after
    assert asked is not None
    assert (asked.variant, asked.seconds, asked.skew) == (V.IMF_FIXDATE, 30, 500)
    assert 30 <= clock.waits[0] <= 33


def test_delay_is_never_cut_short(server: FakeServer, session: Session, clock: Clock) -> None:
    """A5, R7: the next attempt arrives no earlier than the server said, a little jitter later."""
    began = clock.time()
    for chance, expected in ((0.0, 20), (0.5, 21), (0.999, 21.998)):
        clock.chance = chance
        server.ledger.clear()
        server.plan = FaultPlan.script(faults.answer(429, retry_after=20))
        began = clock.time()
        session.get(f"{server.url}/echo")
        arrived = server.ledger.requests()[1].arrived_at - began
        assert arrived == pytest.approx(expected, abs=1e-5)
        assert arrived >= 20 - 1e-6


def test_floor_and_jitter_are_policy(server: FakeServer, clock: Clock) -> None:
    """A5: floor and jitter are settings."""
    server.plan = FaultPlan.script(
        faults.answer(429, retry_after=2), faults.answer(429, retry_after=100)
    )
    policy = Policy(retry_after=RetryAfterPolicy(floor=10, jitter=0.5, max_jitter=8))
    with Session(runtime=clock, policy=policy) as session:
        session.get(f"{server.url}/echo")
    assert clock.waits == [10 + 0.5 * 5, 100 + 0.5 * 8]


@pytest.mark.parametrize(("seconds", "waits"), [(180, 1), (181, 0), (5 * 3600, 0)])
def test_ceiling_ends_the_call_at_once(
    server: FakeServer, session: Session, clock: Clock, seconds: int, waits: int
) -> None:
    """A6: above 180 s the call does not sleep; the raw value is there to reschedule by."""
    server.plan = FaultPlan.script(faults.answer(429, retry_after=seconds))
    answer = session.get(f"{server.url}/echo")
    assert len(clock.waits) == waits
    if waits:
        assert answer.ok
        return
    attempt = first(answer)
    assert (answer.status_code, reason(answer)) == (429, "retry_after_above_ceiling")
    assert attempt.disposition is Disposition.REFUSED
    assert attempt.failure is not None
    assert attempt.failure.retry_after is not None
    assert attempt.failure.retry_after.raw == str(seconds)


def test_ceiling_is_policy(server: FakeServer, clock: Clock) -> None:
    """A6, D16: the ceiling is a setting, of a call too."""
    server.plan = FaultPlan.script(faults.answer(503, retry_after=10))
    patient = Policy(retry_after=RetryAfterPolicy(ceiling=5))
    with Session(runtime=clock) as session:
        answer = session.request("GET", f"{server.url}/echo", policy=patient)
    assert reason(answer) == "retry_after_above_ceiling"


GARBAGE: dict[str, bytes] = {
    "bytes": b"\xff\xfe\xfd",
    "control characters": b"\x01\x02 7",
    "a novel": b"9" * 20_000,
    "commas": b"," * 20_000,
    "a date of nowhere": b"Foo, 99 Bar 99999 99:99:99 GMT",
    "percent": b"%s%n%d",
}


@pytest.mark.parametrize("value", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_survived(server: FakeServer, session: Session, value: bytes) -> None:
    """A2, A7: no value of any bytes or length raises, and each falls back to backoff."""
    head = b"HTTP/1.1 429 Slow\r\nConnection: close\r\nRetry-After: " + value + b"\r\n\r\n"
    server.plan = FaultPlan.script(faults.raw(head))
    answer = session.get(f"{server.url}/echo")
    assert statuses(answer) == [429, 200]
    assert first(answer).delay_source is WaitReason.BACKOFF
    asked: Any = first(answer).failure
    assert len(asked.retry_after.raw or "") <= 64


def test_other_statuses_are_obeyed_when_they_say_so(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """A3: a delay counts on any failure that is transient."""
    for status in (408, 502, 504):
        clock.waits.clear()
        server.plan = FaultPlan.script(faults.answer(status, retry_after=6))
        assert statuses(session.get(f"{server.url}/echo")) == [status, 200]
        assert clock.waits[0] >= 6


def test_delay_on_a_permanent_failure_is_ignored(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """A3: a delay does not make a permanent failure worth repeating."""
    server.plan = FaultPlan.script(faults.answer(404, retry_after=6))
    answer = session.get(f"{server.url}/echo")
    assert (statuses(answer), clock.waits) == ([404], [])
    assert first(answer).disposition is Disposition.IGNORED


FAILURES: list[Fault] = [
    faults.answer(408),
    faults.answer(408),
    faults.answer(429, retry_after=5),
    faults.answer(408),
    faults.answer(408),
]


def test_backoff_begins_anew_after_a_delay_of_the_server(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """A9: the backoff after a server-given delay starts from its base again."""
    server.plan = FaultPlan.script(*FAILURES)
    assert session.get(f"{server.url}/echo").ok
    assert clock.waits == [0.5, 1.0, 5.25, 0.5, 1.0]
