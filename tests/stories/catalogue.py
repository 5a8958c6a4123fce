"""Every fault of the fake server, and all else that can happen to calls, as scenes.

Each scene plays on stages of its own in a :class:`~theatre.Theatre`. That nothing is missing is
not believed: ``inventory`` counts what the scenes drove, and compares it with the closed sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import scenes_of_calls
import scenes_of_feeds
import scenes_of_limits
import scenes_of_network
import scenes_of_tokens
from theatre import Theatre

from weatherglass.testing import KNOWN_ERRORS, Action, BodyForm, Fault, Spelling, faults
from weatherglass.testing.bodies import USUAL_CODES
from weatherglass.vocabulary import RetryAfterVariant

Scene = Callable[[Theatre], None]

STEADY = {"consecutive_failures": 1_000_000, "failure_rate": None}
"""A breaker that does not open, for scenes that are about something else."""

OK = faults.answer(200, body="x" * 99)

CONSTRUCTORS: Mapping[str, tuple[Fault, ...]] = {
    "serve": (faults.serve(),),
    "answer": (
        faults.answer(503, after_execution=True),
        faults.answer(503, json={"code": "service.unavailable"}),
        faults.answer(503, code=""),
        faults.answer(503, body="busy"),
    ),
    "daily_limit": (faults.daily_limit(),),
    "token_rate_limited": (faults.token_rate_limited(),),
    "redirect": tuple(faults.redirect("/echo?again=1", s) for s in (301, 302, 303, 307, 308)),
    "raw": (faults.raw(b"rubbish\r\n\r\n"), faults.raw(b"")),
    "reset": (faults.reset(), faults.reset(after_execution=True)),
    "disconnect": (faults.disconnect(), faults.disconnect(after_execution=True)),
    "lose": (faults.lose(),),
    "cut": (faults.cut(), faults.cut(3, abrupt=True, of=OK), faults.cut(of=OK)),
    "drip": (faults.drip(1), faults.drip(1, 20, of=OK)),
    "delay": (
        faults.delay(3),
        faults.delay(3, after_execution=True),
        faults.delay(3, of=faults.answer(503)),
    ),
    "hold": (faults.hold("held"), faults.hold("held", of=OK)),
    "hang": (faults.hang(), faults.hang(after_execution=True)),
    "idle_close": (faults.idle_close(), faults.idle_close(of=faults.answer(503))),
    "revoke": (faults.revoke(), faults.revoke(of=faults.answer(503))),
}
"""Faults by the function that makes them, each in the forms that matter to a caller."""


def every_constructor(theatre: Theatre) -> None:
    """Each fault strikes a GET, which is then repeated, or not; and a POST, which may not be."""
    for made in CONSTRUCTORS.values():
        for fault in made:
            stage = theatre.stage()
            stage.script(fault, None, fault)
            session = stage.session(breaker=STEADY, retry={"max_retries": 1})
            silent = fault.action in (Action.HANG, Action.HOLD)
            timeout = 20, 0.1 if silent else 20
            stage.get(session, timeout=timeout)
            stage.play(session, "POST", "/echo", data=b"x", timeout=timeout)
            stage.server.release(fault.latch)


def every_known_error(theatre: Theatre) -> None:
    """Each status with each of its codes, in each spelling."""
    usual = tuple(USUAL_CODES.items())
    for spelling in Spelling:
        stage = theatre.stage()
        session = stage.session(
            breaker=STEADY, retry_budget={"capacity": 1000}, retry={"max_retries": 1}
        )
        for status, code in (*KNOWN_ERRORS, *usual):
            stage.script(faults.answer(status, code=code, spelling=spelling))
            stage.get(session)


def every_status(theatre: Theatre) -> None:
    """Each status that is an error, with the code that it has by default."""
    stage = theatre.stage()
    session = stage.session(breaker=STEADY, retry={"max_retries": 0})
    for status in range(400, 600):
        stage.script(faults.answer(status))
        stage.get(session)


def every_form_of_body(theatre: Theatre) -> None:
    """Errors whose bodies are in all states of repair."""
    stage = theatre.stage()
    session = stage.session(breaker=STEADY)
    for form in BodyForm:
        for status in (400, 500, 503):
            stage.script(faults.answer(status, form=form))
            stage.get(session)


def every_retry_after(theatre: Theatre) -> None:
    """Each form of Retry-After, under both statuses that have one."""
    for status in (429, 503):
        stage = theatre.stage()
        session = stage.session(breaker=STEADY, retry_budget={"capacity": 1000})
        for variant in RetryAfterVariant:
            stage.script(faults.answer(status, message="Busy.", retry_after=variant))
            stage.get(session)


def other_ways_to_say_when(theatre: Theatre) -> None:
    """Delays in other headers, in words, too short and too long."""
    stage = theatre.stage()
    session = stage.session(breaker=STEADY)
    for fault in (
        faults.answer(429, message="Busy.", headers={"RateLimit": '"default";r=0;t=7'}),
        faults.answer(429, message="Busy.", headers={"X-RateLimit-Reset": "7"}),
        faults.answer(429, message="Retry the request in [7] seconds"),
        faults.answer(503, retry_after=0.2),
        faults.answer(404, retry_after=3),
        faults.answer(503, retry_after=9_999),
    ):
        stage.script(fault)
        stage.get(session, deadline=100_000)


SCENES: tuple[Scene, ...] = (
    every_constructor,
    every_known_error,
    every_status,
    every_form_of_body,
    every_retry_after,
    other_ways_to_say_when,
    *scenes_of_network.SCENES,
    *scenes_of_tokens.SCENES,
    *scenes_of_calls.SCENES,
    *scenes_of_feeds.SCENES,
    *scenes_of_limits.SCENES,
)


def play(theatre: Theatre) -> None:
    """All scenes."""
    for scene in SCENES:
        scene(theatre)
