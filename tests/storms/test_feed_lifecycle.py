"""Readings of status pages and the life of a process: close, fork, pickle, and being forgotten."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from feed_crew import (
    ACTIVE,
    UPCOMING,
    adapter,
    feed,
    feed_policy,
    pages,
    read,
    readers,
    settle,
    spoiled,
)
from storm_crew import OPEN, Crew, reach
from test_fork_and_close import forks, in_child

from weatherglass import Policy, Session
from weatherglass.policy import StatusFeed
from weatherglass.runtime import SYSTEM
from weatherglass.testing import FakeServer, FaultPlan, FaultRule, Maintenance, VirtualClock, faults

MakeSession = Callable[..., Session]

NOW = FaultPlan(maintenance=(Maintenance(name="release", start=0, end=3600),))
"""A window that is in force in real time."""


def descriptors() -> set[str]:
    return {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


@pytest.mark.parametrize("trouble", ["hang", "body", "tls", "retry"])
def test_close_ends_a_reading(real_server: FakeServer, trouble: str) -> None:
    """D14, M2: close breaks off a reading, wherever it waits, and leaves no thread or socket."""
    server, url = real_server, real_server.url
    if trouble == "hang":
        server.plan = spoiled(faults.hang("page"))
    elif trouble == "body":
        server.plan = spoiled(faults.drip(0.2, of=faults.answer(200, body=b" " * 1000)))
    elif trouble == "tls":
        url = server.stalled_url()
    else:
        server.plan = spoiled(faults.answer(503, retry_after=20))
    threads = set(threading.enumerate())
    policy = Policy().new(maintenance={"feeds": (StatusFeed(url, timeout=30),)})
    session = Session(policy=policy)
    assert reach(session, server.url + OPEN).statuses == [200]
    (reader,) = readers()
    began = SYSTEM.monotonic()
    session.close()
    assert SYSTEM.monotonic() - began < 4
    assert not reader.is_alive()
    left = {t for t in threading.enumerate() if not t.name.startswith("weatherglass-server")}
    assert left <= threads


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_readings_leave_no_descriptor(real_server: FakeServer) -> None:
    """D14: a reading keeps no connection, whether it was good, bad or broken off."""
    with Session(policy=feed_policy(real_server, timeout=0.3)) as session:
        read(session)
        gc.collect()
        before = len(descriptors())
        for fault in (faults.answer(500), faults.reset(), faults.hang("never"), faults.cut(3)):
            real_server.plan = spoiled(fault)
            read(session)
        real_server.plan = FaultPlan()
        read(session)
        # The server's own ends go when it has noticed.
        assert len({d for d in descriptors() if "socket" in d}) <= before + 2


def test_closed_session_reads_nothing_until_it_is_used(
    server: FakeServer, clock: VirtualClock, make_session: MakeSession
) -> None:
    """D14: after close an export of telemetry begins no thread; a call does, as before."""
    session = make_session(policy=feed_policy(server))
    reach(session, server.url + OPEN)
    settle()
    session.close()
    clock.advance(1000)
    assert adapter(session).feed_ages() == {"page": 1000}
    settle()
    assert len(pages(server)) == 2
    reach(session, server.url + OPEN)
    settle()
    assert len(pages(server)) == 4
    clock.advance(1000)
    adapter(session).feed_ages()
    settle()
    assert len(pages(server)) == 6, "it is in use again"


@forks
def test_child_reads_for_itself(real_server: FakeServer, make_session: MakeSession) -> None:
    """D13: a child forked in mid-reading has windows of its own reading, and disturbs nobody."""
    server = real_server
    server.plan = FaultPlan(
        maintenance=NOW.maintenance, rules=(FaultRule(fault=faults.hold("page"), nth=(1,)),)
    )
    session = make_session(policy=feed_policy(server), runtime=SYSTEM)
    adapter(session).feed_ages()
    server.wait_held("page")

    def work() -> str:
        settled = read(session)["page"]
        end = reach(session, server.url + OPEN)
        return f"{[window.name for window in settled.windows]} {end.report.maintenance}"

    assert in_child(work) == "['release'] release"
    server.release("page")
    settle()
    assert [w.name for w in adapter(session).live.calendar.windows] == ["release"]


def test_pickled_session_has_feeds_and_no_windows(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """D13: the policy's feeds travel, what was read from them does not."""
    real_server.plan = NOW
    session = make_session(policy=feed_policy(real_server), runtime=SYSTEM)
    read(session)
    with pickle.loads(pickle.dumps(session)) as copy:  # noqa: S301 - what was pickled just now
        assert adapter(copy).live.calendar.empty
        assert adapter(copy).policy.maintenance.feeds == (feed(real_server),)
        assert [window.name for window in read(copy)["page"].windows] == ["release"]


