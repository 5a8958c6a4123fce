"""Dry run: in observe mode nothing is done, and the report says what would have been."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
import requests
from scenes import QUEUES, Clock, kinds, reason, statuses, token_source

import weatherglass
from weatherglass import (
    Adapter,
    Callbacks,
    MaintenancePolicy,
    MaintenanceWindow,
    Policy,
    RetryAfterPolicy,
    Session,
)
from weatherglass.testing import TOKEN_PATH, FakeServer, FaultPlan, faults
from weatherglass.vocabulary import BreakerState, Disposition

WATCHING = Policy(mode="observe")
DOWN = FaultPlan.script(*[faults.answer(503)] * 30)


@pytest.fixture
def observing(clock: Clock) -> Iterator[Session]:
    """A session that only observes."""
    with Session(runtime=clock, policy=WATCHING) as session:
        yield session


def observed(answer: requests.Response | BaseException) -> list[str]:
    return [str(decision) for decision in weatherglass.report(answer).observed]


def test_nothing_is_retried(server: FakeServer, observing: Session, clock: Clock) -> None:
    """D18: a transient failure is returned at once; a retry would have been made."""
    server.plan = DOWN
    answer = observing.get(f"{server.url}/echo")
    assert (statuses(answer), observed(answer)) == ([503], ["retry"])
    assert (clock.waits, reason(answer)) == ([], None)


def test_network_failure_is_raised_at_once(server: FakeServer, observing: Session) -> None:
    """D18: so is a failure of the network raised."""
    server.plan = FaultPlan.script(*[faults.reset()] * 9)
    with pytest.raises(requests.ConnectionError) as caught:
        observing.get(f"{server.url}/echo")
    assert (kinds(caught.value), observed(caught.value)) == (["connection_reset"], ["retry"])


def test_giving_up_is_told(server: FakeServer, observing: Session) -> None:
    """D18: where a call would have given up at once, that is what is told."""
    server.plan = FaultPlan.script(faults.answer(503))
    answer = observing.post(f"{server.url}/echo", data=b"x")
    assert (statuses(answer), observed(answer)) == ([503], ["give_up"])


def test_success_and_permanent_failure_decide_nothing(
    server: FakeServer, observing: Session
) -> None:
    """D18: where nothing would have been done, nothing is told."""
    assert observed(observing.get(f"{server.url}/echo")) == []
    assert observed(observing.get(f"{server.url}/nowhere")) == []


def test_delay_of_the_server_is_not_waited_for(
    server: FakeServer, observing: Session, clock: Clock
) -> None:
    """D18, A8: neither the call that was told to wait waits, nor does the next at the gate."""
    server.plan = FaultPlan.script(faults.answer(429, retry_after=60))
    limited = observing.get(f"{server.url}/echo")
    assert (statuses(limited), observed(limited)) == ([429], ["retry"])
    assert weatherglass.report(limited).attempts[0].disposition is Disposition.IGNORED
    following = observing.get(f"{server.url}/echo")
    assert (statuses(following), observed(following)) == ([200], ["gate_wait"])
    assert (clock.waits, clock.monotonic()) == ([], 0)


def test_open_breaker_refuses_nothing(server: FakeServer, observing: Session, clock: Clock) -> None:
    """D18, B6: the breaker opens, says so, and lets every call through."""
    server.plan = FaultPlan.script(*[faults.answer(503)] * 6)
    answers = [observing.get(f"{server.url}/echo") for _ in range(7)]
    assert [observed(answer) for answer in answers] == [
        *[["retry"]] * 4,
        ["retry"],
        ["breaker_refusal", "retry"],
        ["breaker_refusal"],
    ]
    assert observing.breakers.state(server.url) is BreakerState.OPEN
    clock.advance(100)
    assert observed(observing.get(f"{server.url}/echo")) == []
    assert observing.breakers.state(server.url) is BreakerState.CLOSED


def test_forced_breaker_refuses_nothing_either(server: FakeServer, observing: Session) -> None:
    """D18, B8: not even one that was forced open."""
    observing.breakers.force_open(server.url)
    assert observed(observing.get(f"{server.url}/echo")) == ["breaker_refusal"]


@pytest.mark.parametrize("mode", ["fail", "wait"])
def test_maintenance_refuses_and_delays_nothing(
    server: FakeServer, clock: Clock, mode: str
) -> None:
    """D18, M3: in a window calls go on failing by themselves, and are told apart."""
    now = datetime.fromtimestamp(clock.time(), tz=timezone.utc)
    window = MaintenanceWindow(name="sunday", start=now, end=now + timedelta(hours=1))
    policy = WATCHING.new(maintenance=MaintenancePolicy(mode=mode, windows=(window,)))
    server.plan = FaultPlan.script(*[faults.answer(503)] * 2)
    with Session(runtime=clock, policy=policy) as session:
        answers = [session.get(f"{server.url}/echo") for _ in range(3)]
    decided = "give_up" if mode == "fail" else "retry"
    assert [observed(answer) for answer in answers] == [
        [decided],
        ["maintenance_refusal", decided],
        ["maintenance_refusal"],
    ]
    assert [statuses(answer) for answer in answers] == [[503], [503], [200]]
    assert weatherglass.report(answers[0]).maintenance == "sunday"
    assert clock.waits == []


def test_token_is_not_refreshed(clock: Clock) -> None:
    """D18: a 401 is returned, a token near its end goes on being used, and both are told."""
    with FakeServer(clock=clock, require_tokens=True, token_lifetime=1000) as server:
        tokens = token_source(server)
        with Session(runtime=clock, policy=WATCHING, tokens=tokens) as session:
            assert session.get(server.url + QUEUES).ok
            server.revoke_tokens()
            refused = session.get(server.url + QUEUES)
            assert (statuses(refused), observed(refused)) == ([401], ["refresh"])
            clock.advance(2000)
            assert statuses(session.get(server.url + QUEUES)) == [401]
    assert len(server.ledger.token_calls()) == 1


def test_no_deadline_cuts_anything_short(server: FakeServer, clock: Clock) -> None:
    """D18, D9: the deadline is not held either."""
    server.plan = FaultPlan.script(faults.delay(60))
    with Session(runtime=clock, policy=WATCHING.new(deadline=5)) as session:
        assert session.get(f"{server.url}/echo").ok
    assert clock.monotonic() == 60


def test_budget_is_not_spent(server: FakeServer, observing: Session) -> None:
    """D18, R4: retries that are not made cost nothing."""
    server.plan = DOWN
    observing.get(f"{server.url}/echo")
    assert list(observing.adapter.budget_levels()) == []


def test_callbacks_hear_of_failures_and_of_no_retry(server: FakeServer, clock: Clock) -> None:
    """D18, R6: what happened is told, what did not is not."""
    told: list[str] = []
    callbacks = Callbacks(
        on_failure=lambda _: told.append("failure"),
        on_retry=lambda _: told.append("retry"),
        on_give_up=lambda _: told.append("give up"),
        on_call=lambda _: told.append("call"),
    )
    server.plan = DOWN
    with Session(runtime=clock, policy=WATCHING, callbacks=callbacks) as session:
        session.get(f"{server.url}/echo")
    assert told == ["failure", "call"]


def test_one_call_may_be_observed_alone(server: FakeServer, clock: Clock) -> None:
    """D18, D16: the mode is a setting like any other, of a call or of an adapter too."""
    server.plan = DOWN
    with Session(runtime=clock) as session, requests.Session() as plain:
        answer = session.request("GET", f"{server.url}/echo", policy=WATCHING)
        assert observed(answer) == ["retry"]
        plain.mount("http://", Adapter(runtime=clock, policy=WATCHING))
        assert observed(plain.get(f"{server.url}/echo")) == ["retry"]
        policy = Policy(retry_after=RetryAfterPolicy(gate=False))
        assert len(statuses(session.request("GET", f"{server.url}/echo", policy=policy))) == 4


def test_refusal_found_before_the_call_is_prepared_is_not_made_either(
    server: FakeServer, clock: Clock
) -> None:
    """D18: a call that is observed alone goes through the open breaker of an active session."""
    with Session(runtime=clock) as session:
        session.breakers.force_open(server.url)
        with weatherglass.options(policy=WATCHING):
            assert observed(session.get(f"{server.url}/echo")) == ["breaker_refusal"]


def test_token_endpoint_in_trouble_is_still_asked_once(clock: Clock) -> None:
    """D18: the first token is needed for any call at all, and so is fetched, by its own rules."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        server.plan = FaultPlan.script(faults.answer(503), path=TOKEN_PATH)
        with Session(runtime=clock, policy=WATCHING, tokens=token_source(server)) as session:
            assert session.get(server.url + QUEUES).ok
    assert len(server.ledger.token_calls()) == 2
