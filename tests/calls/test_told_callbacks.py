"""Callbacks of the application: told of everything, and able to break nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from scenes import PATIENCE, QUEUES, Background, Clock, reason, statuses, token_source

import weatherglass
from weatherglass import Attempt, BreakerPolicy, Callbacks, CallReport, Policy, Session
from weatherglass.decide.breaker import Transition
from weatherglass.testing import FakeServer, FaultPlan, faults
from weatherglass.tokens import RefreshReport


def noting(told: list[tuple[str, Any]]) -> Callbacks:
    def note(name: str) -> Callable[[Any], None]:
        return lambda subject: told.append((name, subject))

    names = ("on_failure", "on_retry", "on_give_up", "on_call", "on_transition", "on_refresh")
    return Callbacks(**{name: note(name) for name in names})


def test_callbacks_are_told_in_order_with_typed_objects(clock: Clock) -> None:
    """R6: failures, retries, transitions, refreshes and ends are told with objects of our own."""
    told: list[tuple[str, Any]] = []
    policy = Policy(breaker=BreakerPolicy(consecutive_failures=2))
    with FakeServer(clock=clock, require_tokens=True) as server:
        server.plan = FaultPlan.script(*[faults.answer(503)] * 2, path=QUEUES)
        with Session(
            runtime=clock, policy=policy, callbacks=noting(told), tokens=token_source(server)
        ) as session:
            answer = session.get(server.url + QUEUES)
    assert [name for name, _ in told] == [
        "on_refresh", "on_failure", "on_retry", "on_transition", "on_failure", "on_give_up",
        "on_call",
    ]  # fmt: skip
    assert [type(subject) for _, subject in told] == [
        RefreshReport, Attempt, Attempt, Transition, Attempt, CallReport, CallReport,
    ]  # fmt: skip
    report = weatherglass.report(answer)
    assert told[1][1] == told[2][1] == report.attempts[0]
    assert told[2][1].delay == 0.5
    assert told[-1][1] is told[-2][1] is report


def test_success_is_told_once(server: FakeServer, clock: Clock) -> None:
    """R6: of a call that succeeds at once only its end is told."""
    told: list[tuple[str, Any]] = []
    with Session(runtime=clock, callbacks=noting(told)) as session:
        session.get(f"{server.url}/echo")
    assert [name for name, _ in told] == ["on_call"]


def test_permanent_failure_is_not_given_up(server: FakeServer, clock: Clock) -> None:
    """R6: a call whose failure no retry could help has not given up, it has failed."""
    told: list[tuple[str, Any]] = []
    with Session(runtime=clock, callbacks=noting(told)) as session:
        session.get(f"{server.url}/nowhere")
    assert [name for name, _ in told] == ["on_failure", "on_call"]


def test_raising_callback_changes_nothing(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """R6: a callback that raises is logged, and the call goes on as if it had not been there."""

    def broken(_: Any) -> None:
        raise RuntimeError("broken callback")

    names = ("on_failure", "on_retry", "on_give_up", "on_call", "on_transition", "on_refresh")
    callbacks = Callbacks(**dict.fromkeys(names, broken))
    policy = Policy(breaker=BreakerPolicy(consecutive_failures=3))
    with FakeServer(clock=clock, require_tokens=True) as server:
        server.plan = FaultPlan.script(
            faults.answer(503), None, *[faults.answer(503)] * 5, path=QUEUES
        )
        with (
            Session(
                runtime=clock, policy=policy, callbacks=callbacks, tokens=token_source(server)
            ) as session,
            caplog.at_level(logging.ERROR, logger="weatherglass"),
        ):
            assert statuses(session.get(server.url + QUEUES)) == [503, 200]
            second = session.get(server.url + QUEUES)
    assert (statuses(second), reason(second)) == ([503] * 3, "circuit_open")
    for name in names:
        assert any(name in record.getMessage() for record in caplog.records), name


def test_callback_may_use_the_session(server: FakeServer, clock: Clock) -> None:
    """R6, D13: callbacks hold no lock of ours: they may call, read, force and close."""
    inner: list[int] = []

    def use(_: Any) -> None:
        if not inner:
            inner.append(0)
            inner.append(session.get(f"{server.url}/bytes/1").status_code)
            session.breakers.force_closed(server.url)

    server.plan = FaultPlan.script(*[faults.answer(503)] * 2, path="/echo")
    callbacks = Callbacks(on_failure=use, on_transition=use)
    with Session(runtime=clock, callbacks=callbacks) as session:
        answer = Background([lambda: session.get(f"{server.url}/echo")]).results()[0]
    assert (statuses(answer), inner) == ([503, 503, 200], [0, 200])


def test_slow_callback_holds_up_nobody_else(server: FakeServer, clock: Clock) -> None:
    """R6, D13: while one thread is in a callback, others call, fail and retry."""
    entered, leave = threading.Event(), threading.Event()

    def slow(attempt: Attempt) -> None:
        if attempt.url.endswith("/slow"):
            entered.set()
            assert leave.wait(PATIENCE)

    server.plan = FaultPlan(
        rules=(
            *FaultPlan.script(faults.answer(503), path="/slow").rules,
            *FaultPlan.script(faults.answer(503), path="/echo").rules,
        )
    )
    with Session(runtime=clock, callbacks=Callbacks(on_failure=slow)) as session:
        waiting = Background([lambda: session.get(f"{server.url}/slow")])
        assert entered.wait(PATIENCE)
        quick = Background([lambda: session.get(f"{server.url}/echo")])
        assert statuses(quick.results()[0]) == [503, 200]
        leave.set()
        assert statuses(waiting.results()[0]) == [503, 404]
