"""What comes back to the caller: as from requests, unless failures are to be raised."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
import requests
from scenes import Clock, outcome_of, read_timeout, reason, statuses

import weatherglass
from weatherglass import (
    Adapter,
    AttemptTimedOut,
    CallFailed,
    NetworkFailed,
    Policy,
    Session,
    StatusFailed,
)
from weatherglass.testing import FakeServer, Fault, FaultPlan, faults

DOWN = FaultPlan.script(*[faults.answer(503)] * 20)

PLAIN = {
    "json": "/echo?a=1&b=2",
    "bytes": "/bytes/100000",
    "nothing": "/status/204",
    "chunks": "/stream?chunks=5&size=1000",
    "redirect": "/redirect?to=/bytes/10",
}


def seen(answer: requests.Response) -> dict[str, Any]:
    """Everything of a response that a caller can see and that does not differ by itself."""
    return {
        "status": (answer.status_code, answer.reason, answer.ok, answer.url),
        "headers": [(k, v) for k, v in answer.headers.items() if k != "Date"],
        "content": answer.content,
        "encoding": (answer.encoding, answer.apparent_encoding),
        "history": [seen(earlier) for earlier in answer.history],
        "request": (answer.request.method, answer.request.url, dict(answer.request.headers)),
        "cookies": answer.cookies.get_dict(),
        "types": [
            type(part)
            for part in (
                answer,
                answer.raw,
                answer.headers,
                answer.content,
                answer.history,
                answer.elapsed,
                answer.request,
                answer.cookies,
            )
        ],
        "state": (answer.raw.closed, answer.raw.version, answer.is_redirect),
    }


@pytest.mark.parametrize("path", PLAIN.values(), ids=PLAIN.keys())
@pytest.mark.parametrize("stream", [False, True])
def test_answer_is_what_requests_returns(
    server: FakeServer, session: Session, path: str, stream: bool
) -> None:
    """D5: a success has the same bytes, headers and types as it has from requests."""
    with requests.Session() as plain:
        expected = seen(plain.get(server.url + path, stream=stream))
    assert seen(session.get(server.url + path, stream=stream)) == expected


def test_answer_within_a_deadline_is_what_requests_returns(
    server: FakeServer, session: Session
) -> None:
    """D5, D9: the body that is read against a deadline is the same, also when it is compressed."""
    packed = faults.answer(
        200, body=gzip.compress(b"weather " * 20_000), headers={"Content-Encoding": "gzip"}
    )
    server.plan = FaultPlan.script(packed, packed, path="/packed")
    for path in ("/packed", *PLAIN.values()):
        with requests.Session() as plain:
            expected = seen(plain.get(server.url + path))
        assert seen(session.request("GET", server.url + path, deadline=60)) == expected


def test_request_on_the_wire_is_what_requests_sends(server: FakeServer, session: Session) -> None:
    """D5: without configuration nothing is added to a request: not a header, not a byte."""
    for asking in (requests.Session(), session):
        with asking:
            asking.headers["X-Mine"] = "1"
            asking.cookies["c"] = "2"
            asking.post(f"{server.url}/echo", params={"q": "x y"}, json={"a": [1]}, auth=("u", "p"))
            asking.get(f"{server.url}/echo")
    sent = [(e.method, e.path, e.query, e.headers, e.body) for e in server.ledger.requests()]
    assert sent[:2] == sent[2:]


def test_last_response_is_returned_after_exhaustion(server: FakeServer, session: Session) -> None:
    """D5, R1: after five retries the last answer is returned, readable, and nothing is raised."""
    server.plan = FaultPlan.script(
        *[faults.answer(408)] * 5, faults.answer(408, message="the sixth")
    )
    answer = session.get(f"{server.url}/echo")
    assert (answer.status_code, answer.json()["message"]) == (408, "the sixth")
    assert (reason(answer), len(server.ledger)) == ("retries_exhausted", 6)


def test_last_response_is_returned_when_the_breaker_opens(
    server: FakeServer, session: Session
) -> None:
    """D5, B6: likewise when the fifth failure in a row opens the breaker under the call."""
    server.plan = DOWN
    answer = session.get(f"{server.url}/echo")
    assert (answer.status_code, answer.json()["code"]) == (503, "service.unavailable")
    assert (reason(answer), len(server.ledger)) == ("circuit_open", 5)


def test_permanent_failure_is_returned_at_once(server: FakeServer, session: Session) -> None:
    """D5: an answer that no retry would better is returned as it is."""
    answer = session.get(f"{server.url}/nowhere")
    assert (answer.status_code, statuses(answer), reason(answer)) == (404, [404], None)
    with pytest.raises(requests.HTTPError, match="404"):
        answer.raise_for_status()


NETWORK: dict[str, Fault] = {
    "reset": faults.reset(),
    "disconnect": faults.disconnect(),
    "no answer": faults.hang(),
    "cut body": faults.cut(of=faults.answer(200, body=b"x" * 100)),
    "garbage": faults.raw(b"garbage\r\n\r\n"),
}


@pytest.mark.parametrize("fault", NETWORK.values(), ids=NETWORK.keys())
def test_last_error_is_raised_after_exhaustion(
    server: FakeServer, session: Session, fault: Fault
) -> None:
    """D5: when the network fails to the end, the same exception is raised as by requests."""
    server.plan = FaultPlan.script(*[fault] * 20)
    with requests.Session() as plain, pytest.raises(requests.RequestException) as expected:
        plain.get(f"{server.url}/echo", timeout=read_timeout(fault))
    with pytest.raises(type(expected.value)) as caught:
        session.get(f"{server.url}/echo", timeout=read_timeout(fault))
    assert type(caught.value) is type(expected.value)
    assert not isinstance(caught.value, CallFailed)
    assert isinstance(caught.value.request, requests.PreparedRequest)
    assert reason(caught.value) == "network_retries_exhausted"
    assert len(weatherglass.report(caught.value).attempts) == 4


def test_refused_connection_is_raised_like_by_requests(
    server: FakeServer, session: Session
) -> None:
    """D5: where nobody listens, requests' ConnectionError is raised in the end."""
    url = server.refused_url()
    with pytest.raises(requests.ConnectionError) as caught:
        session.get(url)
    assert type(caught.value) is requests.ConnectionError
    assert len(weatherglass.report(caught.value).attempts) == 4


