"""Stories of status pages that are read beside the calls (rules M1, M2, M4 and O2)."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from narrative import CALL, Told
from stage import Stage, check, only

import weatherglass
from weatherglass.testing import FaultPlan, Maintenance, Span, faults

PAGES = "/api/v2/scheduled-maintenances/*"
PLAN = FaultPlan(maintenance=[Maintenance(name="announced", start=100, end=700)])


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(PLAN) as stage:
        yield stage


def listening(stage: Stage) -> weatherglass.Session:
    """A session that reads the page of the stage's server, whose host differs from the API's."""
    feed = weatherglass.StatusFeed(
        url=stage.server.other_url, name="page", hosts=("127.0.0.1",), ttl=86_400
    )
    return stage.session(maintenance={"feeds": (feed,)})


def is_reading(span: Span) -> bool:
    return bool(span.attributes["weatherglass.policy"] == "status-feed")


def told_in_metrics(stage: Stage) -> dict[tuple[str, tuple[object, ...]], float | None]:
    """Values, or counts, of all series."""
    return {
        (point.name, tuple(point.attributes.values())): (
            point.count if point.value is None else point.value
        )
        for point in stage.exported.points()
    }


def test_reading_in_the_background_is_a_story_of_its_own(stage: Stage) -> None:
    """M2, O2: what a call has read is in traces of their own, one call for each document."""
    session = listening(stage)
    stage.get(session)
    # It waits for whoever reads already, and reads after that.
    stage.read_feeds(session)
    check(stage)
    told = Told(stage.exported.spans(), ())
    ours, *readings = sorted(
        told.spans_named(CALL), key=lambda span: span.attributes["weatherglass.policy"]
    )

    assert ours.attributes["weatherglass.policy"] == "default"
    assert {span.attributes["weatherglass.policy"] for span in readings} == {"status-feed"}
    assert {span.attributes["server.address"] for span in readings} == {"localhost"}
    assert {span.parent_id for span in readings} == {None}
    assert len({span.trace_id for span in (ours, *readings)}) == 1 + len(readings)
    assert len(readings) == len(stage.server.ledger.requests(path=PAGES)) == 4


def test_what_a_page_announces_is_told_as_maintenance(stage: Stage) -> None:
    """M4: in a window that a page announces, failures and the window itself are labelled."""
    session = listening(stage)
    stage.read_feeds(session)
    stage.clock.advance(200)
    stage.get(session)
    story = only(each for each in check(stage) if each.policy == "default")
    points = {point.name: point for point in stage.exported.points()}

    assert (story.maintenance, story.give_up) == ("announced", "maintenance")
    assert [attempt.maintenance for attempt in story.attempts] == ["announced"]
    assert points["weatherglass.maintenance.active"].value == 1
    assert points["weatherglass.maintenance.time_to_end"].value == pytest.approx(500, abs=0.01)
    assert points["weatherglass.maintenance.feed.age"].value == 200


def test_a_page_that_fails_is_told_once_until_it_recovers(stage: Stage) -> None:
    """M2: the first failure is a warning, the next are the age's affair, and calls go on."""
    session = listening(stage)
    for plan in (None, None, PLAN, None):
        if plan is None:
            stage.script(*[faults.answer(404)] * 2, path=PAGES)
        else:
            stage.server.plan = plan
        stage.read_feeds(session)
    stage.get(session)
    session.close()
    check(stage)
    told = [
        (record.levelno, vars(record)["weatherglass.maintenance.feed"], vars(record)["error.type"])
        for record in stage.logs
        if vars(record).get("weatherglass.event") == "weatherglass.maintenance.feed_failed"
    ]

    assert told == [(logging.WARNING, "page", "404")] * 2
    assert stage.reports[0].succeeded


def test_a_page_that_is_down_changes_no_metric_but_its_age(stage: Stage) -> None:
    """M2, O1: its readings have spans, but are no calls to alerts and to shares of an origin."""
    stage.get(stage.session())
    before = told_in_metrics(stage)
    session = listening(stage)
    stage.script(*[faults.answer(503)] * 2, path=PAGES)
    assert stage.read_feeds(session)["page"].error == "503"
    session.close()
    check(stage)
    after = told_in_metrics(stage)
    told = Told(stage.exported.spans(), ())
    reading = only(span for span in told.spans_named(CALL) if is_reading(span))
    attempts = [span for span in told.children(reading) if span.kind == "CLIENT"]
    loud = [record for record in stage.logs if record.levelno >= logging.INFO]

    assert after == before | {("weatherglass.maintenance.feed.age", ("page",)): 0}
    assert reading.attributes["weatherglass.outcome"] == "gave_up"
    assert [span.attributes["server.address"] for span in attempts] == ["localhost"] * 2
    assert [vars(record)["weatherglass.event"] for record in loud] == [
        "weatherglass.maintenance.feed_failed"
    ]


def test_a_page_that_was_never_read_ages_from_the_first_try(stage: Stage) -> None:
    """M2: a feed that never worked is as old as the first try, so that an alert can find it."""
    session = listening(stage)
    stage.script(*[faults.answer(404)] * 4, path=PAGES)
    stage.read_feeds(session)
    session.close()
    stage.clock.advance(4000)
    check(stage)

    assert session.adapter.feed_ages() == {"page": 4000}
