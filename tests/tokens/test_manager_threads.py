"""The token manager under real threads, forks and lost refreshes."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import warnings
from typing import Any

import pytest
import requests
from token_fakes import PATIENCE, Counting, Crew, Endpoint, Listener, StoppedClock, answer, token

from weatherglass.policy import TokenPolicy
from weatherglass.runtime import Wakeable
from weatherglass.tokens import (
    CallableTokens,
    ClientCredentials,
    TokenManager,
    TokenUnavailable,
    Transport,
)
from weatherglass.vocabulary import TokenReason

NUMBER = 20


def credentials() -> ClientCredentials:
    return ClientCredentials(
        token_url="https://login.example.com/token", client_id="app", client_secret="hunter2"
    )


def make(transport: Transport, **more: Any) -> tuple[TokenManager, Listener]:
    listener = Listener()
    policy = more.pop("policy", TokenPolicy())
    manager = TokenManager(
        more.pop("source", None) or credentials(),
        policy,
        transport=transport,
        observer=listener,
        **more,
    )
    return manager, listener


def holding_token(**more: Any) -> tuple[TokenManager, Listener, Counting]:
    """A manager with generation 1, and an endpoint whose gate is shut since."""
    endpoint = Counting(more.pop("expires_in", 3600))
    manager, listener = make(endpoint, **more)
    manager.obtain()
    endpoint.gate.clear()
    endpoint.entered.clear()
    return manager, listener, endpoint


def test_missing_token_is_fetched_once_for_all() -> None:
    """T2: twenty threads without a token make one request and get twenty tokens."""
    endpoint = Counting()
    endpoint.gate.clear()
    manager, listener = make(endpoint)
    crew = Crew(NUMBER, manager.obtain)
    listener.await_waiters(NUMBER - 1)
    endpoint.gate.set()
    tokens = crew.join().results
    assert [t.value for t in tokens] == ["token-1"] * NUMBER
    assert len(endpoint.requests) == 1


def test_waits_are_linked_to_the_refresh_they_are_for() -> None:
    """O1, T2: however early a thread begins to wait, it is told which refresh it waits for."""
    endpoint = Counting()
    endpoint.gate.clear()
    manager, listener = make(endpoint)
    crew = Crew(NUMBER, manager.obtain)
    listener.await_waiters(NUMBER - 1)
    endpoint.gate.set()
    crew.join()
    assert listener.waited_for == ["refresh 1"] * (NUMBER - 1)
    assert all(0 < planned <= 35 for planned in listener.planned)


class HandingOver(StoppedClock):
    """Lets the refresh be announced only once somebody waits for that."""

    def __init__(self) -> None:
        super().__init__()
        self.somebody_waits = threading.Event()

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        self.waits.append(seconds)
        self.somebody_waits.set()
        return wake.wait(PATIENCE)


def test_wait_that_begins_before_its_refresh_is_announced_is_linked_too() -> None:
    """O1, T2: a thread that is faster than the telemetry of the refresh waits for it first."""
    clock = HandingOver()
    announcing = threading.Event()

    class SlowToTell(Listener):
        def refresh_started(self, source: str, reason: TokenReason) -> str:
            announcing.set()
            assert clock.somebody_waits.wait(PATIENCE)
            return super().refresh_started(source, reason)

    endpoint = Counting()
    endpoint.gate.clear()
    listener = SlowToTell()
    manager = TokenManager(
        credentials(), TokenPolicy(), transport=endpoint, observer=listener, runtime=clock
    )
    leader = Crew(1, manager.obtain)
    assert announcing.wait(PATIENCE)
    follower = Crew(1, manager.obtain)
    listener.await_waiters(1)
    endpoint.gate.set()
    assert [t.generation for t in follower.join().results + leader.join().results] == [1, 1]
    assert listener.waited_for == ["refresh 1"]
    assert clock.waits == [35.0, 35.0]


def test_refresh_that_is_never_announced_is_taken_over() -> None:
    """T8, O8: a thread that hangs in its own telemetry keeps the others only until its lapse."""
    clock = StoppedClock()
    announcing, resume = threading.Event(), threading.Event()

    class Hanging(Listener):
        def refresh_started(self, source: str, reason: TokenReason) -> str:
            if not announcing.is_set():
                announcing.set()
                assert resume.wait(PATIENCE)
            return super().refresh_started(source, reason)

    endpoint = Counting()
    manager = TokenManager(
        credentials(), TokenPolicy(), transport=endpoint, observer=Hanging(), runtime=clock
    )
    leader = Crew(1, manager.obtain)
    assert announcing.wait(PATIENCE)
    clock.now += 10
    assert manager.obtain().value == "token-1"
    assert clock.waits == [25.0]
    resume.set()
    assert [t.value for t in leader.join().results] == ["token-1"]


def test_late_failure_changes_nothing() -> None:
    """T8, T7: when a refresh that was taken over fails at last, terminally even, nobody minds."""
    clock = StoppedClock()
    manager, listener, endpoint = holding_token(runtime=clock)
    endpoint.replies = [lambda _: _held_up(endpoint), token("rescue")]
    hanging = Crew(1, lambda: manager.rejected(1))
    assert endpoint.entered.wait(PATIENCE)
    assert manager.obtain().value == "rescue"
    endpoint.gate.set()
    assert [t.value for t in hanging.join().results] == ["rescue"]
    assert manager.obtain().value == "rescue"
    assert [report.succeeded for _, report in listener.ended] == [True, True, False]


def _held_up(endpoint: Counting) -> requests.Response:
    endpoint.entered.set()
    assert endpoint.gate.wait(PATIENCE)
    return answer({"error": "invalid_grant"}, 400)


def test_expired_token_is_refreshed_once_for_all() -> None:
    """T2, T5: twenty threads with one expired token make one refresh."""
    clock = StoppedClock()
    endpoint = Counting()
    manager, listener = make(endpoint, runtime=clock)
    manager.obtain()
    clock.now += 3600
    crew = Crew(NUMBER, manager.obtain).join()
    assert {t.value for t in crew.results} == {"token-2"}
    assert len(crew.results) == NUMBER
    assert listener.reasons == [TokenReason.MISSING, TokenReason.MANDATORY]


def test_rejected_generation_is_refreshed_once_for_all() -> None:
    """T2, T3: twenty 401s for generation 1 make one refresh, and all get generation 2."""
    manager, listener, endpoint = holding_token()
    crew = Crew(NUMBER, lambda: manager.rejected(1))
    listener.await_waiters(NUMBER - 1)
    endpoint.gate.set()
    assert {t.generation for t in crew.join().results} == {2}
    assert len(crew.results) == NUMBER
    assert len(endpoint.requests) == 2


def test_older_generation_refreshes_nothing() -> None:
    """T3: twenty late 401s for generation 1 get generation 2 without any request."""
    manager, _, endpoint = holding_token()
    endpoint.gate.set()
    manager.rejected(1)
    crew = Crew(NUMBER, lambda: manager.rejected(1)).join()
    assert {t.generation for t in crew.results} == {2}
    assert len(endpoint.requests) == 2


def test_failure_is_shared_by_all_waiters() -> None:
    """T6: one failed request fails twenty calls, each with an exception of its own."""
    gate = threading.Event()

    def down(_: Any) -> requests.Response:
        assert gate.wait(PATIENCE)
        return answer({}, 503)

    endpoint = Endpoint(down)
    manager, listener = make(endpoint)
    crew = Crew(NUMBER, manager.obtain)
    listener.await_waiters(NUMBER - 1)
    gate.set()
    errors = crew.join().errors
    assert len(errors) == len({id(e) for e in errors}) == NUMBER
    assert {id(e.__cause__) for e in errors} == {id(errors[0].__cause__)}
    assert all(isinstance(e, TokenUnavailable) and not e.terminal for e in errors)
    assert len(endpoint.requests) == 1


def test_failure_is_shared_even_without_a_cool_down() -> None:
    """T6: with a cool-down of zero, those who waited still do not each try for themselves."""
    gate = threading.Event()

    def down(_: Any) -> requests.Response:
        assert gate.wait(PATIENCE)
        return answer({}, 503)

    endpoint = Endpoint(down)
    manager, listener = make(endpoint, policy=TokenPolicy(cooldown=0))
    crew = Crew(NUMBER, manager.obtain)
    listener.await_waiters(NUMBER - 1)
    gate.set()
    assert len(crew.join().errors) == NUMBER
    assert len(endpoint.requests) == 1


def test_advisory_refresh_holds_nobody_up() -> None:
    """T5: while one thread refreshes ahead of time, nineteen go on with the old token."""
    clock = StoppedClock()
    manager, listener, endpoint = holding_token(runtime=clock)
    clock.now += 3400
    early = Crew(1, manager.obtain)
    assert endpoint.entered.wait(PATIENCE)
    assert {t.generation for t in Crew(NUMBER - 1, manager.obtain).join().results} == {1}
    endpoint.gate.set()
    assert [t.generation for t in early.join().results] == [2]
    assert manager.obtain().generation == 2
    assert listener.waited_for == []


def test_close_wakes_those_who_wait() -> None:
    """D14: setting ``wake`` and interrupting ends every wait; the refresh itself goes on."""
    manager, listener, endpoint = holding_token()
    closed = threading.Event()
    crew = Crew(NUMBER, lambda: manager.rejected(1, wake=closed))
    listener.await_waiters(NUMBER - 1)
    closed.set()
    manager.interrupt()
    endpoint.gate.set()
    crew.join()
    assert len(crew.results) + len(crew.errors) == NUMBER
    assert all(isinstance(e, TokenUnavailable) and e.closed for e in crew.errors)
    assert manager.obtain().generation == 2


def test_close_ends_waits_while_the_refresh_hangs() -> None:
    """D14, T8: nineteen waiters leave although their refresh has not ended."""
    manager, listener, endpoint = holding_token()
    closed = threading.Event()
    leader = Crew(1, lambda: manager.rejected(1))
    assert endpoint.entered.wait(PATIENCE)
    crew = Crew(NUMBER - 1, lambda: manager.obtain(wake=closed))
    listener.await_waiters(NUMBER - 1)
    closed.set()
    manager.interrupt()
    crew.join()
    assert all(isinstance(e, TokenUnavailable) and e.closed for e in crew.errors)
    assert len(crew.errors) == NUMBER - 1
    endpoint.gate.set()
    assert [t.generation for t in leader.join().results] == [2]


def test_interrupt_without_a_refresh_does_nothing() -> None:
    """D14: closing when nobody waits leaves the token alone."""
    manager, _, endpoint = holding_token()
    manager.interrupt()
    assert manager.obtain().generation == 1
    assert len(endpoint.requests) == 1


def test_interrupt_leaves_other_sessions_waiting() -> None:
    """D14: who shares the source but was not closed looks around and waits on."""
    manager, listener, endpoint = holding_token()
    leader = Crew(1, lambda: manager.rejected(1))
    assert endpoint.entered.wait(PATIENCE)
    other = Crew(1, lambda: manager.obtain(wake=threading.Event()))
    listener.await_waiters(1)
    manager.interrupt()
    listener.await_waiters(1)
    endpoint.gate.set()
    assert [t.generation for t in other.join().results + leader.join().results] == [2, 2]
    assert len(endpoint.requests) == 2
    assert len(listener.planned) == 2, "it looked around more than once"


def test_waiters_leave_at_their_own_limits() -> None:
    """T8: a call does not wait for a hanging refresh beyond its own limit, and says so."""
    clock = StoppedClock()
    manager, listener, endpoint = holding_token(runtime=clock)
    leader = Crew(1, lambda: manager.rejected(1))
    assert endpoint.entered.wait(PATIENCE)
    with pytest.raises(TokenUnavailable) as caught:
        manager.obtain(wait_limit=3)
    assert caught.value.timed_out
    assert clock.waits == [3.0]
    assert listener.planned == [3.0]
    endpoint.gate.set()
    leader.join()


def test_hanging_refresh_is_taken_over() -> None:
    """T8: past its timeout and a margin another call tries, and the late result is ignored."""
    clock = StoppedClock()
    manager, listener, endpoint = holding_token(runtime=clock)
    hanging = Crew(1, lambda: manager.rejected(1))
    assert endpoint.entered.wait(PATIENCE)
    endpoint.replies = [token("rescue")]
    assert manager.obtain().value == "rescue"
    assert clock.waits == [35.0]
    endpoint.gate.set()
    assert [t.value for t in hanging.join().results] == ["rescue"]
    assert manager.obtain().value == "rescue"
    assert [report.generation for _, report in listener.ended] == [1, 2, None]


def test_nobody_waits_for_ever() -> None:
    """T8: without any limit, a call waits for others no longer than one refresh may live."""
    clock = StoppedClock()
    manager, _, endpoint = holding_token(runtime=clock)
    first = Crew(1, lambda: manager.rejected(1))
    assert endpoint.entered.wait(PATIENCE)

    class TakesOver(Listener):
        """Lets another thread take the lapsed lease while this call still waits."""

        def waiting(self, handle: Any, planned: float) -> Any:
            clock.now += planned
            endpoint.entered.clear()
            self.second = Crew(1, manager.obtain)
            assert endpoint.entered.wait(PATIENCE)
            clock.now -= planned
            return super().waiting(handle, planned)

    waiter = TakesOver()
    with pytest.raises(TokenUnavailable, match="take too long") as caught:
        manager.obtain(waiter=waiter)
    assert not caught.value.timed_out
    assert caught.value.transient
    endpoint.gate.set()
    first.join()
    waiter.second.join()


def test_interrupted_leader_is_succeeded_by_a_waiter() -> None:
    """T2, T8: when the refreshing thread is interrupted, one of the waiting takes over at once."""
    gate = threading.Event()

    def interrupted(_: Any) -> requests.Response:
        assert gate.wait(PATIENCE)
        raise KeyboardInterrupt

    endpoint = Endpoint(interrupted, token("rescue"))
    manager, listener = make(endpoint)
    crew = Crew(NUMBER, manager.obtain)
    listener.await_waiters(NUMBER - 1)
    gate.set()
    crew.join()
    assert [type(e) for e in crew.errors] == [KeyboardInterrupt]
    assert [t.value for t in crew.results] == ["rescue"] * (NUMBER - 1)
    assert len(endpoint.requests) == 2


def test_new_credentials_serve_those_who_waited_for_the_old() -> None:
    """T7: waiters of a refresh with replaced credentials get a token of the new ones."""
    manager, listener, endpoint = holding_token()
    leader = Crew(1, lambda: manager.rejected(1))
    assert endpoint.entered.wait(PATIENCE)
    waiting = Crew(NUMBER, manager.obtain)
    listener.await_waiters(NUMBER)
    manager.replace_credentials(CallableTokens(lambda: "new"))
    assert {t.value for t in waiting.join().results} == {"new"}
    endpoint.gate.set()
    assert [t.value for t in leader.join().results] == ["new"]


def test_storm() -> None:
    """T2, T3: threads that refuse whatever they get see each generation refreshed once."""
    endpoint = Counting()
    manager, _ = make(endpoint)
    seen: list[int] = []

    def work() -> None:
        for _ in range(25):
            generation = manager.obtain().generation
            seen.append(manager.rejected(generation).generation)

    assert Crew(8, work).join().errors == []
    assert len(seen) == 200
    assert len(endpoint.requests) == max(seen)
    assert {int(request.timeout) for request in endpoint.requests} == {30}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_drops_lock_and_refresh() -> None:
    """D13: a child forked in the middle of a refresh, with the lock held, gets its own token."""
    manager, _, endpoint = holding_token()
    leader = Crew(1, lambda: manager.rejected(1))
    assert endpoint.entered.wait(PATIENCE)
    readable, writable = os.pipe()
    with manager._using[1].lock, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is the point
        child = os.fork()
        if child == 0:
            _in_child(manager, endpoint, writable)
    os.close(writable)
    try:
        ready, _, _ = select.select([readable], [], [], PATIENCE)
        assert ready, "the child hangs"
        assert os.read(readable, 100) == b"child 2"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(readable)
        endpoint.gate.set()
    assert [t.value for t in leader.join().results] == ["token-2"]


def _in_child(manager: TokenManager, endpoint: Counting, writable: int) -> None:
    try:
        endpoint.replies = [token("child")]
        manager.reset_after_fork()
        found = manager.obtain(wait_limit=PATIENCE)
        os.write(writable, f"{found.value} {found.generation}".encode())
    finally:
        sys.stdout.flush()
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_keeps_a_fresh_token() -> None:
    """D13: resetting drops the refresh, not the token."""
    manager, _, endpoint = holding_token()
    held = manager.current
    manager.reset_after_fork()
    assert manager.obtain() is held
    assert len(endpoint.requests) == 1