Raising = Callable[[FakeServer, Clock], requests.Response]


def by_policy(server: FakeServer, clock: Clock) -> requests.Response:
    with Session(runtime=clock, policy=Policy(raise_failures=True)) as session:
        return session.get(f"{server.url}/echo")


def by_call(server: FakeServer, clock: Clock) -> requests.Response:
    with Session(runtime=clock) as session:
        return session.request("GET", f"{server.url}/echo", raise_failures=True)


def by_send(server: FakeServer, clock: Clock) -> requests.Response:
    with Session(runtime=clock) as session:
        prepared = requests.Request("GET", f"{server.url}/echo").prepare()
        return session.send(prepared, raise_failures=True)


def by_policy_of_the_call(server: FakeServer, clock: Clock) -> requests.Response:
    with Session(runtime=clock) as session:
        policy = Policy(raise_failures=True)
        return session.request("GET", f"{server.url}/echo", policy=policy)


def by_options_on_a_plain_session(server: FakeServer, clock: Clock) -> requests.Response:
    with requests.Session() as plain, weatherglass.options(raise_failures=True):
        plain.mount("http://", Adapter(runtime=clock))
        return plain.get(f"{server.url}/echo")


def streamed(server: FakeServer, clock: Clock) -> requests.Response:
    with Session(runtime=clock) as session:
        return session.request("GET", f"{server.url}/echo", raise_failures=True, stream=True)


def after_a_redirect(server: FakeServer, clock: Clock) -> requests.Response:
    with Session(runtime=clock) as session:
        return session.request("GET", f"{server.url}/redirect?to=/echo", raise_failures=True)


@pytest.mark.parametrize(
    "call",
    [
        by_policy,
        by_call,
        by_send,
        by_policy_of_the_call,
        by_options_on_a_plain_session,
        streamed,
        after_a_redirect,
    ],
)
def test_failures_are_raised_where_that_is_asked_for(
    server: FakeServer, clock: Clock, call: Raising
) -> None:
    """D5: ``raise_failures`` raises CallFailed in place of the last answer, however it is set."""
    server.plan = FaultPlan.script(*[faults.answer(503)] * 20, path="/echo")
    with pytest.raises(StatusFailed, match="503") as caught:
        call(server, clock)
    assert caught.value.response is not None
    assert caught.value.response.json()["code"] == "service.unavailable"
    server.plan = FaultPlan()
    assert call(server, clock).ok


def test_one_call_need_not_raise_what_the_others_do(server: FakeServer, clock: Clock) -> None:
    """D5, D16: ``raise_failures=False`` of a call wins over the policy's."""
    server.plan = DOWN
    with Session(runtime=clock, policy=Policy(raise_failures=True)) as session:
        answer = session.request("GET", f"{server.url}/echo", raise_failures=False)
    assert answer.status_code == 503


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.reset(), NetworkFailed),
        (faults.hang(), AttemptTimedOut),
        (faults.cut(of=faults.answer(200, body=b"x" * 100)), NetworkFailed),
        (faults.answer(404), StatusFailed),
        # The status line came, so that the network did not spare anything.
        (faults.cut(of=faults.answer(503)), StatusFailed),
    ],
)
def test_each_failure_is_raised_as_what_it_was(
    server: FakeServer, session: Session, fault: Fault, expected: type[CallFailed]
) -> None:
    """D5, D6: the class raised says whether an answer, the network or the time was at fault."""
    server.plan = FaultPlan.script(*[fault] * 20)
    error = outcome_of(
        lambda: session.request(
            "GET", f"{server.url}/echo", raise_failures=True, timeout=read_timeout(fault)
        )
    )
    assert type(error) is expected


def test_invalid_call_is_raised_as_by_requests(server: FakeServer, clock: Clock) -> None:
    """D5: a call that was wrong in itself is no failure of the network, and stays what it was."""
    with Session(runtime=clock, policy=Policy(raise_failures=True)) as session:
        error = outcome_of(lambda: session.get(f"{server.url}/echo", headers={"X": "a\nb"}))
        assert type(error) is requests.exceptions.InvalidHeader
        error = outcome_of(lambda: session.get(f"{server.url}/echo", cert="/no/such/file"))
    assert type(error) is OSError
