"""The call report: from whatever the caller holds, and true to what happened."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from scenes import QUEUES, Clock, token_source

import weatherglass
from weatherglass import Adapter, Attempt, Callbacks, CallReport, Session
from weatherglass.testing import FakeServer, FaultPlan, faults
from weatherglass.vocabulary import (
    BreakerState,
    Disposition,
    Kind,
    Outcome,
    ResendReason,
    RetryAfterSource,
    RetryAfterVariant,
    WaitReason,
)


def test_report_tells_every_attempt(clock: Clock) -> None:
    """D7: failure, delay, source, Retry-After, breaker, token and times stand with each attempt."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        server.plan = FaultPlan.script(
            faults.answer(503),
            faults.answer(429, retry_after=4),
            faults.reset(),
            faults.revoke(),
            path=QUEUES,
        )
        with Session(runtime=clock, tokens=token_source(server)) as session:
            began = clock.time()
            report = weatherglass.report(session.get(server.url + QUEUES))
    kinds = [None if a.failure is None else a.failure.kind for a in report.attempts]
    assert kinds == [
        Kind.UNAVAILABLE,
        Kind.RATE_LIMITED,
        Kind.CONNECTION_RESET,
        Kind.UNAUTHORIZED,
        None,
    ]
    assert [a.number for a in report.attempts] == [1, 2, 3, 4, 5]
    assert [a.status for a in report.attempts] == [503, 429, None, 401, 200]
    assert [a.resend_reason for a in report.attempts] == [
        None, ResendReason.RETRY, ResendReason.RETRY, ResendReason.RETRY, ResendReason.REAUTH,
    ]  # fmt: skip
    assert [a.delay for a in report.attempts] == [0.5, pytest.approx(4.2), 0.5, 0.0, None]
    assert [a.delay_source for a in report.attempts] == [
        WaitReason.BACKOFF, WaitReason.RETRY_AFTER, WaitReason.BACKOFF, WaitReason.TOKEN, None,
    ]  # fmt: skip
    assert [a.token_generation for a in report.attempts] == [1, 1, 1, 1, 2]
    assert {a.breaker_state for a in report.attempts} == {BreakerState.CLOSED}
    limited = report.attempts[1]
    assert limited.failure is not None
    assert limited.failure.retry_after is not None
    assert limited.failure.retry_after.variant is RetryAfterVariant.DELTA_SECONDS
    assert limited.failure.retry_after.source is RetryAfterSource.RETRY_AFTER
    assert limited.failure.retry_after.raw == "4"
    assert limited.disposition is Disposition.HONOURED
    starts = [a.started_at - began for a in report.attempts]
    assert starts == [0, pytest.approx(0.5), *[pytest.approx(n) for n in (4.7, 5.2, 5.2)]]
    waits = [(w.reason, w.before_attempt) for w in report.waits]
    assert waits == [
        (WaitReason.BACKOFF, 2),
        (WaitReason.RETRY_AFTER, 3),
        (WaitReason.BACKOFF, 4),
    ]
    assert report.waited == pytest.approx(5.2)
    assert report.duration == pytest.approx(5.2)
    assert (report.outcome, report.give_up_reason, report.failure) == (Outcome.SUCCESS, None, None)
    entries = server.ledger.requests(path=QUEUES)
    assert [e.arrived_at for e in entries] == [pytest.approx(a.started_at) for a in report.attempts]


def test_report_of_a_success_is_small(server: FakeServer, session: Session) -> None:
    """D7: a call that succeeds at once has one attempt in its report and nothing else."""
    report = weatherglass.report(session.get(f"{server.url}/echo"))
    assert len(report.attempts) == 1
    assert (report.waits, report.observed, report.failure) == ((), (), None)
    told = report.to_dict()
    assert {k: v for k, v in told.items() if v not in (None, [], 0)} == {
        "method": "GET",
        "url": f"{server.url}/echo",
        "policy": "default",
        "outcome": "success",
        "attempts": told["attempts"],
    }


