"""Bodies that break off: found inside the attempt, and replayed where that does no harm."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
import requests
from requests.exceptions import ChunkedEncodingError
from scenes import Clock, kinds, outcome_of, reason, statuses

import weatherglass
from weatherglass import Session
from weatherglass.testing import FakeServer, Fault, FaultPlan, faults

BODY = bytes(range(256)) * 400
CUTS: dict[str, tuple[str, Fault]] = {
    "orderly": ("/bytes/1000", faults.cut()),
    "reset": ("/bytes/1000", faults.cut(abrupt=True)),
    "at once": ("/bytes/1000", faults.cut(size=0)),
    "in chunks": ("/stream?chunks=4&size=100", faults.cut()),
    "chunks reset": ("/stream?chunks=4&size=100", faults.cut(abrupt=True)),
    "before the last chunk": ("/stream?chunks=1&size=100", faults.cut(size=99)),
    "compressed": (
        "/echo",
        faults.cut(
            of=faults.answer(200, body=gzip.compress(BODY), headers={"Content-Encoding": "gzip"})
        ),
    ),
}
DEADLINES: list[dict[str, Any]] = [{}, {"deadline": 60}]


@pytest.mark.parametrize("deadline", DEADLINES, ids=["without deadline", "with deadline"])
@pytest.mark.parametrize(("path", "cut"), CUTS.values(), ids=CUTS.keys())
def test_cut_body_is_replayed(
    server: FakeServer, session: Session, path: str, cut: Fault, deadline: dict[str, Any]
) -> None:
    """D10: a connection lost in mid-body is a failed attempt like any other, and replayed."""
    server.plan = FaultPlan.script(cut)
    answer = session.request("GET", server.url + path, **deadline)
    assert kinds(answer) == ["truncated_body", None]
    assert statuses(answer) == [200, 200]


def test_replayed_body_is_the_whole_one(server: FakeServer, session: Session) -> None:
    """D10: nothing of the broken answer remains in the one that is returned."""
    expected = session.get(f"{server.url}/bytes/100000").content
    server.plan = FaultPlan.script(faults.cut(), faults.cut(abrupt=True))
    assert session.get(f"{server.url}/bytes/100000").content == expected


@pytest.mark.parametrize("deadline", DEADLINES, ids=["without deadline", "with deadline"])
def test_cut_success_of_a_post_is_not_replayed(
    server: FakeServer, session: Session, deadline: dict[str, Any]
) -> None:
    """D10, R3: a POST whose 200 broke off has been executed, and is not sent again."""
    server.plan = FaultPlan.script(faults.cut())
    with pytest.raises(ChunkedEncodingError) as caught:
        session.request("POST", f"{server.url}/echo", data=b"once", **deadline)
    assert reason(caught.value) == "method_not_replayable"
    assert kinds(caught.value) == ["truncated_body"]
    assert len(server.ledger.executions()) == len(server.ledger) == 1


def test_cut_success_of_a_post_declared_idempotent_is(server: FakeServer, session: Session) -> None:
    """D10, R3: unless the caller has said that once more does no harm."""
    server.plan = FaultPlan.script(faults.cut())
    answer = session.request("POST", f"{server.url}/echo", data=b"twice", idempotent=True)
    assert kinds(answer) == ["truncated_body", None]
    assert [entry.body for entry in server.ledger.executions()] == [b"twice"] * 2


def test_cut_failure_is_what_its_status_says(server: FakeServer, session: Session) -> None:
    """D10, C5: a broken-off error page is still that error: a cut 429 was not executed."""
    limited = faults.answer(429, retry_after=1)
    server.plan = FaultPlan.script(faults.cut(of=limited))
    answer = session.post(f"{server.url}/echo", data=b"once")
    assert kinds(answer) == ["rate_limited", None]
    server.plan = FaultPlan.script(faults.cut(of=faults.answer(404)))
    error = outcome_of(lambda: session.get(f"{server.url}/echo"))
    assert isinstance(error, ChunkedEncodingError)
    assert kinds(error) == ["not_found"]


def test_cut_that_never_heals_is_raised_as_by_requests(
    server: FakeServer, session: Session
) -> None:
    """D10, D5: after the last replay the error of reading is raised, with its report."""
    server.plan = FaultPlan.script(*[faults.cut()] * 9)
    with pytest.raises(ChunkedEncodingError) as caught:
        session.get(f"{server.url}/bytes/1000")
    assert kinds(caught.value) == ["truncated_body"] * 4
    assert reason(caught.value) == "network_retries_exhausted"


def test_cut_stream_is_the_caller_s(server: FakeServer, session: Session) -> None:
    """D10: when streaming, what breaks while the caller reads is theirs, and nothing is resent."""
    server.plan = FaultPlan.script(faults.cut())
    answer = session.get(f"{server.url}/bytes/1000", stream=True)
    assert weatherglass.report(answer).succeeded
    with pytest.raises(ChunkedEncodingError):
        answer.content  # noqa: B018 - the property reads the body
    assert len(server.ledger) == 1


def test_body_is_read_when_the_call_returns(server: FakeServer, session: Session) -> None:
    """D10: without streaming nothing is left to be read, and the connection is free."""
    answer = session.get(f"{server.url}/bytes/1000")
    server.refuse()
    assert len(answer.content) == 1000


def test_malformed_chunks_are_replayed(server: FakeServer, session: Session) -> None:
    """D10, N1: a body that is no valid chunked coding is a malformed response."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.plan = FaultPlan.script(faults.raw(head + b"zz\r\nnonsense\r\n"))
    assert kinds(session.get(f"{server.url}/echo")) == ["malformed_response", None]


def test_undecodable_body_is_replayed(server: FakeServer, session: Session) -> None:
    """D10, N1: so is one that cannot be decoded as it claims to be encoded."""
    packed = faults.answer(200, body=b"not gzip at all", headers={"Content-Encoding": "gzip"})
    server.plan = FaultPlan.script(packed, None, packed)
    for deadline in DEADLINES:
        answer = session.request("GET", f"{server.url}/echo", **deadline)
        assert kinds(answer) == ["malformed_response", None]


def test_cut_redirect_is_followed_as_by_requests(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """D10, D1: a redirect says all that counts in its head, so its broken body hurts nobody."""
    target = faults.answer(302, body=b"moved" * 100, headers={"Location": "/bytes/10"})
    plan = FaultPlan.script(faults.cut(of=target))
    server.plan = plan
    with requests.Session() as plain:
        assert len(plain.get(f"{server.url}/echo").content) == 10
    server.plan = plan
    assert len(session.get(f"{server.url}/echo").content) == 10
    assert clock.waits == []
