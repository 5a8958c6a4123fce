"""Stories of breakers and maintenance windows (rules O1, O2, B and M)."""

from __future__ import annotations

import pytest
from narrative import CALL, Told
from stage import Stage, check, only

from weatherglass.testing import FaultPlan, Maintenance, faults

SOON = Maintenance(name="spring cleaning", start=100, end=700)


def test_breaker_opens_probes_and_closes() -> None:
    """O1, B2: a breaker's life is told: opened, refused, probed, reopened, probed, closed."""
    with Stage() as stage:
        stage.script(*[faults.answer(503)] * 4)
        session = stage.session(breaker={"consecutive_failures": 3}, retry={"max_retries": 0})
        for _ in range(4):
            stage.get(session)
        stage.clock.advance(70)
        stage.get(session)
        stage.get(session)
        stage.clock.advance(150)
        stage.get(session)
        stories = check(stage)
        events = [event for _, event in _told(stage).events("weatherglass.breaker.transition")]
        levels = {
            record.getMessage().split("breaker.state=")[1].split()[0]: record.levelname
            for record in stage.logs
            if record.getMessage().startswith("breaker changed")
        }
    moves = [
        (event["weatherglass.breaker.state"], event["weatherglass.breaker.cause"])
        for event in events
    ]
    assert moves == [
        ("open", "consecutive_failures"),
        ("half_open", "probe_due"),
        ("open", "probe_failed"),
        ("half_open", "probe_due"),
        ("closed", "probe_succeeded"),
    ]
    assert [story.outcome for story in stories] == [
        *["gave_up"] * 3,
        "refused",
        "gave_up",
        "refused",
        "success",
    ]
    assert levels == {"open": "WARNING", "half_open": "INFO", "closed": "INFO"}


def test_breaker_that_opens_in_mid_retry() -> None:
    """O1, B6: a call whose retry the breaker refuses tells so, and ends with its last answer."""
    with Stage() as stage:
        stage.script(*[faults.answer(503)] * 9)
        stage.get(stage.session(breaker={"consecutive_failures": 3}))
        story = only(check(stage))
    assert (len(story.attempts), story.give_up, story.exception) == (3, "circuit_open", None)


def test_warning_of_an_open_breaker() -> None:
    """O1: that a breaker opened is one warning, with everything in it; refusals are not."""
    with Stage() as stage:
        stage.script(*[faults.answer(503)] * 2)
        session = stage.session(breaker={"consecutive_failures": 2}, retry={"max_retries": 0})
        for _ in range(5):
            stage.get(session)
        check(stage)
        warned = [record for record in stage.logs if record.levelname == "WARNING"]
        opened = only(r for r in warned if r.getMessage().startswith("breaker changed state"))
        refused = [r for r in stage.logs if "outcome=refused" in r.getMessage()]
        name = stage.url
    assert opened.getMessage() == (
        f"breaker changed state: breaker.name={name} breaker.previous_state=closed"
        " breaker.state=open breaker.cause=consecutive_failures"
    )
    fields = vars(opened)
    assert fields["weatherglass.event"] == "weatherglass.breaker.transition"
    assert fields["weatherglass.breaker.state"] == "open"
    assert [record.levelname for record in refused] == ["INFO"] * 3


def test_transition_in_the_background() -> None:
    """O1, B8: a transition outside of any call is told in metric and log, having no span."""
    with Stage() as stage:
        session = stage.session()
        stage.get(session)
        session.adapter.live.breakers.force_open(stage.url)
        points = [
            p for p in stage.exported.points() if p.name == "weatherglass.breaker.transitions"
        ]
        events = _told(stage).events("weatherglass.breaker.transition")
        record = only(r for r in stage.logs if r.getMessage().startswith("breaker changed"))
    assert only(points).attributes["weatherglass.breaker.cause"] == "operator"
    assert events == []
    assert record.levelname == "WARNING"


