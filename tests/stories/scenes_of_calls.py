"""Scenes of what calls decide: to wait, to give up, to refuse, to repeat, and what is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from acts import callbacks, escalation, good_weather, retries
from theatre import Theatre

import weatherglass
from weatherglass.testing import (
    FaultPlan,
    IdempotencyMode,
    Maintenance,
    faults,
)
from weatherglass.vocabulary import BreakerState

QUEUES = "/api/v2/routing/queues"
KEYS: dict[str, Any] = {
    "key": "deterministic",
    "honours_keys": True,
    "done_codes": ("duplicate.name",),
}


# Giving up ---------------------------------------------------------------------------------


def _one_shot() -> Iterator[bytes]:
    yield b"once"


GIVE_UPS: tuple[tuple[list[faults.Fault], dict[str, Any], dict[str, Any]], ...] = (
    ([faults.answer(503)] * 3, {"retry": {"max_retries": 2}}, {}),
    ([faults.reset()] * 4, {}, {}),
    ([faults.answer(502)] * 3, {"retry_budget": {"capacity": 1}}, {}),
    ([faults.reset()] * 3, {"network_budget": {"capacity": 1}}, {}),
    ([faults.answer(503)], {}, {"data": _one_shot}),
    ([faults.reset()], {}, {"data": b"x", "method": "POST"}),
    ([faults.answer(503)] * 2, {"breaker": {"consecutive_failures": 2}}, {}),
    ([faults.answer(503, retry_after=181)], {}, {}),
    ([faults.answer(503, retry_after=6)], {"deadline": 5.0}, {}),
)


def reasons_to_give_up(theatre: Theatre) -> None:
    for script, policy, arguments in GIVE_UPS:
        for raising in (False, True):
            stage = theatre.stage()
            stage.script(*script)
            given = {
                name: value() if callable(value) else value for name, value in arguments.items()
            }
            method = given.pop("method", "PUT")
            stage.play(stage.session(raise_failures=raising, **policy), method, "/echo", **given)


def closing(theatre: Theatre) -> None:
    opened: list[weatherglass.Session] = []
    stage = theatre.stage()
    stage.script(faults.answer(503))
    session = stage.session(callbacks={"on_retry": lambda _: opened[0].close()})
    opened.append(session)
    stage.get(session)


def closing_at_the_gate(theatre: Theatre) -> None:
    stage = theatre.stage()
    session = stage.session()
    stage.script(faults.answer(429, retry_after=20))
    stage.get(session, max_retries=0)
    theatre.clock.meanwhile = session.close
    stage.get(session)
    theatre.clock.meanwhile = theatre.clock.asked.set


def gates(theatre: Theatre) -> None:
    for deadline in (None, 5):
        stage = theatre.stage()
        session = stage.session()
        stage.script(faults.answer(429, retry_after=20))
        stage.get(session, max_retries=0)
        stage.get(session, deadline=deadline)


# Breakers and windows ----------------------------------------------------------------------


def breaker_by_failures_in_a_row(theatre: Theatre) -> None:
    """Opened, refused, probed in vain, probed with success."""
    stage = theatre.stage()
    stage.script(*[faults.answer(503)] * 3)
    session = stage.session(breaker={"consecutive_failures": 2}, retry={"max_retries": 0})
    for passed in (0, 0, 0, 70, 0, 150):
        theatre.clock.advance(passed)
        stage.get(session)


def breaker_by_rates(theatre: Theatre) -> None:
    stage = theatre.stage()
    stage.script(*[faults.answer(503), None] * 3)
    rates = {"consecutive_failures": 100, "failure_rate": 0.5, "minimum_calls": 4}
    session = stage.session(breaker=rates, retry={"max_retries": 0})
    for _ in range(6):
        stage.get(session)
    stage = theatre.stage()
    stage.script(*[faults.delay(5)] * 4)
    session = stage.session(breaker={"slow_call": 2, "minimum_calls": 3})
    for _ in range(4):
        stage.get(session)


def breaker_by_hand(theatre: Theatre) -> None:
    """An operator's hand, in the middle of calls, so that there is a span to tell it on."""
    stage = theatre.stage()
    moves = ["disable", "force_closed", "force_open"]

    def move(_: object) -> None:
        getattr(session.adapter.live.breakers, moves.pop(0))(stage.url)

    session = stage.session(retry={"max_retries": 0}, callbacks={"on_failure": move})
    stage.script(*[faults.answer(503)] * 3)
    for _ in range(4):
        stage.get(session)
    assert session.adapter.live.breakers.state(stage.url) is BreakerState.FORCED_OPEN


