"""The metrics that follow from stories: which series there must be, and what each must count.

Names are spelled out here, as in ``narrative``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from narrative import CallStory, Told, WaitStory

from weatherglass import CallReport
from weatherglass.origins import origin_of
from weatherglass.testing import MetricPoint, Span
from weatherglass.vocabulary import GiveUpReason

OBSERVED_AT_EXPORT = frozenset(
    {
        "weatherglass.breaker.status",
        "weatherglass.token.ttl",
        "weatherglass.budget.level",
        "weatherglass.ratelimit.remaining",
        "weatherglass.maintenance.active",
        "weatherglass.maintenance.time_to_start",
        "weatherglass.maintenance.time_to_end",
        "weatherglass.maintenance.feed.age",
    }
)
"""Metrics that tell how things are, and not what happened."""

UNMEASURED = "status-feed"
"""The policy of calls that count nowhere: those that read status pages (rule M2)."""

Series = tuple[str, frozenset[tuple[str, Any]]]


def counts_told(points: Sequence[MetricPoint]) -> dict[Series, int]:
    """What each series counted."""
    found: dict[Series, int] = {}
    for point in points:
        if point.name not in OBSERVED_AT_EXPORT:
            value = point.count if point.value is None else point.value
            found[point.name, frozenset(point.attributes.items())] = int(value or 0)
    return found


def counts_of_stories(
    told: Told, stories: Sequence[CallStory], raised: Iterable[str] = ()
) -> Counter[Series]:
    """What each series must count, given the stories of all calls in the order of their ends.

    ``raised`` are the callbacks that raised.
    """
    expected: Counter[Series] = Counter()
    errors = (
        ("weatherglass.callback.errors", {"weatherglass.callback": callback}) for callback in raised
    )
    for metric, labels in (*_expected_measurements(told, stories), *errors):
        present = {name: value for name, value in labels.items() if value is not None}
        expected[metric, frozenset(present.items())] += 1
    return expected


MOST_VALUES = 100
"""Of these labels, so many values are told apart in one process (rule O6)."""

_BOUNDED = {
    "weatherglass.failure.code": "_OTHER",
    "weatherglass.breaker.name": "_OTHER",
    "server.port": None,
}
"""What is told of the values that come later; nothing of a number."""


def bounded(expected: Mapping[Series, float], points: Sequence[MetricPoint]) -> dict[Series, float]:
    """What is expected, and added up, where there are more values than a label may have."""
    known: dict[str, set[Any]] = {}
    for name in _BOUNDED:
        told = {point.attributes[name] for point in points if name in point.attributes}
        if len(told - {"_OTHER"}) == MOST_VALUES:
            known[name] = told
    found: dict[Series, float] = {}
    for (metric, labels), value in expected.items():
        shown = {
            name: each if each in known.get(name, {each}) else _BOUNDED[name]
            for name, each in labels
        }
        series = metric, frozenset((name, each) for name, each in shown.items() if each is not None)
        found[series] = found.get(series, 0) + value
    return found


def check_sums(
    points: Sequence[MetricPoint], reports: Sequence[CallReport], stories: Sequence[CallStory]
) -> None:
    """The sums in the metrics are those of the stories, and the durations those of the reports.

    Calls to token endpoints have no report: what they took comes on top of the others. The
    stories are those of the calls that count.
    """
    for metric, total in (
        ("weatherglass.call.attempts", sum(len(story.attempts) for story in stories)),
        ("weatherglass.wait.duration", sum(story.waited for story in stories)),
    ):
        assert abs(_sum_of(points, metric) - total) < 1e-6, metric
    for metric, total in (
        ("weatherglass.call.duration", sum(report.duration for report in reports)),
        (
            "http.client.request.duration",
            sum(attempt.duration for report in reports for attempt in report.attempts),
        ),
    ):
        more = _sum_of(points, metric) - total
        assert more > -1e-6, metric
        assert more < 1e-6 or len(reports) < len(stories), metric


def _sum_of(points: Sequence[MetricPoint], metric: str) -> float:
    return sum(point.sum or 0.0 for point in points if point.name == metric)


def _expected_measurements(
    told: Told, stories: Sequence[CallStory]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for call, story in zip(told.calls(), stories, strict=True):
        if story.policy == UNMEASURED:
            continue
        yield from _call_measurements(call.attributes["server.address"], story)
        yield from _attempt_measurements(told, call, story)
    for _, event in told.events("weatherglass.breaker.transition"):
        yield "weatherglass.breaker.transitions", dict(event)
    for span in told.refreshes():
        yield "weatherglass.token.refresh.duration", dict(span.attributes)


def _call_measurements(address: str, story: CallStory) -> Iterator[tuple[str, dict[str, Any]]]:
    ended = {"server.address": address, "weatherglass.outcome": story.outcome}
    yield "weatherglass.call.duration", {**ended, "error.type": story.error_type}
    if story.attempts:
        yield "weatherglass.call.attempts", ended
    if story.give_up is not None:
        yield (
            "weatherglass.give_ups",
            {"server.address": address, "weatherglass.give_up.reason": story.give_up},
        )
    refused = story.give_up == GiveUpReason.MAINTENANCE and story.outcome == "refused"
    if story.give_up == GiveUpReason.CIRCUIT_OPEN or refused:
        url = story.attempts[-1].url if story.attempts else story.url
        yield "weatherglass.breaker.refusals", {"weatherglass.breaker.name": origin_of(url).name}
    if story.key_source is not None and story.attempts:
        sent = sum(attempt.method == story.method for attempt in story.attempts)
        yield (
            "weatherglass.idempotency.keys",
            {
                "server.address": address,
                "weatherglass.idempotency.key_source": story.key_source,
                "weatherglass.idempotency.key_reused": sent > 1,
            },
        )
    for decision in story.observed:
        yield (
            "weatherglass.observed_decisions",
            {"server.address": address, "weatherglass.decision": decision},
        )


def _attempt_measurements(
    told: Told, call: Span, story: CallStory
) -> Iterator[tuple[str, dict[str, Any]]]:
    spans = [span for span in told.children(call) if span.kind == "CLIENT"]
    for span, attempt in zip(spans, story.attempts, strict=True):
        given = span.attributes
        where = {"server.address": given["server.address"]}
        yield (
            "http.client.request.duration",
            {
                name: given.get(name)
                for name in (
                    "http.request.method",
                    "server.address",
                    "server.port",
                    "http.response.status_code",
                    "error.type",
                )
            },
        )
        kind = {"weatherglass.failure.kind": attempt.kind or "none"}
        inside = {"weatherglass.maintenance": attempt.maintenance is not None}
        yield "weatherglass.attempts", where | kind | inside
        if attempt.kind is None:
            continue
        detail = {
            "weatherglass.failure.code": attempt.code,
            "http.response.status_code": attempt.status,
        }
        yield "weatherglass.failures", where | kind | detail
        if attempt.delay is not None:
            reason = {"weatherglass.wait.reason": attempt.delay_source}
            yield "weatherglass.retries", where | kind | reason
        if attempt.variant is not None:
            said = {
                "weatherglass.retry_after.variant": attempt.variant,
                "weatherglass.retry_after.source": attempt.source,
                "weatherglass.retry_after.disposition": attempt.disposition,
            }
            yield "weatherglass.retry_after.headers", where | said
    yield from _wait_measurements(call, spans, story.waits)


def _wait_measurements(
    call: Span, attempts: Sequence[Span], waits: Iterable[WaitStory]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for wait in waits:
        address = call.attributes["server.address"]
        if attempts:
            # A wait is for the server that is asked next; after the last attempt, for its server.
            next_one = attempts[min(wait.before_attempt, len(attempts)) - 1]
            address = next_one.attributes["server.address"]
        yield (
            "weatherglass.wait.duration",
            {"server.address": address, "weatherglass.wait.reason": wait.reason},
        )
