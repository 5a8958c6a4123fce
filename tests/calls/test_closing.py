"""close(): sleepers wake and give up, and nothing is left behind."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
import requests
from scenes import PATIENCE, QUEUES, Background, outcome_of, reason, statuses, token_source

from weatherglass import (
    Adapter,
    MaintenancePolicy,
    MaintenanceWindow,
    Policy,
    RetryPolicy,
    Session,
    SessionClosed,
)
from weatherglass.runtime import SystemRuntime, Wakeable
from weatherglass.testing import TOKEN_PATH, FakeServer, FaultPlan, faults

HOUR = 3600.0
PATIENT = Policy(retry=RetryPolicy(base_delay=HOUR, max_delay=HOUR))


class Watched(SystemRuntime):
    """Real time, in which a test sees that somebody waits; chance is always the longest wait."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)

    def random(self) -> float:
        return 0.999

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        self.begun.release()
        return super().wait(wake, seconds)

    def seen_waiting(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=PATIENCE)


def in_backoff(server: FakeServer, runtime: Watched) -> Session:
    server.plan = FaultPlan.script(faults.answer(503), path=QUEUES)
    return Session(runtime=runtime, policy=PATIENT)


def after_a_reset(server: FakeServer, runtime: Watched) -> Session:
    server.plan = FaultPlan.script(faults.reset(), path=QUEUES)
    return Session(runtime=runtime, policy=PATIENT)


def told_to_wait(server: FakeServer, runtime: Watched) -> Session:
    server.plan = FaultPlan.script(faults.answer(429, retry_after=100), path=QUEUES)
    return Session(runtime=runtime)


def at_the_gate(server: FakeServer, runtime: Watched) -> Session:
    server.plan = FaultPlan.script(faults.answer(429, retry_after=100), path="/limited")
    session = Session(runtime=runtime)
    session.request("GET", f"{server.url}/limited", max_retries=0)
    return session


def window() -> MaintenancePolicy:
    now = datetime.now(timezone.utc)
    hours = timedelta(hours=1)
    around = MaintenanceWindow(name="now", start=now - hours, end=now + hours)
    return MaintenancePolicy(mode="wait", windows=(around,))


def in_maintenance(server: FakeServer, runtime: Watched) -> Session:
    server.plan = FaultPlan.script(faults.answer(503), path=QUEUES)
    return Session(runtime=runtime, policy=Policy(maintenance=window()))


def before_maintenance_ends(server: FakeServer, runtime: Watched) -> Session:
    server.plan = FaultPlan.script(faults.answer(503), path="/limited")
    session = Session(runtime=runtime, policy=Policy(maintenance=window()))
    session.request("GET", f"{server.url}/limited", max_retries=0)
    return session


def while_its_refresh_waits(server: FakeServer, runtime: Watched) -> Session:
    server.plan = FaultPlan.script(faults.answer(503, retry_after=20), path=TOKEN_PATH)
    return Session(runtime=runtime, tokens=token_source(server))


# What makes the call wait, and whether it has an answer to return by then.
WAITS: list[tuple[Callable[[FakeServer, Watched], Session], bool | None]] = [
    (in_backoff, True),
    (told_to_wait, True),
    (in_maintenance, True),
    (after_a_reset, None),
    (at_the_gate, False),
    (before_maintenance_ends, False),
    (while_its_refresh_waits, False),
]


@pytest.mark.parametrize(("begin", "answered"), WAITS, ids=[wait[0].__name__ for wait in WAITS])
def test_sleeper_wakes_and_gives_up(
    begin: Callable[[FakeServer, Watched], Session], answered: bool | None
) -> None:
    """D14, R7: whatever a call waits for, close() ends the wait: it gives up as closed."""
    runtime = Watched()
    with FakeServer() as server:
        session = begin(server, runtime)
        sleeper = Background([lambda: outcome_of(lambda: session.get(server.url + QUEUES))])
        runtime.seen_waiting()
        session.close()
        (outcome,) = sleeper.results()
    assert reason(outcome) == "closed"
    if answered:
        assert isinstance(outcome, requests.Response)
        assert outcome.status_code in (429, 503)
        assert outcome.json()["status"] == outcome.status_code
    elif answered is None:
        assert type(outcome) is requests.ConnectionError
    else:
        assert isinstance(outcome, SessionClosed)


