"""A call that waits holds no place in the connection pool."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest
from scenes import PATIENCE, Background, Clock, statuses, token_source

from weatherglass import Policy, RetryAfterPolicy, Session
from weatherglass.runtime import Wakeable
from weatherglass.testing import FakeServer, Fault, FaultPlan, faults


class Held(Clock):
    """A clock on which a wait lasts, in real time, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        self.begun.set()
        assert self.let_go.wait(PATIENCE)
        return super().wait(wake, seconds)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.let_go.set()


LARGE = b"x" * 300_000

FAILURES: dict[str, Fault] = {
    "read whole": faults.answer(503),
    "large": faults.answer(503, body=LARGE),
    "cut": faults.cut(of=faults.answer(503, body=LARGE)),
    "never answered": faults.reset(),
    "told to wait": faults.answer(429, retry_after=5),
    "chunked": faults.raw(
        b"HTTP/1.1 503 Down\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [LARGE[:70_000]] * 4)
        + b"0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("fault", FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("stream", [False, True])
def test_healthy_call_goes_through_while_another_sleeps(
    server: FakeServer, held: Held, fault: Fault, stream: bool
) -> None:
    """D11, R7: with a pool of one blocking place, a sleeping call leaves that place free."""
    server.plan = FaultPlan.script(fault, path="/echo")
    policy = Policy(retry_after=RetryAfterPolicy(gate=False))
    with Session(runtime=held, policy=policy, pool_maxsize=1, pool_block=True) as session:
        sleeping = Background([lambda: session.get(f"{server.url}/echo", stream=stream)])
        assert held.begun.wait(PATIENCE)
        healthy = Background([lambda: session.get(f"{server.url}/bytes/10")])
        assert [len(answer.content) for answer in healthy.results()] == [10]
        held.let_go.set()
        (answer,) = sleeping.results()
        assert statuses(answer)[-1] == 200
        assert answer.json()["path"] == "/echo"


def test_connection_of_an_answer_that_was_read_is_kept(
    server: FakeServer, session: Session
) -> None:
    """D11: a failed answer that was read whole leaves a connection that the retry goes over."""
    server.plan = FaultPlan.script(*[faults.answer(408)] * 5)
    assert session.get(f"{server.url}/echo").ok
    assert {entry.connection for entry in server.ledger.requests()} == {1}


def test_connection_of_an_answer_that_was_not_read_is_closed(
    server: FakeServer, session: Session
) -> None:
    """D11: one that is too large to be drained costs its connection, and no other."""
    server.plan = FaultPlan.script(*[faults.answer(503, body=LARGE)] * 3)
    answer = session.get(f"{server.url}/echo", stream=True)
    assert [entry.connection for entry in server.ledger.requests()] == [1, 2, 3, 4]
    assert answer.json()["path"] == "/echo"
    assert session.get(f"{server.url}/echo").ok
    assert server.connections == 4


def test_call_that_waits_for_a_token_holds_no_place(held: Held) -> None:
    """D11, T6: nor does a call whose token request waits for another try."""
    with FakeServer(clock=held) as server:
        server.plan = FaultPlan.script(faults.answer(503), path="/oauth/token")
        bound = token_source(server, origins=[server.other_url])
        with Session(runtime=held, tokens=bound, pool_maxsize=1, pool_block=True) as session:
            waiting = Background([lambda: session.get(f"{server.other_url}/echo")])
            assert held.begun.wait(PATIENCE)
            assert session.get(f"{server.url}/bytes/10").ok
            held.let_go.set()
            assert waiting.results()[0].ok


def test_every_place_is_given_back(server: FakeServer, clock: Clock) -> None:
    """D11: after each kind of failure in turn, a pool of one blocking place still has it."""
    with Session(runtime=clock, pool_maxsize=1, pool_block=True) as session:
        for stream in (False, True):
            for fault in FAILURES.values():
                server.plan = FaultPlan.script(fault)
                answers = Background([partial(session.get, f"{server.url}/echo", stream=stream)])
                assert answers.results()[0].content
                clock.advance(60)
