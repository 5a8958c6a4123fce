"""Status pages that fail: no call is changed or delayed, whatever they do."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from feed_crew import adapter, feed_policy, pages, read, readers, settle, spoiled
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from storm_crew import OPEN, RELEASE, reach

from weatherglass import Adapter, MaintenanceInProgress, Policy, Session, options
from weatherglass.policy import StatusFeed
from weatherglass.runtime import SYSTEM
from weatherglass.testing import FakeServer, FaultPlan, FaultRule, VirtualClock, faults

MakeSession = Callable[..., Session]

HUGE = b'{"scheduled_maintenances": [' + b" " * 8 * 1024 * 1024 + b"]}"

BAD = {
    "500": (faults.answer(500), "500"),
    "404": (faults.answer(404), "404"),
    "redirect": (faults.redirect("https://example.com/"), "302"),
    "html": (faults.answer(200, body="<html>", headers={"Content-Type": "text/html"}), "not_json"),
    "empty": (faults.answer(200, body=b""), "not_json"),
    "wrong": (faults.answer(200, json={"status": "fine"}), "not_a_status_page"),
    "brackets": (faults.answer(200, body=b"[" * 1_000_000), "not_json"),
    "huge": (faults.answer(200, body=HUGE), "too_large"),
    "packed": (faults.answer(200, body=b"x", headers={"Content-Encoding": "gzip"}), "content_enc"),
    "cut": (faults.cut(20), ""),
    "reset": (faults.reset(), "ConnectionError"),
    "noise": (faults.raw(b"\x00\x01\x02\r\n\r\n"), ""),
}

SLOW = {
    "hang": faults.hang(),
    "drip": faults.drip(0.05),
}

DRIPS = {
    "status line": (b"", b"H"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "chunk's size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
}
"""What comes at once, and what then comes again and again without end."""


@contextmanager
def dripping(begin: bytes, drop: bytes) -> Iterator[str]:
    """A server that drips where the fake server does not: its URL."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(begin)
                while not ended.wait(0.02):
                    connection.sendall(drop)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


@pytest.mark.parametrize("trouble", BAD)
def test_bad_page_changes_no_call(
    server: FakeServer,
    clock: VirtualClock,
    make_session: MakeSession,
    caplog: pytest.LogCaptureFixture,
    trouble: str,
) -> None:
    """M2: a page that answers nonsense gives no windows, an age, and one line in the log."""
    fault, error = BAD[trouble]
    server.plan = spoiled(fault)
    session = make_session(policy=feed_policy(server))
    for _ in range(3):
        assert reach(session, server.url + OPEN).statuses == [200]
        settle()
        clock.advance(60)
    assert len(pages(server)) >= 3
    assert adapter(session).feed_ages()["page"] >= 170
    settle()
    reading = read(session)["page"]
    assert not reading.good
    assert reading.windows == ()
    assert error in (reading.error or "")
    told = [line for line in caplog.records if "feed failed" in line.message]
    assert len(told) == 1
    assert told[0].levelno == logging.WARNING
    assert told[0].message == (
        f"maintenance feed failed: maintenance.feed=page error.type={reading.error}"
    )


@pytest.mark.parametrize("trouble", SLOW)
def test_slow_page_delays_nobody(
    real_server: FakeServer, make_session: MakeSession, trouble: str
) -> None:
    """M2: a page that hangs or drips is given up after the feed's timeout, and nobody waits."""
    real_server.plan = spoiled(SLOW[trouble])
    session = make_session(policy=feed_policy(real_server, timeout=0.4), runtime=SYSTEM)
    began = SYSTEM.monotonic()
    for _ in range(5):
        assert reach(session, real_server.url + OPEN).statuses == [200]
    assert SYSTEM.monotonic() - began < 0.4
    settle()
    assert SYSTEM.monotonic() - began < 5
    assert not read(session)["page"].good


@pytest.mark.parametrize("drip", DRIPS)
def test_page_that_drips_is_given_up(drip: str, make_session: MakeSession) -> None:
    """M2: the timeout is for the whole reading, wherever in its answer a page drips."""
    with dripping(*DRIPS[drip]) as url:
        page = StatusFeed(url, name="page", timeout=0.3)
        session = make_session(maintenance={"feeds": (page,)}, runtime=SYSTEM)
        began = SYSTEM.monotonic()
        assert not read(session)["page"].good
        assert 0.2 < SYSTEM.monotonic() - began < 3


def test_page_without_an_end_is_given_up(make_session: MakeSession) -> None:
    """S1: of a document that never ends no more is read than the largest that is allowed."""
    flood = (DRIPS["chunks"][0], b"8000\r\n" + b" " * 0x8000 + b"\r\n")
    with dripping(*flood) as url:
        page = StatusFeed(url, name="page", timeout=60)
        session = make_session(maintenance={"feeds": (page,)}, runtime=SYSTEM)
        began = SYSTEM.monotonic()
        assert read(session)["page"].error == "too_large"
        assert SYSTEM.monotonic() - began < 20


def test_reading_is_no_part_of_the_call_around_it(
    server: FakeServer, make_session: MakeSession
) -> None:
    """M2: options that are in force for the caller's own calls are not the page's."""
    server.plan = spoiled(faults.answer(500))
    session = make_session(policy=feed_policy(server))
    with options(raise_failures=True, idempotency_key="ours"):
        assert read(session)["page"].error == "500"
    assert {entry.idempotency_key for entry in pages(server)} == {None}


