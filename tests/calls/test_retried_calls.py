"""Retries: how many, how fast, for what, and when it is enough."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import FrameType
from typing import Any

import pytest
import requests
from scenes import QUEUES, Background, Clock, kinds, outcome_of, reason, statuses, token_source

import weatherglass
from weatherglass import (
    Attempt,
    BreakerPolicy,
    BudgetPolicy,
    Callbacks,
    IdempotencyPolicy,
    MaintenancePolicy,
    MaintenanceWindow,
    Policy,
    RetryPolicy,
    Session,
)
from weatherglass.testing import TOKEN_PATH, FakeServer, FaultPlan, FaultRule, faults
from weatherglass.vocabulary import GiveUpReason

STEADY = Policy(breaker=BreakerPolicy(enabled=False))
DOWN = FaultPlan.script(*[faults.answer(503)] * 60)


def test_backoff_doubles_up_to_its_cap(server: FakeServer, clock: Clock) -> None:
    """R1: five retries, each after random() of a bound that doubles from 1 s and ends at 30 s."""
    server.plan = DOWN
    policy = STEADY.new(retry={"max_retries": 8})
    for chance in (0.0, 0.25, 0.999):
        clock.chance = chance
        clock.waits.clear()
        with Session(runtime=clock, policy=policy) as session:
            session.get(f"{server.url}/echo")
        bounds = [1, 2, 4, 8, 16, 30, 30, 30]
        assert clock.waits == ([chance * bound for bound in bounds] if chance else [])


def test_backoff_is_policy(server: FakeServer, clock: Clock) -> None:
    """R1: number, base and cap of the retries are settings."""
    server.plan = DOWN
    policy = STEADY.new(retry=RetryPolicy(max_retries=3, base_delay=10, max_delay=15))
    with Session(runtime=clock, policy=policy) as session:
        assert len(statuses(session.get(f"{server.url}/echo"))) == 4
    assert clock.waits == [5, 7.5, 7.5]


def test_many_retries_overflow_nothing(server: FakeServer, clock: Clock) -> None:
    """R1: two thousand doublings are no problem."""
    server.plan = FaultPlan(rules=[FaultRule(fault=faults.answer(503))])
    policy = STEADY.new(retry={"max_retries": 1000}, retry_budget=BudgetPolicy(capacity=10_000))
    with Session(runtime=clock, policy=policy) as session:
        answer = session.get(f"{server.url}/echo")
    assert len(statuses(answer)) == 1001
    assert max(clock.waits) == 15


def test_retries_see_the_server_where_and_when_it_recovers(
    server: FakeServer, session: Session, clock: Clock
) -> None:
    """R1, R7: each attempt arrives exactly when its wait is over, never earlier."""
    server.plan = FaultPlan.script(*[faults.answer(503)] * 3)
    began = clock.time()
    answer = session.get(f"{server.url}/echo")
    assert answer.ok
    arrived = [entry.arrived_at - began for entry in server.ledger.requests()]
    assert arrived == [pytest.approx(at) for at in (0, 0.5, 1.5, 3.5)]
    for wait in weatherglass.report(answer).waits:
        assert wait.actual >= wait.planned - 1e-9


# --- every reason to stop ---------------------------------------------------------------------

Stopped = Callable[[FakeServer, Clock], Any]


def exhausted(server: FakeServer, clock: Clock) -> Any:
    server.plan = DOWN
    with Session(runtime=clock, policy=STEADY) as session:
        return session.get(f"{server.url}/echo")


def network_exhausted(server: FakeServer, clock: Clock) -> Any:
    server.plan = FaultPlan.script(*[faults.reset()] * 9)
    with Session(runtime=clock) as session:
        return session.get(f"{server.url}/echo")


def deadline(server: FakeServer, clock: Clock) -> Any:
    server.plan = DOWN
    with Session(runtime=clock) as session:
        return session.request("GET", f"{server.url}/echo", deadline=0.1)


def budget_empty(server: FakeServer, clock: Clock) -> Any:
    server.plan = DOWN
    policy = STEADY.new(retry_budget=BudgetPolicy(capacity=1, per_second=0))
    with Session(runtime=clock, policy=policy) as session:
        return session.get(f"{server.url}/echo")


def network_budget_empty(server: FakeServer, clock: Clock) -> Any:
    server.plan = FaultPlan.script(*[faults.reset()] * 9)
    policy = STEADY.new(network_budget=BudgetPolicy(capacity=1, per_second=0))
    with Session(runtime=clock, policy=policy) as session:
        return session.get(f"{server.url}/echo")


def circuit_open(server: FakeServer, clock: Clock) -> Any:
    server.plan = DOWN
    with Session(runtime=clock) as session:
        return session.get(f"{server.url}/echo")


def maintenance(server: FakeServer, clock: Clock) -> Any:
    server.plan = DOWN
    now = datetime.fromtimestamp(clock.time(), tz=timezone.utc)
    window = MaintenanceWindow(name="sunday", start=now, end=now + timedelta(hours=1))
    policy = Policy(maintenance=MaintenancePolicy(windows=(window,)))
    with Session(runtime=clock, policy=policy) as session:
        return session.get(f"{server.url}/echo")


def body_not_replayable(server: FakeServer, clock: Clock) -> Any:
    server.plan = DOWN
    with Session(runtime=clock) as session:
        return session.put(f"{server.url}/echo", data=iter([b"x"]))


def method_not_replayable(server: FakeServer, clock: Clock) -> Any:
    server.plan = DOWN
    with Session(runtime=clock) as session:
        return session.post(f"{server.url}/echo", data=b"x")


def above_ceiling(server: FakeServer, clock: Clock) -> Any:
    server.plan = FaultPlan.script(faults.daily_limit())
    with Session(runtime=clock) as session:
        return session.get(f"{server.url}/echo")


def closed(server: FakeServer, clock: Clock) -> Any:
    server.plan = DOWN
    callbacks = Callbacks(on_retry=lambda _: session.close())
    with Session(runtime=clock, callbacks=callbacks) as session:
        return session.get(f"{server.url}/echo")


def unauthorized(server: FakeServer, clock: Clock) -> Any:
    server.plan = FaultPlan.script(faults.answer(401), faults.answer(401), path="/echo")
    with Session(runtime=clock, tokens=token_source(server)) as session:
        return session.get(f"{server.url}/echo")


def token_refresh(server: FakeServer, clock: Clock) -> Any:
    server.plan = FaultPlan.script(*[faults.answer(500)] * 9, path=TOKEN_PATH)
    with Session(runtime=clock, tokens=token_source(server)) as session:
        return session.get(f"{server.url}/echo")


def reauthentication(server: FakeServer, clock: Clock) -> Any:
    with Session(runtime=clock, tokens=token_source(server, client_secret="wrong")) as session:
        return session.get(f"{server.url}/echo")


STOPS: list[tuple[Stopped, GiveUpReason]] = [
    (exhausted, GiveUpReason.RETRIES_EXHAUSTED),
    (network_exhausted, GiveUpReason.NETWORK_RETRIES_EXHAUSTED),
    (deadline, GiveUpReason.DEADLINE),
    (budget_empty, GiveUpReason.RETRY_BUDGET_EMPTY),
    (network_budget_empty, GiveUpReason.NETWORK_BUDGET_EMPTY),
    (circuit_open, GiveUpReason.CIRCUIT_OPEN),
    (maintenance, GiveUpReason.MAINTENANCE),
    (body_not_replayable, GiveUpReason.BODY_NOT_REPLAYABLE),
    (method_not_replayable, GiveUpReason.METHOD_NOT_REPLAYABLE),
    (above_ceiling, GiveUpReason.RETRY_AFTER_ABOVE_CEILING),
    (closed, GiveUpReason.CLOSED),
    (unauthorized, GiveUpReason.UNAUTHORIZED_AFTER_REFRESH),
    (token_refresh, GiveUpReason.TOKEN_REFRESH_FAILED),
    (reauthentication, GiveUpReason.REAUTHENTICATION_REQUIRED),
]


@pytest.mark.parametrize(("stopped", "expected"), STOPS, ids=[s[0].__name__ for s in STOPS])
def test_each_stop_has_its_reason(
    server: FakeServer, clock: Clock, stopped: Stopped, expected: GiveUpReason
) -> None:
    """R2: whatever ends the retries, it is named in the report."""
    outcome = outcome_of(lambda: stopped(server, clock))
    assert weatherglass.report(outcome).give_up_reason is expected


def test_no_reason_is_left_unproven() -> None:
    """R2: the reasons above are all that there are."""
    assert {expected for _, expected in STOPS} == set(GiveUpReason)


# --- what may be replayed ---------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"])
def test_idempotent_method_is_replayed_for_any_transient_failure(
    server: FakeServer, session: Session, method: str
) -> None:
    """R3: what may be executed twice is sent again, whatever has become of it."""
    server.plan = FaultPlan.script(
        faults.answer(503), faults.lose(), faults.answer(429, retry_after=1)
    )
    answer = session.request(method, f"{server.url}/echo")
    assert kinds(answer) == ["unavailable", "connection_reset", "rate_limited", None]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_other_method_is_replayed_only_if_it_was_not_executed(
    server: FakeServer, session: Session, method: str
) -> None:
    """R3: a POST or PATCH is sent again after a 429 or 408, and not after a 502, 503 or 504."""
    server.plan = FaultPlan.script(faults.answer(429, retry_after=1), faults.answer(408))
    answer = session.request(method, f"{server.url}/echo", data=b"x")
    assert kinds(answer) == ["rate_limited", "request_timeout", None]
    for status in (502, 503, 504):
        server.plan = FaultPlan.script(faults.answer(status))
        answer = session.request(method, f"{server.url}/echo", data=b"x")
        assert (statuses(answer), reason(answer)) == ([status], "method_not_replayable")


DECLARED: dict[str, tuple[Policy, dict[str, Any]]] = {
    "by the caller": (Policy(), {"idempotent": True}),
    "by the policy": (Policy(retry=RetryPolicy(idempotent_routes=("POST /ec*",))), {}),
    "by an honoured key": (
        Policy(idempotency=IdempotencyPolicy(key="per_call", honours_keys=True)),
        {},
    ),
    "by a key of the caller's": (Policy(), {"idempotency_key": "k", "honours_key": True}),
}


@pytest.mark.parametrize(("policy", "options"), DECLARED.values(), ids=DECLARED.keys())
def test_declared_post_is_replayed(
    server: FakeServer, clock: Clock, policy: Policy, options: dict[str, Any]
) -> None:
    """R3, I4: a POST that may be executed twice, or is executed once by its key, is sent again."""
    server.plan = FaultPlan.script(faults.answer(503), faults.reset())
    with Session(runtime=clock, policy=policy) as session:
        answer = session.request("POST", f"{server.url}/echo", data=b"x", **options)
        assert kinds(answer) == ["unavailable", "connection_reset", None]


def test_caller_may_forbid_what_the_policy_allows(server: FakeServer, clock: Clock) -> None:
    """R3: ``idempotent=False`` of a call wins over a route of the policy."""
    policy = Policy(retry=RetryPolicy(idempotent_routes=("POST /echo",)))
    server.plan = FaultPlan.script(faults.answer(503))
    with Session(runtime=clock, policy=policy) as session:
        answer = session.request("POST", f"{server.url}/echo", data=b"x", idempotent=False)
    assert reason(answer) == "method_not_replayable"


def test_route_is_declared_by_its_path_alone(server: FakeServer, clock: Clock) -> None:
    """R3: a route says nothing of other paths or methods, and nothing of the query."""
    policy = Policy(retry=RetryPolicy(idempotent_routes=("POST /echo",)))
    with Session(runtime=clock, policy=policy) as session:
        for method, path, sent in (
            ("POST", "/echo?a=1", 2),
            ("POST", "/echo/1", 1),
            ("PATCH", "/echo", 1),
        ):
            server.plan = FaultPlan.script(faults.answer(503))
            assert len(statuses(session.request(method, server.url + path, data=b"x"))) == sent


# --- the budget -------------------------------------------------------------------------------


def test_failing_origin_sees_less_than_a_fifth_more(server: FakeServer) -> None:
    """R4: eight threads with a thousand failing calls send less than 1.2 times as much."""
    calls, threads = 125, 8
    clock = Clock()
    server.plan = FaultPlan(rules=[FaultRule(fault=faults.answer(503, body=b""))])
    policy = STEADY.new(retry_budget={"per_second": 0})
    with Session(runtime=clock, policy=policy) as session:

        def call() -> list[str | None]:
            return [reason(session.get(f"{server.url}/echo")) for _ in range(calls)]

        reasons = [found for call in Background([call] * threads).results() for found in call]
    assert calls * threads <= len(server.ledger) < 1.2 * calls * threads
    assert set(reasons) == {"retries_exhausted", "retry_budget_empty"}


def test_successes_pay_for_retries_and_time_does(server: FakeServer, clock: Clock) -> None:
    """R4: an empty budget fills with successes, and slowly by itself."""
    budget = BudgetPolicy(capacity=1, per_success=0.5, per_second=0.1)
    with Session(runtime=clock, policy=STEADY.new(retry_budget=budget)) as session:

        def attempts() -> int:
            server.plan = FaultPlan.script(*[faults.answer(503)] * 9)
            made = len(statuses(session.get(f"{server.url}/echo")))
            server.plan = FaultPlan()
            return made

        assert attempts() == 2
        assert attempts() == 1
        session.get(f"{server.url}/echo")
        session.get(f"{server.url}/echo")
        assert attempts() == 2
        clock.advance(10)
        assert attempts() == 2


def test_budget_is_one_of_the_origin(server: FakeServer, clock: Clock) -> None:
    """R4: an origin whose budget is empty leaves that of another alone."""
    server.plan = DOWN
    budget = BudgetPolicy(capacity=1, per_second=0)
    with Session(runtime=clock, policy=STEADY.new(retry_budget=budget)) as session:
        sent = [len(statuses(session.get(f"{url}/echo"))) for url in (server.url, server.other_url)]
        assert sent == [2, 2]


# --- the engine -------------------------------------------------------------------------------


def tenacity_is_on_the_stack() -> bool:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("tenacity"):
            return True
        frame = frame.f_back
    return False


def test_tenacity_drives_the_retries_and_only_them(server: FakeServer, clock: Clock) -> None:
    """R5: the first attempt runs without the retry engine, all others are driven by tenacity."""
    driven: list[bool] = []

    def note(_: Attempt) -> None:
        driven.append(tenacity_is_on_the_stack())

    server.plan = FaultPlan.script(*[faults.answer(503)] * 3)
    with Session(runtime=clock, callbacks=Callbacks(on_failure=note)) as session:
        session.get(f"{server.url}/echo")
    assert driven == [False, True, True]


def test_request_is_what_it_was_after_its_retries(clock: Clock) -> None:
    """R5, T9: the caller's request is not changed by what its attempts carried."""
    with FakeServer(clock=clock, require_tokens=True) as server:
        server.plan = FaultPlan.script(faults.answer(503), path=QUEUES)
        with Session(runtime=clock, tokens=token_source(server)) as session:
            prepared = session.prepare_request(requests.Request("GET", server.url + QUEUES))
            before = dict(prepared.headers)
            answer = session.send(prepared)
    assert statuses(answer) == [503, 200]
    assert answer.request is prepared
    assert dict(prepared.headers) == before
