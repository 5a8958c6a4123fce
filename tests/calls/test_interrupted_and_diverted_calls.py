"""Calls that are interrupted, diverted or given new credentials in mid-session (T9, T7, B3, A8)."""

from __future__ import annotations

import io
import pickle

import pytest
import requests
from scenes import Clock

import weatherglass
from weatherglass import CallableTokens, CallFailed, IdempotencyPolicy, Policy, Session
from weatherglass.call import current_call
from weatherglass.testing import FakeServer, FaultPlan, faults
from weatherglass.vocabulary import BreakerState, ObservedDecision


class ClosedOnSend(io.BytesIO):
    """A file that whoever reads it to its end closes."""

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        if not found:
            self.close()
        return found


class Interrupt(BaseException):
    """What a signal handler or a greenlet library may raise anywhere."""


def test_the_cause_of_our_errors_holds_no_token(server: FakeServer, clock: Clock) -> None:
    """T9: the error of requests that ours comes from carries the caller's request, not our copy."""
    server.plan = FaultPlan.script(*[faults.reset()] * 9)
    tokens = CallableTokens(lambda: "MARKED-TOKEN", origins=[server.url])
    with Session(tokens=tokens, runtime=clock) as session, pytest.raises(CallFailed) as caught:
        session.get(f"{server.url}/echo", raise_failures=True)
    cause = caught.value.__cause__
    assert isinstance(cause, requests.ConnectionError)
    assert cause.request is not None
    assert "Authorization" not in cause.request.headers
    assert b"MARKED-TOKEN" not in pickle.dumps(cause)


class WithBase(Session):
    """What many applications do: paths are completed when the request is prepared."""

    base = ""

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        request.url = self.base + str(request.url)
        return super().prepare_request(request)


def test_an_open_breaker_of_another_origin_changes_nothing(
    server: FakeServer, clock: Clock
) -> None:
    """D1, B5: while some breaker is open, other calls are prepared and judged as ever."""
    with WithBase(runtime=clock) as completed, Session(runtime=clock) as session:
        completed.base = server.url
        for each in (completed, session):
            each.breakers.force_open("https://other.example")
        assert completed.get("/echo").ok
        assert session.get(f" {server.url}/echo").ok
        with pytest.raises(requests.exceptions.MissingSchema):
            session.get("example.com/x")


def test_new_credentials_without_origins_go_where_the_old_went(
    server: FakeServer, clock: Clock
) -> None:
    """T7, T11: a source that names no origins takes over those of its predecessor."""
    tokens = CallableTokens(lambda: "old", origins=[server.url])
    with Session(tokens=tokens, runtime=clock) as session:
        session.get(f"{server.url}/echo")
        session.adapter.replace_tokens(CallableTokens(lambda: "new"))
        session.get(f"{server.url}/echo")
        first, second = server.ledger.requests(path="/echo")
        assert first.header("Authorization") == "Bearer old"
        assert second.header("Authorization") == "Bearer new"


def test_an_interrupted_probe_gives_its_place_back(server: FakeServer, clock: Clock) -> None:
    """B3: an interrupt before anything is sent does not shut the origin out for the lease."""
    interrupted = [True]

    def fetch() -> str:
        if interrupted[0]:
            raise Interrupt
        return "token"

    tokens = CallableTokens(fetch, origins=[server.url])
    with Session(tokens=tokens, runtime=clock) as session:
        server.plan = FaultPlan.script(*[faults.answer(503)] * 5)
        session.get(f"{server.url}/echo", headers={"Authorization": "Basic x"})
        assert session.breakers.state(server.url) is BreakerState.OPEN
        clock.advance(100)
        with pytest.raises(Interrupt):
            session.get(f"{server.url}/echo")
        interrupted[0] = False
        assert session.get(f"{server.url}/echo").ok
        assert session.breakers.state(server.url) is BreakerState.CLOSED


def test_an_interrupt_in_a_watcher_hides_no_attempt(server: FakeServer, clock: Clock) -> None:
    """O1, D7: what was sent is in the report, whatever a callback raises after it."""
    reports: list[weatherglass.CallReport] = []

    def interrupt(_: object) -> None:
        raise Interrupt

    callbacks = weatherglass.Callbacks(on_transition=interrupt, on_call=reports.append)
    server.plan = FaultPlan.script(*[faults.answer(503)] * 9)
    with Session(runtime=clock, callbacks=callbacks) as session:
        with pytest.raises(Interrupt):
            session.get(f"{server.url}/echo")
        assert current_call() is None
    assert len(reports[0].attempts) == len(server.ledger)


def test_a_call_with_its_own_authentication_keeps_out_of_the_tokens_gate(
    server: FakeServer, clock: Clock
) -> None:
    """A8, T11: a rate limit met with another credential holds back that credential alone."""

    def with_api_key(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["X-Api-Key"] = "k"
        return request

    tokens = CallableTokens(lambda: "token", origins=[server.url])
    server.plan = FaultPlan.script(faults.answer(429, retry_after=20))
    with Session(tokens=tokens, runtime=clock) as session:
        session.post(f"{server.url}/echo", auth=with_api_key, max_retries=0)
        report = weatherglass.report(session.get(f"{server.url}/echo"))
    assert report.waits == ()


@pytest.mark.parametrize("how", ["policy", "option"])
def test_a_get_carries_a_key_where_that_was_asked_for(
    server: FakeServer, clock: Clock, how: str
) -> None:
    """I1: by the policy's methods, or for one call."""
    policy = Policy(idempotency=IdempotencyPolicy(key="per_call", methods=("GET",)))
    with Session(runtime=clock, policy=policy if how == "policy" else None) as session:
        given = {} if how == "policy" else {"idempotency_key": "k1"}
        report = weatherglass.report(session.get(f"{server.url}/echo", **given))
    (entry,) = server.ledger.requests(path="/echo")
    assert report.idempotency_key is not None
    assert entry.idempotency_key == report.idempotency_key


def test_an_expired_token_in_observe_mode_is_told(server: FakeServer, clock: Clock) -> None:
    """D18: it is sent all the same, and the report says that it would have been refreshed."""
    tokens = CallableTokens(lambda: ("token", 60.0), origins=[server.url])
    with Session(runtime=clock, tokens=tokens, policy=Policy(mode="observe")) as session:
        session.get(f"{server.url}/echo")
        clock.advance(1000)
        report = weatherglass.report(session.get(f"{server.url}/echo"))
    assert ObservedDecision.REFRESH in report.observed


def test_a_body_that_was_closed_meanwhile_leaves_the_answer(
    server: FakeServer, clock: Clock
) -> None:
    """D12, D5: it cannot be sent again, so the last answer is returned, with that reason."""
    server.plan = FaultPlan.script(faults.answer(503))
    with Session(runtime=clock) as session:
        answer = session.put(f"{server.url}/echo", data=ClosedOnSend(b"payload"))
    report = weatherglass.report(answer)
    assert answer.status_code == 503
    assert str(report.give_up_reason) == "body_not_replayable"