def test_all_sleepers_wake(server: FakeServer) -> None:
    """D14: close() wakes every sleeping call of the session, not just one."""
    runtime = Watched()
    server.plan = FaultPlan.script(*[faults.answer(503)] * 4)
    session = Session(runtime=runtime, policy=PATIENT)
    sleepers = Background([lambda: session.get(f"{server.url}/echo")] * 4)
    runtime.seen_waiting(4)
    session.close()
    assert [reason(answer) for answer in sleepers.results()] == ["closed"] * 4
    assert len(server.ledger) == 4


def test_waiter_for_another_s_refresh_wakes() -> None:
    """D14: a call that waits for another thread's token refresh gives up as closed, too."""
    runtime = Watched()
    with FakeServer(require_tokens=True) as server:
        server.plan = FaultPlan.script(faults.hold("refresh"), path=TOKEN_PATH)
        session = Session(runtime=runtime, tokens=token_source(server))
        leader = Background([lambda: outcome_of(lambda: session.get(server.url + QUEUES))])
        server.wait_held("refresh")
        follower = Background([lambda: outcome_of(lambda: session.get(server.url + QUEUES))])
        runtime.seen_waiting()
        session.close()
        (outcome,) = follower.results()
        assert (type(outcome), reason(outcome)) == (SessionClosed, "closed")
        server.release("refresh")
        leader.results()


def test_call_that_is_on_the_wire_ends_first(server: FakeServer) -> None:
    """D14: what is being answered is answered; only what would come after it is given up."""
    server.plan = FaultPlan.script(faults.hold("good"), path="/good")
    with Session() as session:
        call = Background([lambda: session.get(f"{server.url}/good")])
        server.wait_held("good")
        session.close()
        server.release("good")
        assert statuses(call.results()[0]) == [404]

        server.plan = FaultPlan.script(faults.hold("bad", of=faults.answer(503)), path="/bad")
        call = Background([lambda: session.get(f"{server.url}/bad")])
        server.wait_held("bad")
        session.close()
        server.release("bad")
        (answer,) = call.results()
        assert (statuses(answer), reason(answer)) == ([503], "closed")


def test_closed_session_can_be_used_again(server: FakeServer) -> None:
    """D14, D1: as in requests, a closed session opens new connections when it is used again."""
    server.plan = FaultPlan.script(None, faults.answer(503))
    session = Session(policy=Policy(retry=RetryPolicy(base_delay=0.001)))
    session.get(f"{server.url}/echo")
    session.close()
    session.close()
    assert statuses(session.get(f"{server.url}/echo")) == [503, 200]
    assert server.connections == 2
    session.close()


def test_closing_the_adapter_is_enough(server: FakeServer) -> None:
    """D14, D2: on a plain session, its close() wakes the sleepers of our adapter."""
    runtime = Watched()
    server.plan = FaultPlan.script(faults.answer(503))
    plain = requests.Session()
    plain.mount("http://", Adapter(runtime=runtime, policy=PATIENT))
    sleeper = Background([lambda: plain.get(f"{server.url}/echo")])
    runtime.seen_waiting()
    plain.close()
    assert reason(sleeper.results()[0]) == "closed"


def descriptors() -> set[str]:
    return {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}


def test_nothing_is_left() -> None:
    """D14, S2: after close() there is no thread, socket or descriptor that was not there before."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("descriptors cannot be counted here")
    gc.collect()
    threads, opened = set(threading.enumerate()), descriptors()
    kept: list[object] = []
    with FakeServer(require_tokens=True) as busy:
        chaos = (
            faults.answer(503),
            faults.reset(),
            faults.cut(),
            faults.answer(404, body=b"x" * 99),
        )
        busy.plan = FaultPlan.chaos(chaos, 0.5, path=QUEUES)
        policy = Policy(retry=RetryPolicy(base_delay=0.001, max_delay=0.001))
        session = Session(policy=policy, tokens=token_source(busy))
        kept.append(session)

        def call() -> None:
            for stream in (False, True) * 10:
                outcome = outcome_of(partial(session.get, busy.url + QUEUES, stream=stream))
                kept.append(outcome)
                if isinstance(outcome, requests.Response):
                    kept.append(outcome_of(partial(getattr, outcome, "content")))

        Background([call] * 4).results()
        session.close()
    assert set(threading.enumerate()) == threads
    assert descriptors() == opened, "a descriptor is left though everything is still referenced"
    assert len(kept) > 80
