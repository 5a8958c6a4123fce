"""Stories in observe mode: nothing is done, and all that would have been is told (D18 and O1)."""

from __future__ import annotations

from narrative import Told
from stage import Stage, check, only

from weatherglass.testing import FaultPlan, Maintenance, faults

QUEUES = "/api/v2/routing/queues"


def test_retry_that_would_have_been() -> None:
    """D18: a retry that was not made is told on span and in metric."""
    with Stage() as stage:
        stage.script(faults.answer(503, retry_after=2))
        stage.get(stage.session(mode="observe"))
        story = only(check(stage))
        call = only(Told(stage.exported.spans(), []).calls())
    assert (len(story.attempts), story.observed) == (1, ("retry",))
    assert story.attempts[0].disposition == "ignored"
    assert call.attributes["weatherglass.mode"] == "observe"
    assert stage.clock.waits == []


def test_giving_up_that_would_have_been() -> None:
    """D18: a call that would have been given up tells so."""
    with Stage() as stage:
        stage.script(faults.daily_limit())
        stage.get(stage.session(mode="observe"))
        story = only(check(stage))
    assert story.observed == ("give_up",)


def test_gate_and_breaker_that_would_have_been() -> None:
    """D18: waits at the gate and refusals by the breaker are told, and not made."""
    with Stage() as stage:
        stage.script(faults.answer(429, retry_after=20), *[faults.answer(502)] * 2)
        session = stage.session(mode="observe", breaker={"consecutive_failures": 2})
        for _ in range(4):
            stage.get(session)
        stories = check(stage)
    assert [story.observed for story in stories] == [
        ("retry",),
        ("gate_wait", "retry"),
        ("gate_wait", "retry"),
        ("gate_wait", "breaker_refusal"),
    ]
    assert [story.attempts[-1].status for story in stories] == [429, 502, 502, 200]


def test_refresh_that_would_have_been() -> None:
    """D18, T4: a refresh after a 401 is told and not made."""
    with Stage(require_tokens=True) as stage:
        session = stage.session(mode="observe", token_source=stage.client_credentials())
        stage.get(session, QUEUES)
        stage.server.revoke_tokens()
        stage.get(session, QUEUES)
        story = check(stage)[-1]
        refreshes = len(Told(stage.exported.spans(), []).refreshes())
    assert (story.outcome, story.observed) == ("failed", ("refresh",))
    assert refreshes == 1


def test_maintenance_that_would_have_been() -> None:
    """D18, M3: in a window, the refusals that would have been are told."""
    plan = FaultPlan(maintenance=[Maintenance(name="cleaning", start=0, end=600)])
    with Stage(plan) as stage:
        windows = stage.server.maintenance_windows()
        session = stage.session(mode="observe", maintenance={"windows": windows})
        stage.get(session)
        stage.get(session)
        stories = check(stage)
    assert [story.observed for story in stories] == [
        ("give_up",),
        ("maintenance_refusal", "give_up"),
    ]