def test_report_is_found_from_response_exception_and_what_was_raised_from_it(
    server: FakeServer, session: Session
) -> None:
    """D7: a response, an exception of requests or ours, and one chained to it lead to it."""
    answer = session.get(f"{server.url}/nowhere")
    report = weatherglass.report(answer)
    with pytest.raises(requests.HTTPError) as status:
        answer.raise_for_status()
    assert weatherglass.report(status.value) is report

    server.plan = FaultPlan.script(*[faults.reset()] * 9)

    class TheirError(Exception):
        pass

    def application() -> None:
        try:
            session.get(f"{server.url}/echo")
        except requests.ConnectionError as error:
            raise TheirError("the queue service is away") from error

    with pytest.raises(TheirError) as theirs:
        application()
    found = weatherglass.report(theirs.value)
    assert found.failure is not None
    assert found.failure.kind is Kind.CONNECTION_RESET
    assert theirs.value.__cause__ is not None
    assert weatherglass.report(theirs.value.__cause__) is found


def test_report_is_found_through_two_exceptions_of_the_application(
    server: FakeServer, session: Session
) -> None:
    """D7: the chain is followed as far as it goes, to our own errors as well."""
    try:
        try:
            session.request("GET", f"{server.url}/nowhere", raise_failures=True)
        except requests.RequestException as error:
            raise KeyError("inner") from error
    except KeyError as error:
        outer = ValueError("outer")
        outer.__cause__ = error
    assert weatherglass.report(outer).attempts[0].status == 404


@pytest.mark.parametrize(
    "foreign", [requests.Response(), ValueError("x"), requests.ConnectionError("y")]
)
def test_what_is_not_ours_has_no_report(foreign: Any) -> None:
    """D7: asking for the report of something else is a clear error."""
    with pytest.raises(LookupError, match="did not come from a weatherglass session or adapter"):
        weatherglass.report(foreign)


def test_report_is_json_and_frozen(server: FakeServer, session: Session) -> None:
    """D7: the report turns into JSON, into lines for a person, and cannot be changed."""
    server.plan = FaultPlan.script(faults.answer(429, retry_after=2), faults.reset())
    report = weatherglass.report(session.get(f"{server.url}/echo?secret=1"))
    told = json.loads(json.dumps(report.to_dict()))
    assert [a["failure"] and a["failure"]["kind"] for a in told["attempts"]] == [
        "rate_limited",
        "connection_reset",
        None,
    ]
    assert told["waited"] == report.waited
    assert "success after 3 attempts" in str(report)
    with pytest.raises(AttributeError):
        report.outcome = Outcome.FAILED  # type: ignore[misc]  # that is the point
    with pytest.raises(AttributeError):
        report.attempts[0].status = 200  # type: ignore[misc]  # likewise


def test_each_call_has_its_own_report(server: FakeServer, session: Session) -> None:
    """D7: two calls of one session do not share anything of their reports."""
    server.plan = FaultPlan.script(faults.answer(503))
    first, second = (weatherglass.report(session.get(f"{server.url}/echo")) for _ in range(2))
    assert (len(first.attempts), len(second.attempts)) == (2, 1)


def test_adapter_reports_like_the_session(server: FakeServer, clock: Clock) -> None:
    """D7, D2: on a plain session the response of each send has the report of its call."""
    with requests.Session() as plain:
        plain.mount("http://", Adapter(runtime=clock))
        answer = plain.get(f"{server.url}/redirect?to=/echo")
    (hop,) = answer.history
    assert [a.url for a in weatherglass.report(hop).attempts] == [hop.url]
    assert [a.url for a in weatherglass.report(answer).attempts] == [f"{server.url}/echo"]


def test_callback_gets_the_report_that_the_caller_finds(server: FakeServer, clock: Clock) -> None:
    """D7, R6: there is one report of a call, whoever looks at it."""
    told: list[CallReport] = []
    failed: list[Attempt] = []
    callbacks = Callbacks(on_call=told.append, on_failure=failed.append)
    server.plan = FaultPlan.script(faults.answer(503))
    with Session(runtime=clock, callbacks=callbacks) as session:
        report = weatherglass.report(session.get(f"{server.url}/echo"))
    assert told == [report]
    assert told[0] is report
    assert failed == [report.attempts[0]]
