"""The events that follow from stories: on which span each must be, and with which attributes.

Names are spelled out here, as in ``narrative``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from narrative import CallStory, Told, one_event

from weatherglass.testing import Span

Attributes = Mapping[str, Any]


class Raised(NamedTuple):
    """What a callback of the application raised, and where."""

    callback: str
    error_type: str
    file: str
    line: int


class FeedFailure(NamedTuple):
    """A feed of maintenance windows that has begun to fail, and the type of its error."""

    feed: str
    error_type: str


class WindowEvent(NamedTuple):
    """A maintenance window that was found to have begun, or to be over."""

    event: str
    window: str
    address: str


def check_events_of_call(told: Told, call: Span, story: CallStory) -> None:
    """The events on a call's span and on those of its attempts, with all that they say."""
    attempts = [span for span in told.children(call) if span.kind == "CLIENT"]
    scheduled = []
    for number, (span, attempt) in enumerate(zip(attempts, story.attempts, strict=True), start=1):
        _check_received(span)
        _check_escalated(span)
        if attempt.delay is not None:
            scheduled.append(
                {
                    "server.address": span.attributes["server.address"],
                    "weatherglass.attempt.number": number,
                    "weatherglass.failure.kind": attempt.kind,
                    "weatherglass.wait.reason": attempt.delay_source,
                    "weatherglass.wait.planned": attempt.delay,
                }
            )
    assert [
        dict(event.attributes)
        for event in call.events
        if event.name == "weatherglass.retry.scheduled"
    ] == scheduled
    _check_given_up(call, story)


def _check_received(attempt: Span) -> None:
    event = one_event(attempt, "weatherglass.retry_after.received")
    if event is None:
        return
    alike = ("server.address", *(f"weatherglass.retry_after.{n}" for n in _SAID))
    for name in alike:
        assert event.get(name) == attempt.attributes.get(name), name
    assert "weatherglass.retry_after.disposition" in event


_SAID = ("variant", "source", "seconds")


def _check_escalated(attempt: Span) -> None:
    event = one_event(attempt, "weatherglass.auth.escalated")
    given = attempt.attributes
    if given.get("weatherglass.failure.kind") != "escalated":
        assert event is None
        return
    assert event is not None, "an escalation was not told of"
    names = ("server.address", "weatherglass.failure.code", "weatherglass.correlation_id")
    assert dict(event) == {name: given[name] for name in names if name in given}


def _check_given_up(call: Span, story: CallStory) -> None:
    event = one_event(call, "weatherglass.call.given_up")
    if event is None:
        return
    given = call.attributes
    alike = (
        "server.address",
        *(f"weatherglass.{n}" for n in ("outcome", "attempts", "waited")),
        "weatherglass.give_up.reason",
        "weatherglass.failure.kind",
    )
    assert dict(event) == {
        **{name: given[name] for name in alike},
        "http.request.method": told_method(story.method),
        "url.full": story.url,
    }


def told_method(method: str) -> str:
    """A method as it is told: upper-case, if it is a known one."""
    return method.upper() if method.upper() in _METHODS else "_OTHER"


_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)


def check_refresh_event(refresh: Span) -> None:
    """A refresh ends in one event, which says of it what its span does."""
    failed = refresh.status == "ERROR"
    assert ("error.type" in refresh.attributes) == failed
    events = [event for event in refresh.events if event.name.startswith("weatherglass.token.")]
    assert len(events) == 1, f"a refresh has ended {len(events)} times, not once"
    event = events[0]
    ending = "refresh_failed" if failed else "refreshed"
    assert event.name == f"weatherglass.token.{ending}"
    assert dict(event.attributes) == dict(refresh.attributes)


AFTER_THE_END = frozenset({"on_give_up", "on_call"})
"""Callbacks that are called when the call's span has ended: what they raise is logged only."""


def raised_on_spans(told: Told) -> Counter[Raised]:
    """What callbacks raised, as the spans tell it."""
    return Counter(
        Raised(
            event["weatherglass.callback"],
            event["error.type"],
            event["code.file.path"],
            event["code.line.number"],
        )
        for _, event in told.events("weatherglass.callback.failed")
    )


def check_raised(told: Told, raised: Iterable[Raised]) -> None:
    """Every callback that raised while there was a span is told of on it, with the place."""
    expected = Counter(each for each in raised if each.callback not in AFTER_THE_END)
    assert raised_on_spans(told) == expected


def check_windows(told: Told, windows: Mapping[WindowEvent, int]) -> None:
    """Every window that calls ran into is told to have begun, and to be over."""
    found = Counter(
        WindowEvent(
            event.name,
            event.attributes["weatherglass.maintenance.window"],
            event.attributes["server.address"],
        )
        for span in told.spans
        for event in span.events
        if event.name.startswith("weatherglass.maintenance.")
    )
    assert found == Counter(windows)


def check_links(told: Told) -> None:
    """Who waits for another thread's refresh is led to it; nothing else is linked."""
    refreshes = {(span.trace_id, span.span_id) for span in told.refreshes()}
    for span in told.spans:
        linked = [(link.trace_id, link.span_id) for link in span.links]
        waits = span.attributes.get("weatherglass.wait.reason") == "token"
        assert len(linked) == int(waits), f"{span.name} has {len(linked)} links"
        assert refreshes.issuperset(linked)


_MEASURED_IN: Mapping[str, Sequence[str]] = {
    "http.client.request.duration": ("attempt",),
    "weatherglass.call.duration": ("weatherglass.call",),
    "weatherglass.call.attempts": ("weatherglass.call",),
    "weatherglass.attempts": ("attempt",),
    "weatherglass.failures": ("attempt",),
    "weatherglass.retries": ("weatherglass.call",),
    "weatherglass.give_ups": ("weatherglass.call",),
    "weatherglass.wait.duration": ("weatherglass.wait",),
    "weatherglass.retry_after.headers": ("attempt",),
    "weatherglass.breaker.transitions": ("weatherglass.call", "attempt"),
    "weatherglass.breaker.refusals": ("weatherglass.call", "attempt"),
    "weatherglass.token.refresh.duration": ("weatherglass.token.refresh",),
    "weatherglass.idempotency.keys": ("weatherglass.call",),
    "weatherglass.observed_decisions": ("weatherglass.call",),
    "weatherglass.callback.errors": ("weatherglass.call", "attempt", "weatherglass.token.refresh"),
}
"""On which span each measurement is made: where an exemplar leads."""


def check_exemplars(told: Told, _asked: object = True) -> None:
    """Every series has an exemplar, and it leads to a span that was told and that it fits.

    Exemplars are given once, so this holds for the first export after a story in which every
    measurement was made inside of a call.
    """
    spans = {(span.trace_id, span.span_id): span for span in told.spans}
    for point in told.points:
        expected = _MEASURED_IN.get(point.name)
        if expected is None:
            continue
        if point.attributes.get("weatherglass.callback") in AFTER_THE_END:
            continue
        assert point.exemplars, f"{point.name} has a series without exemplar"
        for exemplar in point.exemplars:
            span = spans[exemplar.trace_id, exemplar.span_id]
            assert ("attempt" if span.kind == "CLIENT" else span.name) in expected, point.name
