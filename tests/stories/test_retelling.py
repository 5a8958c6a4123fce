"""The comparison itself: whatever is left out, added or altered in what was told, it notices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from narrative import CALL, WAIT, Told
from occurrences import FeedFailure
from retelling import check_story
from stage import Stage

from weatherglass.testing import Entry, MetricPoint, Span, faults

Memories = list[Any]
Evidence = tuple[Told, Memories, list[Entry]]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """A call with a retry after a delay, one that gives up, and all that is known of them."""
    with Stage() as stage:
        session = stage.session(raise_failures=True, retry={"max_retries": 1})
        stage.script(faults.answer(503, retry_after=2), None, *[faults.answer(502)] * 2)
        stage.get(session)
        stage.get(session)
        told = Told(stage.exported.spans(), stage.exported.points(), list(stage.logs))
        return told, list(stage.memories), list(stage.server.ledger.requests())


def test_truth_is_believed(evidence: Evidence) -> None:
    """O2: the whole truth passes."""
    assert len(check_story(*evidence)) == 2


def altered(told: Told, chosen: Callable[[Span], bool], **changes: Any) -> Told:
    """The first span that was chosen, with some fields changed."""
    index = next(index for index, span in enumerate(told.spans) if chosen(span))
    spans = list(told.spans)
    spans[index] = replace(spans[index], **changes)
    return replace(told, spans=spans)


def with_attribute(told: Told, chosen: Callable[[Span], bool], name: str, value: Any) -> Told:
    span = next(span for span in told.spans if chosen(span))
    return altered(told, chosen, attributes={**span.attributes, name: value})


def _is_attempt(span: Span) -> bool:
    return span.kind == "CLIENT"


def _is_failed_attempt(span: Span) -> bool:
    return _is_attempt(span) and span.status == "ERROR"


def _is_call(span: Span) -> bool:
    return span.name == CALL


def _is_wait(span: Span) -> bool:
    return span.name == WAIT


def _is_given_up(span: Span) -> bool:
    return _is_call(span) and span.status == "ERROR"


def without(told: Told, chosen: Callable[[Span], bool]) -> Told:
    span = next(span for span in told.spans if chosen(span))
    return replace(told, spans=[each for each in told.spans if each is not span])


def other_point(told: Told, name: str, **changes: Any) -> Told:
    index = next(index for index, point in enumerate(told.points) if point.name == name)
    points: list[MetricPoint] = list(told.points)
    points[index] = replace(points[index], **changes)
    return replace(told, points=points)


LIES: dict[str, Callable[[Told], Told]] = {
    "no attempt": lambda told: without(told, _is_attempt),
    "no wait": lambda told: without(told, _is_wait),
    "no call": lambda told: without(told, _is_call),
    "status": lambda told: with_attribute(told, _is_attempt, "http.response.status_code", 504),
    "kind": lambda told: with_attribute(
        told, _is_failed_attempt, "weatherglass.failure.kind", "conflict"
    ),
    "error type": lambda told: with_attribute(told, _is_failed_attempt, "error.type", "500"),
    "resends": lambda told: with_attribute(told, _is_attempt, "http.request.resend_count", 1),
    "planned": lambda told: with_attribute(told, _is_wait, "weatherglass.wait.planned", 9.0),
    "waited": lambda told: with_attribute(told, _is_call, "weatherglass.waited", 9.0),
    "outcome": lambda told: with_attribute(told, _is_call, "weatherglass.outcome", "failed"),
    "attempts": lambda told: with_attribute(told, _is_call, "weatherglass.attempts", 1),
    "good status": lambda told: altered(told, _is_given_up, status="UNSET"),
    "bad status": lambda told: altered(told, _is_wait, status="ERROR"),
    "other id": lambda told: altered(told, _is_attempt, span_id="0" * 16),
    "no events": lambda told: altered(told, _is_call, events=()),
    "no delay": lambda told: altered(told, _is_failed_attempt, events=()),
    "early": lambda told: altered(told, _is_wait, start_ns=1),
    "no points": lambda told: replace(told, points=()),
    "no point": lambda told: replace(told, points=told.points[1:]),
    "count": lambda told: other_point(told, "weatherglass.retries", value=7),
    "label": lambda told: other_point(told, "weatherglass.give_ups", attributes={}),
    "sum": lambda told: other_point(told, "weatherglass.wait.duration", sum=99.0),
    "no logs": lambda told: replace(told, logs=[]),
    "log twice": lambda told: replace(told, logs=[*(told.logs or ()), *(told.logs or ())]),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_noticed(evidence: Evidence, lie: str) -> None:
    """O2: what differs from report and ledger, or from the rest of what was told, fails."""
    told, memories, ledger = evidence
    with pytest.raises((AssertionError, KeyError, TypeError)):
        check_story(LIES[lie](told), memories, ledger)


def test_other_witnesses_are_heard(evidence: Evidence) -> None:
    """O2: a report, request or feed that nothing was told of fails, and so does one too few."""
    told, memories, ledger = evidence
    for other in (memories[1:], [*memories, memories[0]]):
        with pytest.raises(AssertionError):
            check_story(told, other, ledger)
    for seen in (ledger[1:], [*ledger, ledger[0]]):
        with pytest.raises((AssertionError, KeyError)):
            check_story(told, memories, seen)
    with pytest.raises(AssertionError):
        check_story(told, memories, ledger, feed_failures=[FeedFailure("page", "404")])
