"""Streaming: successes stay untouched, failures are read just far enough to be understood."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import requests
from requests.exceptions import ChunkedEncodingError
from scenes import Clock, kinds, outcome_of, reason, statuses

import weatherglass
from weatherglass import CallFailed, Policy, Session
from weatherglass.testing import FakeServer, Fault, FaultPlan, faults

SMALL = json.dumps({"code": "some.code", "message": "Something."}).encode()
EXACT = SMALL + b" " * (65536 - len(SMALL))
LARGE = SMALL + b" " * 300_000


def sized(body: bytes) -> Fault:
    return faults.answer(400, body=body, headers={"Content-Type": "application/json"})


def chunked(body: bytes, size: int = 10_000) -> Fault:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    head = (
        b"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return faults.raw(head + coded + b"0\r\n\r\n")


def unsized(body: bytes) -> Fault:
    head = b"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\n\r\n"
    return faults.raw(head + body)


def packed(body: bytes) -> Fault:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return faults.answer(400, body=gzip.compress(body), headers=headers)


FORMS: dict[str, Callable[[bytes], Fault]] = {
    "Content-Length": sized,
    "chunked": chunked,
    "until the end": unsized,
    "compressed": packed,
}
READERS: dict[str, Callable[[requests.Response], bytes]] = {
    "content": lambda answer: answer.content,
    "iter_content": lambda answer: b"".join(answer.iter_content(1000)),
    "iter_content as it comes": lambda answer: b"".join(answer.iter_content(None)),
    "iter_lines": lambda answer: b"".join(answer.iter_lines()),
    "raw": lambda answer: b"".join(iter(lambda: answer.raw.read(999, decode_content=True), b"")),
    "raw whole": lambda answer: bytes(answer.raw.read(decode_content=True)),
    "raw stream": lambda answer: b"".join(answer.raw.stream(777, decode_content=True)),
}


def test_streamed_success_is_untouched(server: FakeServer, session: Session) -> None:
    """C7, D5: of a streamed success not a byte is read before the caller reads it."""
    answer = session.get(f"{server.url}/bytes/1000000", stream=True)
    assert answer.raw.tell() == 0
    assert not vars(answer)["_content_consumed"]
    assert next(answer.iter_content(10)) == bytes(range(10))
    answer.close()


@pytest.mark.parametrize("deadline", [None, 60], ids=["without deadline", "with deadline"])
@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("body", [SMALL, EXACT, LARGE], ids=["small", "exact", "large"])
def test_streamed_failure_can_be_read_by_the_caller(
    server: FakeServer,
    session: Session,
    form: Callable[[bytes], Fault],
    body: bytes,
    read: Callable[[requests.Response], bytes],
    deadline: float | None,
) -> None:
    """C7: whatever we have looked at, the caller reads the whole body in every way of reading."""
    server.plan = FaultPlan.script(form(body))
    answer = session.request("GET", f"{server.url}/echo", stream=True, deadline=deadline)
    assert answer.status_code == 400
    assert read(answer) == body


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_streamed_failure_is_classified_by_its_code(
    server: FakeServer, session: Session, form: Callable[[bytes], Fault]
) -> None:
    """C5, C7: a streamed failure has its code, up to 64 KiB on the wire; beyond it has none."""
    found = []
    for body in (SMALL, EXACT, LARGE):
        server.plan = FaultPlan.script(form(body))
        answer = session.get(f"{server.url}/echo", stream=True)
        failure = weatherglass.report(answer).failure
        assert failure is not None
        found.append(failure.code)
        answer.close()
    assert found[:2] == ["some.code", "some.code"]
    assert found[2] == ("some.code" if form is packed else "GENERIC")


def test_streamed_bomb_is_not_unpacked(server: FakeServer, session: Session) -> None:
    """C7, S1: of a small body that unpacks to sixty megabytes, no more than 64 KiB is unpacked."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(60)) + packer.flush()
    assert len(bomb) < 65536
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    server.plan = FaultPlan.script(faults.answer(400, body=bomb, headers=headers))
    tracemalloc.start()
    try:
        answer = session.get(f"{server.url}/echo", stream=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    answer.close()
    assert weatherglass.report(answer).failure is not None
    assert peak < 10 << 20


def test_streamed_failure_whose_code_forbids_it_is_not_retried(
    server: FakeServer, session: Session
) -> None:
    """C5: the code decides of a streamed failure as well."""
    server.plan = FaultPlan.script(*[faults.answer(503, code="VALIDATION_FAILED")] * 9)
    answer = session.get(f"{server.url}/echo", stream=True)
    assert (kinds(answer), reason(answer)) == (["invalid_request"], None)
    assert answer.json()["code"] == "VALIDATION_FAILED"


def test_streamed_failure_is_retried_and_its_success_streams(
    server: FakeServer, session: Session
) -> None:
    """C7, D11: after streamed failures the success streams, and the last failure can be read."""
    server.plan = FaultPlan.script(faults.answer(503), chunked(LARGE).new(), faults.reset())
    answer = session.get(f"{server.url}/bytes/100000", stream=True)
    assert statuses(answer) == [503, 400]
    assert answer.content == LARGE
    answer = session.get(f"{server.url}/bytes/100000", stream=True)
    assert kinds(answer) == ["connection_reset", None]
    assert len(answer.content) == 100_000


@pytest.mark.parametrize("deadline", [None, 60], ids=["without deadline", "with deadline"])
@pytest.mark.parametrize(
    "fault",
    [faults.cut(of=sized(SMALL * 100)), faults.raw(chunked(SMALL * 100).body[:-500] or b"")],  # type: ignore[index]  # it has one
    ids=["Content-Length", "chunked"],
)
def test_broken_streamed_failure_breaks_for_the_caller(
    server: FakeServer, session: Session, fault: Fault, deadline: float | None
) -> None:
    """C7, D10: where a streamed failure breaks off, its reader finds the break."""
    server.plan = FaultPlan.script(fault)
    answer = session.request("GET", f"{server.url}/echo", stream=True, deadline=deadline)
    assert statuses(answer) == [400]
    read: list[bytes] = []
    with pytest.raises(ChunkedEncodingError):
        read.extend(answer.iter_content(100))
    assert read
    assert (SMALL * 100).startswith(b"".join(read))


def test_answer_let_go_of_is_not_taken_for_an_empty_one(server: FakeServer, clock: Clock) -> None:
    """D11, D5: a large body that was dropped before a wait cannot be read as an empty one."""
    server.plan = FaultPlan.script(faults.answer(503, body=LARGE))
    with Session(runtime=clock) as session:
        callbacks = session.adapter.callbacks
        session.adapter.callbacks = weatherglass.Callbacks(
            on_retry=lambda _: session.breakers.force_open(server.url)
        )
        answer = session.get(f"{server.url}/echo", stream=True)
        session.adapter.callbacks = callbacks
        assert (answer.status_code, reason(answer)) == (503, "circuit_open")
        error = outcome_of(lambda: answer.content)
        assert isinstance(error, ChunkedEncodingError)


def test_timeout_of_the_caller_s_reads_is_theirs(server: FakeServer, session: Session) -> None:
    """D8, D9: our look into a failure does not leave the deadline on the caller's socket."""
    head = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"%x\r\n%s\r\n" % (len(LARGE), LARGE)
    server.plan = FaultPlan.script(faults.raw(head + piece + b"0\r\n\r\n"))
    answer = session.request("GET", f"{server.url}/echo", stream=True, deadline=60, timeout=30)
    connection: Any = answer.raw.connection
    assert connection.sock.gettimeout() == 30
    assert answer.content == LARGE


def test_connections_are_not_leaked_by_streamed_retries(server: FakeServer, clock: Clock) -> None:
    """D11: a hundred streamed failures leave one connection in the pool and none elsewhere."""
    plan = [sized(LARGE).new(status=408), chunked(LARGE).new(), faults.answer(408)] * 30
    server.plan = FaultPlan.script(*plan)
    with Session(runtime=clock, pool_maxsize=1, pool_block=True) as session:
        for _ in range(60):
            answer = session.get(f"{server.url}/bytes/10", stream=True)
            assert answer.content
        assert answer.status_code == 200


def test_session_that_streams_by_default(server: FakeServer, session: Session) -> None:
    """D1, D10: ``session.stream = True`` is heeded as by requests."""
    session.stream = True
    server.plan = FaultPlan.script(faults.answer(503))
    answer = session.get(f"{server.url}/bytes/1000")
    assert statuses(answer) == [503, 200]
    assert not answer.raw.closed
    assert len(answer.content) == 1000


def test_streamed_failure_that_is_raised_can_be_read(server: FakeServer, clock: Clock) -> None:
    """D5, C7: with ``raise_failures`` the body is read from the exception's response."""
    server.plan = FaultPlan.script(sized(LARGE))
    with Session(runtime=clock, policy=Policy(raise_failures=True)) as session:
        with pytest.raises(CallFailed) as caught:
            session.get(f"{server.url}/echo", stream=True)
        response: Any = caught.value.response
        assert response.content == LARGE
