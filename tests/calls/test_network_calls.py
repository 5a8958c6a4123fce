"""Network failures as a caller sees them: their kinds, their limits, and what may be replayed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import requests
from scenes import CERTIFICATE, SHORT, Clock, kinds, outcome_of, read_timeout, reason

import weatherglass
from weatherglass import BreakerPolicy, BudgetPolicy, Policy, RetryPolicy, Session
from weatherglass.testing import FakeServer, Fault, FaultPlan, faults
from weatherglass.vocabulary import Execution

STEADY = Policy(breaker=BreakerPolicy(enabled=False))

CUT = faults.cut(of=faults.answer(200, body=b"x" * 100))

Call = Callable[[FakeServer, Session], Any]


def faulty(fault: Fault) -> Call:
    def call(server: FakeServer, session: Session) -> Any:
        server.plan = FaultPlan.script(*[fault] * 20)
        return session.get(f"{server.url}/echo", timeout=read_timeout(fault))

    return call


def refused(server: FakeServer, session: Session) -> Any:
    return session.get(server.refused_url())


def unanswered(server: FakeServer, session: Session) -> Any:
    return session.get(server.unanswered_url(), timeout=(SHORT, 20))


def handshake_stalls(server: FakeServer, session: Session) -> Any:
    return session.get(server.stalled_url(), timeout=(SHORT, SHORT))


def proxy_is_away(server: FakeServer, session: Session) -> Any:
    return session.get(f"{server.url}/echo", proxies={"http": server.refused_url()})


# Call, kind, whether the server may have executed it.
NETWORK: dict[str, tuple[Call, str, Execution]] = {
    "refused": (refused, "connect_refused", Execution.NOT_SENT),
    "connecting": (unanswered, "connect_timeout", Execution.NOT_SENT),
    "handshake": (handshake_stalls, "tls_handshake", Execution.NOT_SENT),
    "proxy": (proxy_is_away, "proxy", Execution.NOT_SENT),
    "reset": (faulty(faults.reset()), "connection_reset", Execution.POSSIBLE),
    "closed": (faulty(faults.disconnect()), "connection_reset", Execution.POSSIBLE),
    "no answer": (faulty(faults.hang()), "read_timeout", Execution.POSSIBLE),
    "cut": (faulty(CUT), "truncated_body", Execution.POSSIBLE),
    "garbage": (faulty(faults.raw(b"what?\r\n\r\n")), "malformed_response", Execution.POSSIBLE),
}


@pytest.mark.parametrize(("call", "kind", "execution"), NETWORK.values(), ids=NETWORK.keys())
def test_each_failure_has_its_kind_and_is_retried(
    server: FakeServer, clock: Clock, call: Call, kind: str, execution: Execution
) -> None:
    """N1, N3, N4: each way of failing has its kind, says what the server did, is tried 4 times."""
    with Session(runtime=clock, policy=STEADY) as session:
        error = outcome_of(lambda: call(server, session))
    assert isinstance(error, requests.RequestException)
    assert kinds(error) == [kind] * 4
    assert reason(error) == "network_retries_exhausted"
    found = weatherglass.report(error).failure
    assert found is not None
    assert (found.execution, found.is_network, found.status) == (execution, True, None)


def test_name_that_does_not_resolve(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """N1: a name without an address is a kind of its own, and is tried again."""

    def nowhere(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    error = outcome_of(lambda: session.get("http://api.example.com/"))
    assert kinds(error) == ["dns"] * 4


def test_certificate_that_nobody_trusts_is_permanent(clock: Clock) -> None:
    """N1, S1: a refused certificate is not tried again, and verification is not weakened."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with FakeServer(clock=clock, tls=context) as server, Session(runtime=clock) as session:
        error = outcome_of(lambda: session.get(f"{server.url}/echo"))
        assert isinstance(error, requests.exceptions.SSLError)
        assert (kinds(error), reason(error)) == (["tls_certificate"], None)
        assert len(server.ledger) == 0
        assert session.get(f"{server.url}/echo", verify=str(CERTIFICATE)).ok


def test_kinds_follow_each_other(server: FakeServer, clock: Clock) -> None:
    """N1: each attempt of a call is classified by what happened to itself."""
    server.plan = FaultPlan.script(
        faults.reset(),
        faults.answer(503),
        faults.cut(),
        faults.answer(408),
        faults.raw(b"?\r\n\r\n"),
    )
    with Session(runtime=clock, policy=STEADY) as session:
        answer = session.get(f"{server.url}/bytes/1000")
    assert kinds(answer) == [
        "connection_reset", "unavailable", "truncated_body", "request_timeout",
        "malformed_response", None,
    ]  # fmt: skip