def test_forgotten_session_is_not_kept_alive(real_server: FakeServer) -> None:
    """D14: a reading does not hold on to a session that the application has let go of."""
    real_server.plan = spoiled(faults.hang("page"))
    session = Session(policy=feed_policy(real_server, timeout=5))
    reach(session, real_server.url + OPEN)
    forgotten = weakref.ref(adapter(session))
    real_server.wait_held("page")
    del session
    gc.collect()
    assert forgotten() is None
    assert len(readers()) == 1
    real_server.release("page")
    settle()


def test_reading_on_demand_waits_for_one_under_way(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """M2: who asks for a reading gets one of their own, after the one that was under way."""
    server = real_server
    server.plan = FaultPlan(
        maintenance=NOW.maintenance,
        rules=(FaultRule(fault=faults.hold("page"), path=UPCOMING, nth=(1,)),),
    )
    session = make_session(policy=feed_policy(server), runtime=SYSTEM)
    adapter(session).feed_ages()
    server.wait_held("page")
    asked = Crew([lambda: read(session)] * 4)
    server.release("page")
    assert all(reading["page"].good for reading in asked.join())
    paths = [entry.path for entry in pages(server)]
    assert paths == [UPCOMING, ACTIVE] * 5


def test_reading_that_was_broken_off_is_not_good(real_server: FakeServer) -> None:
    """D14, M2: who asks for a reading is told when close broke it off; no other page is begun."""
    real_server.plan = spoiled(faults.hang("page"))
    both = (feed(real_server, timeout=20), feed(real_server, name="other"))
    session = Session(policy=Policy().new(maintenance={"feeds": both}))
    asked = Crew([lambda: read(session)["page"]])
    real_server.wait_held("page")
    session.close()
    (reading,) = asked.join()
    assert (reading.good, reading.error) == (False, "interrupted")
    assert len(pages(real_server)) == 1


def test_page_gets_no_password(
    real_server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """M2, T11: what the session sends to its API, a page does not get; nor what .netrc has."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Session(policy=feed_policy(real_server)) as session:
        session.auth = ("ann", "s3cret")
        session.headers["Authorization"] = "Bearer s3cret"
        session.cookies.set("id", "s3cret", domain="127.0.0.1")
        session.params = {"key": "s3cret"}
        reach(session, real_server.url + OPEN)
        settle()
        assert read(session)["page"].good
    assert len(pages(real_server)) == 4
    for entry in pages(real_server):
        assert "s3cret" not in f"{entry} {entry.headers}"
        assert not {"authorization", "cookie"} & {name.lower() for name, _ in entry.headers}


def test_closing_from_many_threads(real_server: FakeServer) -> None:
    """D14: threads that call and close at once get stuck nowhere."""
    real_server.plan = spoiled(faults.drip(0.05))
    session = Session(policy=feed_policy(real_server, timeout=1, ttl=1))

    def work() -> None:
        for _ in range(10):
            reach(session, real_server.url + OPEN)
            session.close()

    Crew([work] * 6).join()
    session.close()
    settle()


def test_page_is_read_through_the_environment_s_proxy(
    real_server: FakeServer, make_session: MakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M2: a page is reached as the environment says, and what performs attempts reads it."""
    monkeypatch.setenv("http_proxy", real_server.url)
    monkeypatch.setenv("no_proxy", "")
    page = StatusFeed("http://status.invalid", name="page", allow_insecure=True)
    session = make_session(maintenance={"feeds": (page,)}, mode="active")
    assert read(session)["page"].good, "the fake server takes what is meant for a proxy"
    assert len(pages(real_server)) == 2