def windows(theatre: Theatre) -> None:
    """A window that is failed fast in, waited out, ignored, and one in which nothing is down."""
    for mode in ("fail", "wait", "ignore"):
        plan = FaultPlan(maintenance=[Maintenance(name=f"cleaning {mode}", start=100, end=700)])
        stage = theatre.stage(plan)
        known = stage.server.maintenance_windows()
        session = stage.session(maintenance={"windows": known, "mode": mode}, name=mode)
        for passed in (0, 150, 1, 700):
            theatre.clock.advance(passed)
            stage.get(session)
    plan = FaultPlan(maintenance=[Maintenance(name="quiet", start=0, end=99, down_from=99)])
    stage = theatre.stage(plan)
    # Not in the very moment in which it begins: dates know microseconds only.
    theatre.clock.advance(1)
    stage.get(stage.session(maintenance={"windows": stage.server.maintenance_windows()}))


def window_that_is_overrun(theatre: Theatre) -> None:
    plan = FaultPlan(maintenance=[Maintenance(name="late", start=0, end=99, down_until=400)])
    stage = theatre.stage(plan)
    session = stage.session(maintenance={"windows": stage.server.maintenance_windows()})
    for passed in (1, 150, 100, 400):
        theatre.clock.advance(passed)
        stage.get(session)


# Resending ---------------------------------------------------------------------------------


def redirects(theatre: Theatre) -> None:
    stage = theatre.stage()
    stage.get(stage.session(), f"/redirect?to={stage.server.other_url}/redirect?to=/echo")
    stage.get(stage.session(), "/redirect?to=/echo", allow_redirects=False)
    session = stage.session()
    session.max_redirects = 2
    stage.script(*[faults.redirect("/echo")] * 9)
    stage.get(session)


def keys(theatre: Theatre) -> None:
    """Each source of a key, each mode of a server, an answer that was lost each time."""
    for mode in IdempotencyMode:
        for given, policy in (
            ({"json": {"name": "one"}}, KEYS),
            ({"json": {"name": "one"}}, {**KEYS, "key": "per_call"}),
            ({"json": {"name": "one"}, "idempotency_key": "of-the-caller"}, KEYS),
            ({"data": _one_shot}, KEYS),
        ):
            stage = theatre.stage(FaultPlan.script(faults.lose(), idempotency=mode))
            session = stage.session(idempotency=policy)
            made: dict[str, Any] = {n: v() if callable(v) else v for n, v in given.items()}
            stage.play(session, "POST", QUEUES, **made)
    stage = theatre.stage()
    stage.play(stage.session(idempotency=KEYS), "POST", "/redirect?to=/echo&status=303", data=b"x")


# What the application brings ---------------------------------------------------------------


def every_callback(theatre: Theatre) -> None:
    """Each callback raises in a call in which it is called."""

    def broken(_: object) -> None:
        raise LookupError("of the application")

    names = ("on_failure", "on_retry", "on_give_up", "on_call", "on_transition", "on_refresh")
    stage = theatre.stage(require_tokens=True)
    session = stage.session(
        token_source=stage.client_credentials(),
        callbacks=dict.fromkeys(names, broken),
        breaker={"consecutive_failures": 2},
        retry={"max_retries": 1},
    )
    stage.script(*[faults.answer(503)] * 2, path=QUEUES)
    stage.get(session, QUEUES)


def hooks(theatre: Theatre) -> None:
    def hook(*_: object, **__: object) -> None:
        raise LookupError("of the application")

    stage = theatre.stage()
    stage.get(stage.session(), hooks={"response": hook})


def observing(theatre: Theatre) -> None:
    """Observe mode: everything that would have been decided."""
    stage = theatre.stage()
    stage.script(faults.answer(429, retry_after=20), *[faults.answer(502)] * 2)
    session = stage.session(mode="observe", breaker={"consecutive_failures": 2})
    for _ in range(4):
        stage.get(session)
    stage = theatre.stage()
    stage.script(faults.daily_limit())
    stage.get(stage.session(mode="observe"))
    stage = theatre.stage(require_tokens=True)
    session = stage.session(mode="observe", token_source=stage.client_credentials())
    stage.get(session, QUEUES)
    stage.server.revoke_tokens()
    stage.get(session, QUEUES)
    plan = FaultPlan(maintenance=[Maintenance(name="seen", start=0, end=600)])
    stage = theatre.stage(plan)
    known = stage.server.maintenance_windows()
    session = stage.session(mode="observe", maintenance={"windows": known})
    theatre.clock.advance(1)
    stage.get(session)
    stage.get(session)


SCENES: tuple[Callable[[Theatre], None], ...] = (
    good_weather,
    retries,
    escalation,
    reasons_to_give_up,
    closing,
    closing_at_the_gate,
    gates,
    breaker_by_failures_in_a_row,
    breaker_by_rates,
    breaker_by_hand,
    windows,
    window_that_is_overrun,
    redirects,
    keys,
    callbacks,
    every_callback,
    hooks,
    observing,
)
