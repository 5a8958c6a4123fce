"""Calls in a forked child: nothing of the parent's threads stands in their way (rule D13)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from scenes import (
    PATIENCE,
    QUEUES,
    Background,
    Clock,
    in_child,
    outcome_of,
    statuses,
    token_source,
)

from weatherglass import (
    Attempt,
    BreakerPolicy,
    Callbacks,
    CircuitOpen,
    PacingPolicy,
    Policy,
    RetryPolicy,
    Session,
)
from weatherglass.testing import TOKEN_PATH, FakeServer, FaultPlan, faults

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    # Python 3.12 and later warn of forks in programs with threads, which these are about.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def test_child_has_connections_of_its_own(server: FakeServer, session: Session) -> None:
    """D13: the child leaves the parent's idle connection alone, and the parent goes on with it."""
    session.get(f"{server.url}/echo")
    assert in_child(lambda: session.get(f"{server.url}/echo").status_code) == 200
    session.get(f"{server.url}/echo")
    assert [entry.connection for entry in server.ledger.requests()] == [1, 2, 1]


def test_answer_half_read_stays_the_parent_s(server: FakeServer, session: Session) -> None:
    """D13: a socket in use at the fork gives the parent all its bytes, whatever the child does."""
    expected = session.get(f"{server.url}/bytes/5000000").content
    answer = session.get(f"{server.url}/bytes/5000000", stream=True)
    pieces = answer.iter_content(100_000)
    read = [next(pieces)]

    def child() -> list[int | None]:
        got = statuses(session.get(f"{server.url}/echo"))
        session.close()
        return got

    assert in_child(child) == [200]
    assert b"".join([*read, *pieces]) == expected


@contextmanager
def all_locks_held(session: Session) -> Iterator[None]:
    """Another thread holds every lock of the session's live state."""
    live = session.adapter.live
    stores: tuple[Any, ...] = (
        live.breakers, live.gates, live.retry_budget, live.network_budget,
    )  # fmt: skip
    if live.paces is not None:
        stores += (live.paces,)
    locks = [part._store._lock for part in stores]
    locks += [live.calendar._lock, live.breakers._telling]
    if live.tokens is not None:
        locks.append(live.tokens._using[1].lock)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            held.set()
            release.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(PATIENCE)
    try:
        yield
    finally:
        release.set()
        thread.join()


def test_lock_held_by_another_thread_does_not_stop_the_child(clock: Clock) -> None:
    """D13: retries, gate, breaker and token of the child need no lock that the parent holds."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        with Session(runtime=clock, tokens=token_source(server)) as session:
            session.get(server.url + QUEUES)
            server.plan = FaultPlan.script(
                faults.answer(503),
                faults.answer(429, retry_after=1),
                faults.reset(),
                faults.revoke(),
                path=QUEUES,
            )
            with all_locks_held(session):
                seen = in_child(lambda: statuses(session.get(server.url + QUEUES)))
        assert seen == [503, 429, None, 401, 200]


def test_call_that_is_forked_in_its_midst_goes_on_in_the_child(clock: Clock) -> None:
    """D13: the very call in whose callback a child is forked goes on there, too."""
    forked: list[int] = []
    reader, writer = os.pipe()
    release = ExitStack()

    def fork(_: Attempt) -> None:
        release.enter_context(all_locks_held(session))
        forked.append(os.fork())
        if forked == [0]:
            signal.alarm(int(PATIENCE))
        else:
            release.close()

    with FakeServer(FaultPlan.script(faults.answer(429, retry_after=1)), clock=clock) as server:
        policy = Policy(pacing=PacingPolicy(enabled=True))
        session = Session(runtime=clock, policy=policy, callbacks=Callbacks(on_retry=fork))
        try:
            answer = session.get(f"{server.url}/echo")
            assert statuses(answer) == [429, 200]
            if forked == [0]:
                os.write(writer, b"done")
        finally:
            if forked == [0]:
                os._exit(0)
        session.close()
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            assert pipe.read() == b"done"
        os.waitpid(forked[0], 0)
        assert len(server.ledger) == 3


def test_refresh_in_flight_is_not_waited_for_in_the_child(clock: Clock) -> None:
    """D13, T2: the child does not wait for a refresh whose thread it does not have."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        server.plan = FaultPlan.script(faults.hold("refresh"), path=TOKEN_PATH)
        with Session(runtime=clock, tokens=token_source(server)) as session:
            parent = Background([lambda: session.get(server.url + QUEUES)])
            server.wait_held("refresh")
            seen = in_child(lambda: statuses(session.get(server.url + QUEUES)))
            assert seen == [200]
            server.release("refresh")
            assert statuses(parent.results()[0]) == [200]
        assert len(server.ledger.token_calls()) == 2


def test_child_begins_with_its_own_weather(server: FakeServer, clock: Clock) -> None:
    """D13: an open breaker, a closed gate or a close() of the parent do not bind the child."""
    policy = Policy(breaker=BreakerPolicy(consecutive_failures=1), retry=RetryPolicy(max_retries=0))
    with Session(runtime=clock, policy=policy) as session:
        server.plan = FaultPlan.script(faults.answer(429, retry_after=60), path="/limited")
        session.get(f"{server.url}/limited")
        session.breakers.force_open(server.other_url)
        assert in_child(lambda: calls_and_waits(server, session, clock)) == ([200, 200], [])
        assert isinstance(outcome_of(lambda: session.get(f"{server.other_url}/echo")), CircuitOpen)


def calls_and_waits(
    server: FakeServer, session: Session, clock: Clock
) -> tuple[list[int], list[float]]:
    answers = [session.get(f"{url}/echo") for url in (server.url, server.other_url)]
    return [answer.status_code for answer in answers], clock.waits


def test_sleeper_of_the_parent_is_not_woken_by_the_child(clock: Clock) -> None:
    """D13, D14: a child that closes the session wakes nobody in the parent."""
    with FakeServer(FaultPlan.script(faults.answer(503)), clock=clock) as server:

        def close_in_a_child(_: Attempt) -> None:
            in_child(session.close)

        callbacks = Callbacks(on_retry=close_in_a_child)
        with Session(runtime=clock, callbacks=callbacks) as session:
            assert statuses(session.get(f"{server.url}/echo")) == [503, 200]


def test_children_under_load() -> None:
    """D13, S2: forks while eight threads are calling disturb neither parent nor children."""
    calls = 25
    server = FakeServer(require_tokens=True)
    with server, Session(tokens=token_source(server)) as session:

        def call(count: int) -> list[bool]:
            return [session.get(server.url + QUEUES).ok for _ in range(count)]

        parents = Background([lambda: call(calls)] * 8)
        for _ in range(5):
            assert in_child(lambda: call(3)) == [True] * 3
        assert parents.results() == [[True] * calls] * 8