def test_page_is_asked_for_plain_json(server: FakeServer, make_session: MakeSession) -> None:
    """S1: nothing packed is asked for, which could unpack to an enormous document."""
    read(make_session(policy=feed_policy(server)))
    asked = [{name.lower(): value for name, value in e.headers} for e in pages(server)]
    assert [each["accept-encoding"] for each in asked] == ["identity"] * 2
    assert [each["accept"] for each in asked] == ["application/json"] * 2


def test_page_that_nobody_serves(server: FakeServer, make_session: MakeSession) -> None:
    """M2: a page that cannot be reached changes nothing but its age."""
    nowhere = StatusFeed(server.refused_url(), name="nowhere")
    session = make_session(maintenance={"feeds": (nowhere,)})
    assert reach(session, server.url + OPEN).statuses == [200]
    settle()
    assert read(session)["nowhere"].error == "ConnectionError"


def test_failing_page_keeps_what_was_known(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M2, M3: the windows of the last good reading hold while the page cannot be read."""
    server.plan = FaultPlan(maintenance=(RELEASE,))
    session = make_session(policy=feed_policy(server))
    read(session)
    server.plan = spoiled(faults.answer(500), maintenance=(RELEASE,))
    clock.advance(601)
    assert [window.name for window in read(session)["page"].windows] == ["release"]
    assert reach(session, server.url + OPEN).report.maintenance == "release"
    assert isinstance(reach(session, server.url + OPEN).error, MaintenanceInProgress)


@pytest.mark.parametrize("half", ["upcoming", "active"])
def test_half_a_page_replaces_nothing(
    server: FakeServer, make_session: MakeSession, half: str
) -> None:
    """M2: both documents must be good, or a window would be lost that stands in the other."""
    server.plan = FaultPlan(maintenance=(RELEASE,))
    session = make_session(policy=feed_policy(server))
    read(session)
    bad = FaultRule(fault=faults.answer(200, json={}), path=f"*/{half}.json")
    server.plan = FaultPlan(rules=(bad,))
    assert [window.name for window in read(session)["page"].windows] == ["release"]


def test_failure_is_told_again_after_it_was_good(
    server: FakeServer, make_session: MakeSession, caplog: pytest.LogCaptureFixture
) -> None:
    """M2, O1: the log has one line for each time that a page begins to fail."""
    session = make_session(policy=feed_policy(server))
    for fault in (faults.answer(500), faults.answer(404), None, faults.answer(500)):
        server.plan = FaultPlan() if fault is None else spoiled(fault)
        read(session)
    told = [line.message for line in caplog.records if "feed failed" in line.message]
    assert [line.rpartition("=")[2] for line in told] == ["500", "500"]


def test_failing_page_is_tried_again_sooner(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """M2: after a failure the next reading comes in seconds, not after the TTL."""
    server.plan = spoiled(faults.answer(404))
    session = make_session(policy=feed_policy(server))
    read(session)
    server.plan = FaultPlan(maintenance=(RELEASE,))
    clock.advance(6)
    reach(session, server.url + OPEN)
    settle()
    assert adapter(session).live.calendar.windows


def test_page_s_failures_are_not_the_api_s(server: FakeServer, make_session: MakeSession) -> None:
    """M2: a page that is down opens no breaker, empties no budget, and closes no gate at all."""
    server.plan = spoiled(faults.answer(503, retry_after=60))
    session = make_session(policy=feed_policy(server).new(breaker={"consecutive_failures": 1}))
    before = dict(adapter(session).live.retry_budget.levels())
    for _ in range(5):
        read(session)
    assert len(pages(server)) == 5
    assert session.breakers.states() == {}
    assert dict(adapter(session).live.retry_budget.levels()) == before
    assert reach(session, server.url + OPEN).report.waits == ()


class Diverting(HTTPAdapter):
    """Sends everything to one server; reads the bodies before it hands them on, if told to."""

    def __init__(self, url: str, *, reads: bool) -> None:
        super().__init__()
        self.url = url
        self.reads = reads

    def send(self, request: PreparedRequest, *args: Any, **named: Any) -> Response:
        request.url = self.url + request.path_url
        response = super().send(request, *args, **named)
        if self.reads:
            response.content  # noqa: B018 - the property reads the body
        return response


@pytest.mark.parametrize("reads", [False, True])
def test_page_is_read_by_what_performs_attempts(
    server: FakeServer, clock: VirtualClock, reads: bool
) -> None:
    """M2, D3: a tool that stands in for the network is asked for pages as well."""
    server.plan = FaultPlan(maintenance=(RELEASE,))
    policy = Policy().new(maintenance={"feeds": (StatusFeed("https://status.invalid"),)})
    inner = Diverting(server.url, reads=reads)
    tool = Adapter(policy=policy, runtime=clock, inner=inner)
    reading = tool.read_feeds()["status.invalid"]
    tool.close()
    inner.close()
    assert [window.name for window in reading.windows] == ["release"]


class Broken(HTTPAdapter):
    """A tool with a fault of its own."""

    def send(self, *_args: Any, **_named: Any) -> Response:
        raise KeyError("a secret")


def test_whatever_a_tool_raises_is_the_page_s_failure(clock: VirtualClock) -> None:
    """M2: no exception of any kind comes out of a reading, and none is quoted."""
    policy = Policy().new(maintenance={"feeds": (StatusFeed("https://status.invalid"),)})
    tool = Adapter(policy=policy, runtime=clock, inner=Broken())
    assert tool.read_feeds()["status.invalid"].error == "KeyError"
    tool.close()


def test_reading_leaves_no_thread(server: FakeServer, make_session: MakeSession) -> None:
    """M2, D14: the thread that reads ends when it has read."""
    session = make_session(policy=feed_policy(server))
    reach(session, server.url + OPEN)
    settle()
    assert readers() == []