def test_idle_connection_that_is_gone_is_no_failure_for_long(
    server: FakeServer, session: Session
) -> None:
    """N1, N4: a kept connection that the server closes just then costs a GET one more attempt."""
    server.plan = FaultPlan.script(faults.idle_close())
    session.get(f"{server.url}/echo")
    assert kinds(session.get(f"{server.url}/echo")) == ["connection_reset", None]


def test_network_retries_are_counted_apart(server: FakeServer, clock: Clock) -> None:
    """N3: retries after network failures have a limit of their own within that of all retries."""
    server.plan = FaultPlan.script(
        faults.answer(503), faults.reset(), faults.answer(503), faults.reset(), faults.reset()
    )
    policy = STEADY.new(retry={"max_retries": 9, "max_network_retries": 2})
    with Session(runtime=clock, policy=policy) as session:
        error = outcome_of(lambda: session.get(f"{server.url}/echo"))
    assert (len(kinds(error)), reason(error)) == (5, "network_retries_exhausted")
    server.plan = FaultPlan.script(*[faults.answer(503), faults.reset()] * 9)
    policy = STEADY.new(retry={"max_retries": 3, "max_network_retries": 3})
    with Session(runtime=clock, policy=policy) as session:
        error = outcome_of(lambda: session.get(f"{server.url}/echo"))
    assert (len(kinds(error)), reason(error)) == (4, "retries_exhausted")


def test_long_outage_ends_in_fast_named_refusals(server: FakeServer, clock: Clock) -> None:
    """N3: when the origin's budget is used up, calls are no longer retried, and say why."""
    policy = STEADY.new(network_budget=BudgetPolicy(capacity=7, per_second=0))
    url = server.refused_url()
    with Session(runtime=clock, policy=policy) as session:
        errors = [outcome_of(lambda: session.get(url)) for _ in range(6)]
        waits = len(clock.waits)
        assert waits == 7
        # Another origin has a budget of its own.
        server.plan = FaultPlan.script(faults.reset())
        assert session.get(f"{server.url}/echo").ok
    assert [len(kinds(error)) for error in errors] == [4, 4, 2, 1, 1, 1]
    assert [reason(error) for error in errors] == [
        *["network_retries_exhausted"] * 2,
        *["network_budget_empty"] * 4,
    ]


def test_breaker_ends_a_long_outage_too(server: FakeServer, session: Session) -> None:
    """N3, B4: by default the breaker opens before the budget is used up, and nothing is sent."""
    url = server.refused_url()
    errors = [outcome_of(lambda: session.get(url)) for _ in range(3)]
    assert [len(kinds(error)) for error in errors] == [4, 1, 0]
    assert [reason(error) for error in errors] == [
        "network_retries_exhausted",
        "circuit_open",
        "circuit_open",
    ]


@pytest.mark.parametrize(("call", "kind", "execution"), NETWORK.values(), ids=NETWORK.keys())
def test_post_is_replayed_only_if_it_was_never_sent(
    server: FakeServer, clock: Clock, call: Call, kind: str, execution: Execution
) -> None:
    """N4, R3: a POST is tried again after failures to connect, and after no other."""

    class Posting(Session):
        def get(self, url: Any, params: Any = None, **arguments: Any) -> requests.Response:
            return self.request("POST", url, params, data=b"once", **arguments)

    with Posting(runtime=clock, policy=STEADY) as session:
        error = outcome_of(lambda: call(server, session))
    replayed = execution is Execution.NOT_SENT
    assert kinds(error) == [kind] * (4 if replayed else 1)
    assert reason(error) == ("network_retries_exhausted" if replayed else "method_not_replayable")


def test_post_that_was_lost_is_executed_once(server: FakeServer, session: Session) -> None:
    """N4, S2: a POST whose answer was lost after it took effect is not sent again."""
    server.plan = FaultPlan.script(faults.lose())
    with pytest.raises(requests.ConnectionError) as caught:
        session.post(f"{server.url}/echo", data=b"once")
    assert reason(caught.value) == "method_not_replayable"
    assert len(server.ledger.executions()) == 1


def test_more_retries_than_the_network_s_share(server: FakeServer, clock: Clock) -> None:
    """N3: the network's limit does not touch retries after answers."""
    server.plan = FaultPlan.script(*[faults.answer(503)] * 5)
    policy = STEADY.new(retry=RetryPolicy(max_network_retries=0))
    with Session(runtime=clock, policy=policy) as session:
        assert len(kinds(session.get(f"{server.url}/echo"))) == 6
        server.plan = FaultPlan.script(faults.reset())
        assert len(kinds(outcome_of(lambda: session.get(f"{server.url}/echo")))) == 1
