"""Forks and closes in the middle of a storm: nobody is stuck, nothing is left behind."""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from storm_crew import API, CROWD, OPEN, PATIENCE, Crew, Ended, WatchedTime, credentials, reach

from weatherglass import Policy, RetryPolicy, Session, SessionClosed
from weatherglass.runtime import SYSTEM
from weatherglass.testing import (
    TOKEN_PATH,
    FakeServer,
    FaultPlan,
    FaultRule,
    Maintenance,
    faults,
)
from weatherglass.vocabulary import BreakerState, GiveUpReason, WaitReason

MakeSession = Callable[..., Session]

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def in_child(work: Callable[[], str]) -> str:
    """What the work returns in a forked child; where it stands when it is stuck."""
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is the point
        child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(0.8 * PATIENCE, exit=True, file=writable)
        try:
            os.write(writable, work().encode())
        except BaseException as error:  # noqa: BLE001 - told to the parent, who fails the test
            os.write(writable, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writable)
    try:
        ready, _, _ = select.select([readable], [], [], PATIENCE)
        assert ready, "the child is stuck"
        return os.read(readable, 10_000).decode()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(readable)


@forks
def test_fork_in_the_middle_of_a_refresh(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """D13: a child of a process in mid-refresh gets a token of its own, and disturbs nobody."""
    server, time = real_server, WatchedTime()
    server.plan = FaultPlan.script(faults.hold("token"), path=TOKEN_PATH)
    session = make_session(tokens=credentials(server), runtime=time)
    leader = Crew([lambda: reach(session, server.url + API)])
    server.wait_held("token", 1, PATIENCE)
    others = Crew([lambda: reach(session, server.url + API)] * (CROWD - 1))
    time.await_waits(CROWD - 1)

    def work() -> str:
        end = reach(session, server.url + API)
        return f"{end.statuses} {end.generations}"

    assert in_child(work) == "[200] [1]"
    server.release("token")
    assert [end.statuses for end in leader.join() + others.join()] == [[200]] * CROWD
    assert len(server.ledger.token_calls()) == 2


@forks
def test_sessions_that_share_a_source_share_it_in_the_child_too(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """D13, T2: two sessions with one source share one token in a forked child as well."""
    server = real_server
    server.plan = FaultPlan.script(faults.hold("token"), path=TOKEN_PATH)
    source = credentials(server)
    one, other = (make_session(tokens=source, runtime=SYSTEM) for _ in range(2))
    leader = Crew([lambda: reach(one, server.url + API)])
    server.wait_held("token", 1, PATIENCE)

    def work() -> str:
        ends = [reach(session, server.url + API) for session in (other, one)]
        return f"{[end.generations for end in ends]}"

    assert in_child(work) == "[[1], [1]]"
    server.release("token")
    assert leader.join()[0].status == 200
    assert reach(other, server.url + API).status == 200
    assert len(server.ledger.token_calls()) == 2


@forks
def test_child_uses_connections_of_its_own(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """D13: the child does not speak on a connection that the parent still holds."""
    server = real_server
    session = make_session(runtime=SYSTEM)
    reach(session, server.url + OPEN)
    assert in_child(lambda: str(reach(session, server.url + OPEN).status)) == "200"
    reach(session, server.url + OPEN)
    first, childs, last = [entry.connection for entry in server.ledger.requests()]
    assert first == last != childs


@forks
def test_cookie_jar_is_not_locked_in_the_child(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """D13: a thread that was about to read the session's cookies does not lock the child out."""
    server = real_server
    session = make_session(runtime=SYSTEM)
    locked, done = threading.Event(), threading.Event()

    def read_cookies() -> None:
        with vars(session.cookies)["_cookies_lock"]:
            locked.set()
            assert done.wait(PATIENCE)

    reader = Crew([read_cookies])
    assert locked.wait(PATIENCE)
    assert in_child(lambda: str(reach(session, server.url + OPEN).status)) == "200"
    done.set()
    reader.join()


@forks
def test_probe_of_the_parent_is_not_the_childs(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """D13, B3: a child forked while a probe is under way does not wait for it to report."""
    server = real_server
    server.plan = FaultPlan.script(*[faults.answer(503)] * 5, faults.hold("probe"))
    session = make_session(runtime=SYSTEM, breaker={"cooldown": 0.001, "jitter": 0.0})
    for _ in range(5):
        reach(session, server.url + OPEN, max_retries=0)
    SYSTEM.wait(threading.Event(), 0.002)
    probe = Crew([lambda: reach(session, server.url + OPEN)])
    server.wait_held("probe", 1, PATIENCE)
    assert session.breakers.state(server.url) is BreakerState.HALF_OPEN
    assert in_child(lambda: str(reach(session, server.url + OPEN).status)) == "200"
    server.release("probe")
    assert probe.join()[0].status == 200


@forks
def test_forks_in_the_middle_of_traffic(real_server: FakeServer, make_session: MakeSession) -> None:
    """D13, S2: however the parent's threads stand when it forks, the child's calls end."""
    server = real_server
    server.plan = FaultPlan.chaos([faults.answer(503), faults.reset()], 0.2, path=API)
    session = make_session(
        tokens=credentials(server),
        runtime=SYSTEM,
        retry={"base_delay": 0.001},
        breaker={"enabled": False},
    )
    stop = threading.Event()

    def traffic() -> None:
        while not stop.is_set():
            reach(session, server.url + API)

    crew = Crew([traffic] * 6)
    try:
        for _ in range(15):
            ends = in_child(
                lambda: " ".join(
                    str(bool(reach(session, server.url + API, deadline=10).report.attempts))
                    for _ in range(3)
                )
            )
            assert ends == "True True True"
    finally:
        stop.set()
    crew.join()


def test_close_wakes_calls_between_two_attempts(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """D14: calls that sleep between attempts end at once with their last answer, as closed."""
    server, time = real_server, WatchedTime()
    server.plan = FaultPlan(rules=(FaultRule(fault=faults.answer(503, retry_after=100)),))
    session = make_session(runtime=time, breaker={"enabled": False}, retry_after={"gate": False})
    crew = Crew([lambda: reach(session, server.url + OPEN)] * CROWD)
    time.await_waits(CROWD)
    session.close()
    for end in crew.join():
        assert end.statuses == [503]
        assert end.status == 503
        assert end.report.give_up_reason is GiveUpReason.CLOSED
        assert end.report.waited < 100


def test_close_wakes_calls_at_the_gate(real_server: FakeServer, make_session: MakeSession) -> None:
    """D14, A8: who waits for a rate limit to pass is let go, with nothing sent."""
    server, time = real_server, WatchedTime()
    server.plan = FaultPlan.script(faults.answer(429, retry_after=100))
    session = make_session(runtime=time)
    reach(session, server.url + OPEN, max_retries=0)
    crew = Crew([lambda: reach(session, server.url + OPEN)] * CROWD)
    time.await_waits(CROWD)
    session.close()
    assert all(isinstance(end.error, SessionClosed) for end in crew.join())
    assert len(server.ledger) == 1


def test_close_wakes_calls_that_wait_for_a_window(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """D14, M3: an announced end that is hours away holds nobody who is closed."""
    server, time = real_server, WatchedTime()
    server.plan = FaultPlan(maintenance=(Maintenance(name="now", start=0, end=9999),))
    session = make_session(
        runtime=time,
        maintenance={"windows": server.maintenance_windows(), "mode": "wait"},
    )
    crew = Crew([lambda: reach(session, server.url + OPEN)] * CROWD)
    time.await_waits(CROWD)
    session.close()
    ends = crew.join()
    assert {end.report.give_up_reason for end in ends} == {GiveUpReason.CLOSED}
    assert {wait.reason for end in ends for wait in end.report.waits} == {WaitReason.MAINTENANCE}


def test_close_during_a_refresh(real_server: FakeServer, make_session: MakeSession) -> None:
    """D14, T8: who waits for a hanging refresh is let go; who is in mid-exchange finishes it."""
    server, time = real_server, WatchedTime()
    server.plan = FaultPlan.script(faults.hold("token"), path=TOKEN_PATH)
    session = make_session(tokens=credentials(server), runtime=time)
    leader = Crew([lambda: reach(session, server.url + API)])
    server.wait_held("token", 1, PATIENCE)
    others = Crew([lambda: reach(session, server.url + API)] * (CROWD - 1))
    time.await_waits(CROWD - 1)
    session.close()
    ends = others.join()
    assert all(isinstance(end.error, SessionClosed) for end in ends)
    assert {end.report.give_up_reason for end in ends} == {GiveUpReason.CLOSED}
    server.release("token")
    assert leader.join()[0].status == 200


def test_close_while_a_refresh_waits_for_its_next_try(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """D14, T6: a refresh that sleeps is closed too, which is not held against its endpoint."""
    server, time = real_server, WatchedTime()
    server.plan = FaultPlan.script(faults.answer(503, retry_after=25), path=TOKEN_PATH)
    session = make_session(tokens=credentials(server), runtime=time)
    crew = Crew([lambda: reach(session, server.url + API)] * CROWD)
    server.ledger.wait_until(1, PATIENCE, path=TOKEN_PATH)
    time.await_waits(CROWD)
    session.close()
    ends = crew.join()
    assert all(isinstance(end.error, SessionClosed) for end in ends)
    assert reach(session, server.url + API).status == 200
    assert len(server.ledger.token_calls()) == 2


@pytest.mark.parametrize("deadline", [None, 20])
def test_close_lets_an_exchange_finish(
    real_server: FakeServer, make_session: MakeSession, deadline: float | None
) -> None:
    """D14: an answer under way is read to its end, and nothing keeps a connection open then."""
    server = real_server
    server.plan = FaultPlan.script(faults.reset(), faults.hold("answer"))
    session = make_session(runtime=SYSTEM, deadline=deadline)
    kept = [reach(session, server.url + OPEN, max_retries=0)]
    pool = session.adapter.poolmanager.connection_from_url(server.url)
    crew = Crew([lambda: reach(session, server.url + OPEN)])
    server.wait_held("answer", 1, PATIENCE)
    session.close()
    server.release("answer")
    kept += crew.join()
    assert [end.status for end in kept] == [None, 200]
    assert pool.pool is None


def test_more_threads_than_connections(real_server: FakeServer, make_session: MakeSession) -> None:
    """D9, D13: a full pool that discards a read connection fails no call with a deadline."""
    server = real_server
    session = make_session(runtime=SYSTEM, pool_maxsize=1)
    server.plan = FaultPlan(rules=(FaultRule(fault=faults.hold("all"), nth=(1, 2, 3, 4)),))
    crew = Crew([lambda: reach(session, server.url + OPEN, deadline=20)] * 4)
    server.wait_held("all", 4, PATIENCE)
    server.release("all")
    assert [end.statuses for end in crew.join()] == [[200]] * 4


def test_closed_session_can_be_used_again(
    real_server: FakeServer, make_session: MakeSession
) -> None:
    """D14, D1: as with requests, closing lets go of connections and is no end."""
    server = real_server
    session = make_session(tokens=credentials(server), runtime=SYSTEM)
    for _ in range(3):
        assert reach(session, server.url + API).generations == [1]
        session.close()


def test_storm_leaves_nothing_behind() -> None:
    """D14, S2: after a storm and a close no thread or descriptor is left that was not before."""
    threads, descriptors = threading.active_count(), _descriptors()
    with FakeServer(require_tokens=True) as server:
        server.plan = FaultPlan.chaos(
            [faults.answer(503), faults.reset(), faults.revoke()], 0.3, path=API
        )
        policy = Policy(retry=RetryPolicy(base_delay=0.001), deadline=10)
        session = Session(tokens=credentials(server), policy=policy)

        def storm() -> list[Ended]:
            return [reach(session, server.url + API) for _ in range(10)]

        ends = [end for ends in Crew([storm] * 8).join() for end in ends]
        session.close()
    assert len(ends) == 80
    assert threading.active_count() == threads
    assert _descriptors() == descriptors


def _descriptors() -> int:
    """Open file descriptors, where the system tells."""
    listing = Path("/proc/self/fd")
    return len(list(listing.iterdir())) if listing.is_dir() else 0