def test_states_of_breakers_at_export() -> None:
    """O1: all states of a breaker are series of 0 and 1, of which one is 1."""
    with Stage() as stage:
        stage.script(*[faults.answer(503)] * 2)
        session = stage.session(breaker={"consecutive_failures": 2}, retry={"max_retries": 0})
        readings = []
        for _ in range(2):
            stage.get(session)
            readings.append(
                {
                    point.attributes["weatherglass.breaker.state"]: point.value
                    for point in stage.exported.points()
                    if point.name == "weatherglass.breaker.status"
                }
            )
    none = dict.fromkeys(("closed", "open", "half_open", "forced_open", "disabled"), 0)
    assert readings == [{**none, "closed": 1}, {**none, "open": 1}]


def _told(stage: Stage) -> Told:
    return Told(stage.exported.spans(), [])


def test_failing_fast_in_a_window() -> None:
    """O1, M3: in a window, the first failure, the refusals and the end are told with its name."""
    with Stage(FaultPlan(maintenance=[SOON])) as stage:
        windows = stage.server.maintenance_windows()
        session = stage.session(maintenance={"windows": windows})
        stage.get(session)
        stage.clock.advance(150)
        stage.get(session)
        stage.get(session)
        stage.clock.advance(600)
        stage.get(session)
        before, down, refused, after = check(stage)
        active = _maintenance_events(stage)
    assert (before.outcome, after.outcome) == ("success", "success")
    assert (down.outcome, down.give_up, down.maintenance) == (
        "gave_up",
        "maintenance",
        "spring cleaning",
    )
    assert down.attempts[0].maintenance == "spring cleaning"
    assert (refused.outcome, refused.kind, refused.maintenance) == (
        "refused",
        "maintenance",
        "spring cleaning",
    )
    assert refused.exception == "weatherglass.errors.MaintenanceInProgress"
    assert active == ["weatherglass.maintenance.started", "weatherglass.maintenance.ended"]


def _maintenance_events(stage: Stage) -> list[str]:
    return [
        event.name
        for span in stage.exported.spans()
        for event in span.events
        if event.name.startswith("weatherglass.maintenance")
    ]


def test_waiting_for_the_end_of_a_window() -> None:
    """O1, M3: a call that waits for a window's end tells of that wait."""
    with Stage(FaultPlan(maintenance=[SOON])) as stage:
        windows = stage.server.maintenance_windows()
        session = stage.session(maintenance={"windows": windows, "mode": "wait"})
        stage.clock.advance(150)
        stage.get(session)
        story = only(check(stage))
    assert story.outcome == "success"
    assert story.waits[0].reason == "maintenance"
    assert story.waits[0].planned > 500


def test_ignoring_a_window() -> None:
    """O1, M3: a policy that ignores windows tells a failure in one as any other."""
    with Stage(FaultPlan(maintenance=[SOON])) as stage:
        windows = stage.server.maintenance_windows()
        session = stage.session(maintenance={"windows": windows, "mode": "ignore"})
        stage.clock.advance(150)
        stage.get(session)
        story = only(check(stage))
    assert (story.outcome, story.maintenance) == ("gave_up", None)


def test_window_in_which_nothing_is_down() -> None:
    """O1, M4: a success in a window is labelled with it, and is a success."""
    plan = FaultPlan(maintenance=[Maintenance(name="quiet", start=0, end=99, down_from=99)])
    with Stage(plan) as stage:
        session = stage.session(maintenance={"windows": stage.server.maintenance_windows()})
        stage.get(session)
        story = only(check(stage))
        call = only(span for span in stage.exported.spans() if span.name == CALL)
    assert (story.outcome, story.attempts[0].maintenance) == ("success", "quiet")
    assert call.status == "UNSET"


@pytest.mark.parametrize(("at", "active"), [(0, 0), (150, 1), (800, 0)])
def test_windows_at_export(at: float, active: int) -> None:
    """O1, M4: a known window is a metric before, while and after it is in force."""
    with Stage(FaultPlan(maintenance=[SOON])) as stage:
        session = stage.session(maintenance={"windows": stage.server.maintenance_windows()})
        stage.clock.advance(at)
        points = [
            point
            for point in stage.exported.points()
            if point.name == "weatherglass.maintenance.active"
        ]
        session.close()
    assert [(point.value, dict(point.attributes)) for point in points] == [
        (
            active,
            {
                "weatherglass.maintenance.window": "spring cleaning",
                "server.address": "127.0.0.1",
            },
        )
    ]
