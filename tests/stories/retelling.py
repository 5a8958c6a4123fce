"""The whole story of calls, told again from what was exported, and compared with the truth (O2).

There are two witnesses: the reports of the calls, and the server's ledger. Spans are rebuilt
into stories; these must equal the reports, each attempt must be the request that the ledger has
under its trace context, and the metrics and log records must be what follows from the stories.

It works on records as OTLP carries them, wherever they were received. Names are spelled out
here, and not taken from the registry: this is the contract as its readers know it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from logging import LogRecord
from typing import Any
from urllib.parse import urlsplit

from weatherglass import CallReport
from weatherglass.origins import origin_of
from weatherglass.report import Attempt, Failure
from weatherglass.testing import Entry, MetricPoint, Span
from weatherglass.vocabulary import GiveUpReason, RetryAfterVariant

CALL = "weatherglass.call"
WAIT = "weatherglass.wait"
REFRESH = "weatherglass.token.refresh"

OBSERVED_AT_EXPORT = frozenset(
    {
        "weatherglass.breaker.status",
        "weatherglass.token.ttl",
        "weatherglass.budget.level",
        "weatherglass.ratelimit.remaining",
        "weatherglass.maintenance.active",
        "weatherglass.maintenance.feed.age",
    }
)
"""Metrics that tell how things are, and not what happened."""

NEVER_ARRIVED = frozenset(
    {
        "dns",
        "connect_refused",
        "connect_timeout",
        "tls_handshake",
        "tls_certificate",
        "proxy",
        "invalid_call",
    }
)
"""Kinds of failures after which a server knows nothing of the attempt."""

NEVER_HEARD = frozenset({"read_timeout", "invalid_call"})
"""Kinds of failures after which a caller knows nothing of the answer, whatever it was."""


@dataclass(frozen=True)
class WaitStory:
    """One wait."""

    reason: str
    planned: float
    before_attempt: int


@dataclass(frozen=True)
class AttemptStory:
    """One request on the wire, and what was decided after it."""

    method: str
    url: str
    status: int | None
    resend_reason: str | None
    kind: str | None
    transient: bool | None
    code: str | None
    correlation_id: str | None
    error_type: str | None
    variant: str | None
    source: str | None
    seconds: float | None
    disposition: str | None
    delay: float | None
    delay_source: str | None
    breaker_state: str | None
    maintenance: str | None


@dataclass(frozen=True)
class CallStory:
    """One call."""

    method: str
    url: str
    policy: str
    outcome: str
    attempts: tuple[AttemptStory, ...]
    waits: tuple[WaitStory, ...]
    waited: float
    give_up: str | None
    kind: str | None
    error_type: str | None
    key_source: str | None
    replay: str | None
    observed: tuple[str, ...]
    maintenance: str | None
    exception: str | None


@dataclass(frozen=True)
class Told:
    """Everything that was exported of some calls."""

    spans: Sequence[Span]
    points: Sequence[MetricPoint]
    logs: Sequence[LogRecord] | None = None

    def calls(self) -> list[Span]:
        """The calls, in the order of their ends; nested ones come first."""
        return sorted(self.spans_named(CALL), key=lambda span: span.end_ns)

    def refreshes(self) -> list[Span]:
        return self.spans_named(REFRESH)

    def attempts(self) -> list[Span]:
        return [span for span in self.spans if span.kind == "CLIENT"]

    def children(self, parent: Span) -> list[Span]:
        """The direct children of a span, in the order of their start."""
        found = (each for each in self.spans if each.parent_id == parent.span_id)
        return sorted(found, key=lambda span: span.start_ns)

    def events(self, name: str | None = None) -> list[tuple[int, Mapping[str, Any]]]:
        """Moment and attributes of all events of this name, in their order."""
        found = (
            (event.time_ns, event.attributes)
            for span in self.spans
            for event in span.events
            if name is None or event.name == name
        )
        return sorted(found, key=lambda event: event[0])

    def spans_named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


def check_story(
    told: Told,
    memories: Sequence[tuple[CallReport, BaseException | None]],
    ledger: Sequence[Entry],
    *,
    transitions: Sequence[Any] | None = None,
    refreshes: Sequence[Any] | None = None,
    in_threads: bool = False,
) -> list[CallStory]:
    """Fail unless the telemetry tells what the reports and the ledger say, all of it and no more.

    ``memories`` are all reports, each with what its call raised, if anything; calls to token
    endpoints have none. ``transitions`` and ``refreshes`` are what the application's callbacks
    were given, if anybody listened. Returns the stories of all calls.

    ``in_threads`` says that calls ran beside each other: then a breaker may have moved between
    an attempt's permit and its span.
    """
    retold = [retell(told, call) for call in told.calls()]
    with_report = [story for story in retold if story.policy != "token-endpoint"]
    expected = [reported(report, error) for report, error in memories]
    if in_threads:
        with_report, expected = _without_states(with_report), _without_states(expected)
    _compare("stories", Counter(with_report), Counter(expected))
    reports = [report for report, _ in memories]
    for call in told.calls():
        _check_call(told, call)
    _check_ledger(told, ledger)
    _check_keys(reports, ledger)
    if transitions is not None:
        _check_transitions(told, transitions)
    if refreshes is not None:
        _check_refreshes(told, refreshes)
    _check_metrics(told, retold, reports)
    if told.logs is not None:
        _check_logs(told, told.logs)
    return retold


# From spans to stories ---------------------------------------------------------------------


def retell(told: Told, call: Span) -> CallStory:
    """The story of a call, from its spans alone."""
    given = call.attributes
    observed = tuple(given.get("weatherglass.observed", ()))
    spans = told.children(call)
    attempts = [span for span in spans if span.kind == "CLIENT"]
    delays = {
        event.attributes["weatherglass.attempt.number"]: event.attributes
        for event in call.events
        if event.name == "weatherglass.retry.scheduled"
    }
    stories = tuple(
        _retold_attempt(span, delays.pop(number, None), _breaker_state(told, span, observed))
        for number, span in enumerate(attempts, start=1)
    )
    assert not delays, "a retry was told of that belongs to no attempt"
    given_up = _one_event(call, "weatherglass.call.given_up")
    raised = _one_event(call, "exception")
    first = stories[0] if stories else None
    return CallStory(
        method=first.method if first else (given_up or {})["http.request.method"],
        url=first.url if first else (given_up or {})["url.full"],
        policy=given["weatherglass.policy"],
        outcome=given["weatherglass.outcome"],
        attempts=stories,
        waits=tuple(_retold_waits(spans)),
        waited=given["weatherglass.waited"],
        give_up=given.get("weatherglass.give_up.reason"),
        kind=given.get("weatherglass.failure.kind"),
        error_type=given.get("error.type"),
        key_source=given.get("weatherglass.idempotency.key_source"),
        replay=given.get("weatherglass.replay"),
        observed=observed,
        maintenance=given.get("weatherglass.maintenance.window"),
        exception=None if raised is None else raised["exception.type"],
    )


def _retold_attempt(
    span: Span, scheduled: Mapping[str, Any] | None, breaker_state: str | None
) -> AttemptStory:
    given = span.attributes
    received = _one_event(span, "weatherglass.retry_after.received")
    variant = given.get("weatherglass.retry_after.variant")
    disposition = (received or {}).get("weatherglass.retry_after.disposition")
    if variant == RetryAfterVariant.MISSING:
        # Nothing was said, so there is no event; and nothing can be made of it.
        assert received is None
        disposition = "ignored"
    elif variant is not None:
        assert received is not None
        assert received["weatherglass.retry_after.variant"] == variant
        assert (
            received["weatherglass.retry_after.source"] == given["weatherglass.retry_after.source"]
        )
    if scheduled is not None:
        assert scheduled["weatherglass.failure.kind"] == given["weatherglass.failure.kind"]
    return AttemptStory(
        method=given.get("http.request.method_original", given["http.request.method"]),
        url=given["url.full"],
        status=given.get("http.response.status_code"),
        resend_reason=given.get("weatherglass.resend.reason"),
        kind=given.get("weatherglass.failure.kind"),
        transient=given.get("weatherglass.failure.transient"),
        code=given.get("weatherglass.failure.code"),
        correlation_id=given.get("weatherglass.correlation_id"),
        error_type=given.get("error.type"),
        variant=variant,
        source=given.get("weatherglass.retry_after.source"),
        seconds=given.get("weatherglass.retry_after.seconds"),
        disposition=disposition,
        delay=None if scheduled is None else scheduled["weatherglass.wait.planned"],
        delay_source=None if scheduled is None else scheduled["weatherglass.wait.reason"],
        breaker_state=breaker_state,
        maintenance=given.get("weatherglass.maintenance.window"),
    )


def _breaker_state(told: Told, attempt: Span, observed: Sequence[str]) -> str | None:
    """The state of the origin's breaker as of the transitions before the attempt.

    ``None`` if the attempt was made though the breaker, which is only observed, refused it.
    """
    if "breaker_refusal" in observed or "maintenance_refusal" in observed:
        return None
    name, state = origin_of(attempt.attributes["url.full"]).name, "closed"
    for at, transition in told.events("weatherglass.breaker.transition"):
        if at <= attempt.start_ns and transition["weatherglass.breaker.name"] == name:
            state = transition["weatherglass.breaker.state"]
    return state


def _retold_waits(spans: Sequence[Span]) -> Iterator[WaitStory]:
    sent = 0
    for span in spans:
        if span.kind == "CLIENT":
            sent += 1
        elif span.name == WAIT:
            yield WaitStory(
                span.attributes["weatherglass.wait.reason"],
                span.attributes["weatherglass.wait.planned"],
                sent + 1,
            )


def _one_event(span: Span, name: str) -> Mapping[str, Any] | None:
    found = [event.attributes for event in span.events if event.name == name]
    assert len(found) <= 1, f"{name} was told {len(found)} times"
    return found[0] if found else None


# From reports to stories -------------------------------------------------------------------


def reported(report: CallReport, error: BaseException | None) -> CallStory:
    """The story of a call, from its report and what it raised."""
    failure = report.failure
    return CallStory(
        method=report.method,
        url=report.url,
        policy=report.policy,
        outcome=report.outcome.value,
        attempts=tuple(_reported_attempt(attempt) for attempt in report.attempts),
        waits=tuple(
            WaitStory(wait.reason.value, wait.planned, wait.before_attempt) for wait in report.waits
        ),
        waited=report.waited,
        give_up=_spelled(report.give_up_reason),
        kind=None if failure is None else failure.kind.value,
        error_type=None if failure is None else _error_type(failure),
        key_source=_spelled(report.idempotency_key_source),
        replay=_spelled(report.replay),
        observed=tuple(decision.value for decision in report.observed),
        maintenance=report.maintenance,
        exception=None if error is None else _class_of(error),
    )


def _reported_attempt(attempt: Attempt) -> AttemptStory:
    failure = attempt.failure
    asked = None if failure is None else failure.retry_after
    return AttemptStory(
        method=attempt.method,
        url=attempt.url,
        status=attempt.status,
        resend_reason=_spelled(attempt.resend_reason),
        kind=None if failure is None else failure.kind.value,
        transient=None if failure is None else failure.transient,
        code=None if failure is None else failure.code,
        correlation_id=None if failure is None else failure.correlation_id,
        error_type=None if failure is None else _error_type(failure),
        variant=None if asked is None else asked.variant.value,
        source=None if asked is None else asked.source.value,
        seconds=None if asked is None else asked.seconds,
        disposition=None if asked is None else _spelled(attempt.disposition) or "ignored",
        delay=attempt.delay,
        delay_source=None if attempt.delay is None else _spelled(attempt.delay_source),
        breaker_state=_spelled(attempt.breaker_state),
        maintenance=attempt.maintenance,
    )


def _error_type(failure: Failure) -> str:
    return failure.error_type or str(failure.status or failure.kind)


def _class_of(error: BaseException) -> str:
    cls = type(error)
    name = cls.__qualname__
    return name if cls.__module__ == "builtins" else f"{cls.__module__}.{name}"


def _without_states(stories: Sequence[CallStory]) -> list[CallStory]:
    return [
        replace(
            story,
            attempts=tuple(replace(attempt, breaker_state=None) for attempt in story.attempts),
        )
        for story in stories
    ]


def _spelled(word: Any) -> str | None:
    return None if word is None else str(word)


def _compare(what: str, told: Mapping[Any, int], expected: Mapping[Any, int]) -> None:
    """Both say the same, each thing as often; what differs is listed."""
    differing = [
        f"{told.get(each, 0)} told, {expected.get(each, 0)} expected: {each}"
        for each in sorted({*told, *expected}, key=repr)
        if told.get(each, 0) != expected.get(each, 0)
    ]
    assert not differing, "\n".join([f"{what} differ", *differing])


# What holds for each call ------------------------------------------------------------------


def _check_call(told: Told, call: Span) -> None:
    """The rules for kinds, names, parents, order, counts and statuses."""
    given, spans = call.attributes, told.children(call)
    attempts = [span for span in spans if span.kind == "CLIENT"]
    assert call.kind == "INTERNAL"
    assert {"server.address", "server.port", "weatherglass.policy"} <= given.keys()
    assert given["weatherglass.attempts"] == len(attempts)
    failed = given["weatherglass.outcome"] != "success"
    assert call.status == ("ERROR" if failed else "UNSET")
    assert ("error.type" in given) == failed
    assert ("weatherglass.failure.kind" in given) == failed
    given_up = _one_event(call, "weatherglass.call.given_up")
    assert (given_up or {}).get("weatherglass.give_up.reason") == given.get(
        "weatherglass.give_up.reason"
    )
    for number, attempt in enumerate(attempts):
        _check_attempt(attempt, number)
    _check_waterfall(call, spans)
    for span in spans:
        assert span.name != WAIT or span.status == "UNSET"
        for event in span.events:
            assert event.name != "exception", "a handled failure is no exception of the call"


def _check_attempt(attempt: Span, resends: int) -> None:
    given = attempt.attributes
    failed = "weatherglass.failure.kind" in given
    # The server's part of a URL, as the conventions want it on every CLIENT span.
    where = urlsplit(given["url.full"])
    assert (given["server.address"], given["server.port"]) == (
        where.hostname,
        where.port or {"http": 80, "https": 443}[where.scheme],
    )
    assert given.get("http.request.resend_count") == (resends or None)
    assert ("weatherglass.resend.reason" in given) == bool(resends)
    assert attempt.status == ("ERROR" if failed else "UNSET")
    assert ("error.type" in given) == failed
    status = given.get("http.response.status_code")
    if status is not None and status >= 400:
        assert given["error.type"] == str(status)
    assert ("network.protocol.version" in given) == (status is not None)
    name = given["http.request.method"]
    name = "HTTP" if name == "_OTHER" else name
    template = given.get("url.template")
    assert attempt.name == (f"{name} {template}" if template else name)


def _check_waterfall(call: Span, spans: Sequence[Span]) -> None:
    """One after the other, and all within the call."""
    at = call.start_ns
    for span in spans:
        assert span.trace_id == call.trace_id
        if span.kind == "CLIENT" or span.name in (WAIT, REFRESH):
            assert at <= span.start_ns <= span.end_ns
            at = span.end_ns
    assert at <= call.end_ns


# The server's side -------------------------------------------------------------------------


def traced_by(entry: Entry) -> tuple[str, str]:
    """Trace and span id of the request's one ``traceparent``, which must say "sampled"."""
    (value,) = [value for name, value in entry.headers if name.lower() == "traceparent"]
    version, trace_id, span_id, flags = value.split("-")
    assert version == "00"
    assert int(flags, 16) & 1
    return trace_id, span_id


def _check_ledger(told: Told, ledger: Sequence[Entry]) -> None:
    """Each request that the server saw is one attempt, and each attempt was seen if it arrived."""
    attempts = {(span.trace_id, span.span_id): span for span in told.attempts()}
    for entry in ledger:
        _check_entry(attempts.pop(traced_by(entry)), entry)
    for span in attempts.values():
        assert span.attributes["weatherglass.failure.kind"] in NEVER_ARRIVED


def _check_entry(span: Span, entry: Entry) -> None:
    given = span.attributes
    method = given.get("http.request.method_original", given["http.request.method"])
    assert (method, urlsplit(given["url.full"]).path) == (entry.method, entry.path)
    unheard = given.get("weatherglass.failure.kind") in NEVER_HEARD
    if entry.fault != "raw" and not unheard:
        assert given.get("http.response.status_code") == entry.status


def _check_keys(reports: Sequence[CallReport], ledger: Sequence[Entry]) -> None:
    """The keys that the server received are those of the reports."""
    received = {entry.idempotency_key for entry in ledger} - {None}
    assert received <= {report.idempotency_key for report in reports}


def _check_transitions(told: Told, transitions: Sequence[Any]) -> None:
    """Breakers moved as the application was told."""
    assert [
        (
            event["weatherglass.breaker.name"],
            event["weatherglass.breaker.previous_state"],
            event["weatherglass.breaker.state"],
            event["weatherglass.breaker.cause"],
        )
        for _, event in told.events("weatherglass.breaker.transition")
    ] == [(t.name, t.previous.value, t.state.value, t.cause.value) for t in transitions]


def _check_refreshes(told: Told, refreshes: Sequence[Any]) -> None:
    """Tokens were refreshed as the application was told, and each ended in one event."""
    spans = sorted(told.refreshes(), key=lambda span: span.end_ns)
    assert [
        (
            span.attributes["weatherglass.token.source"],
            span.attributes["weatherglass.token.reason"],
            span.status == "UNSET",
        )
        for span in spans
    ] == [(report.source, report.reason.value, report.succeeded) for report in refreshes]
    for span in spans:
        failed = span.status == "ERROR"
        assert ("error.type" in span.attributes) == failed
        (event,) = [each for each in span.events if "token" in each.name]
        ending = "refresh_failed" if failed else "refreshed"
        assert event.name == f"weatherglass.token.{ending}"
        assert event.attributes.get("error.type") == span.attributes.get("error.type")


# Metrics -----------------------------------------------------------------------------------

Series = tuple[str, frozenset[tuple[str, Any]]]


def _check_metrics(told: Told, stories: Sequence[CallStory], reports: Sequence[CallReport]) -> None:
    """Every series that must be there is, with the count that it must have, and no other is."""
    expected: Counter[Series] = Counter()
    for metric, labels in _expected_measurements(told, stories):
        present = {name: value for name, value in labels.items() if value is not None}
        expected[metric, frozenset(present.items())] += 1
    found: dict[Series, int] = {}
    for point in told.points:
        if point.name not in OBSERVED_AT_EXPORT:
            value = point.count if point.value is None else point.value
            found[point.name, frozenset(point.attributes.items())] = int(value or 0)
    _compare("series", found, expected)
    if len(reports) == len(stories):
        _check_sums(told.points, reports)


def _check_sums(points: Sequence[MetricPoint], reports: Sequence[CallReport]) -> None:
    """The durations in the metrics are those of the reports."""
    for metric, total in (
        ("weatherglass.call.duration", sum(report.duration for report in reports)),
        ("weatherglass.call.attempts", sum(len(report.attempts) for report in reports)),
        ("weatherglass.wait.duration", sum(report.waited for report in reports)),
        (
            "http.client.request.duration",
            sum(attempt.duration for report in reports for attempt in report.attempts),
        ),
    ):
        found = sum(point.sum or 0.0 for point in points if point.name == metric)
        assert abs(found - total) < 1e-6, metric


def _expected_measurements(
    told: Told, stories: Sequence[CallStory]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for call, story in zip(told.calls(), stories, strict=True):
        yield from _call_measurements(call.attributes["server.address"], story)
        yield from _attempt_measurements(told, call, story)
    for _, event in told.events("weatherglass.breaker.transition"):
        yield "weatherglass.breaker.transitions", dict(event)
    for span in told.refreshes():
        yield "weatherglass.token.refresh.duration", dict(span.attributes)
    for _, event in told.events("weatherglass.callback.failed"):
        yield (
            "weatherglass.callback.errors",
            {"weatherglass.callback": event["weatherglass.callback"]},
        )


def _call_measurements(address: str, story: CallStory) -> Iterator[tuple[str, dict[str, Any]]]:
    ended = {"server.address": address, "weatherglass.outcome": story.outcome}
    yield "weatherglass.call.duration", {**ended, "error.type": story.error_type}
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


# Log records -------------------------------------------------------------------------------

_SPAN_ONLY = "weatherglass.retry_after.raw"


def _check_logs(told: Told, logs: Sequence[LogRecord]) -> None:
    """Each event on a span is a log record too, with the same attributes but the raw value."""
    on_spans = Counter(
        _event_of(event.name, event.attributes) for span in told.spans for event in span.events
    )
    logged = Counter(
        _event_of(str(fields["weatherglass.event"]), fields)
        for record in logs
        if "weatherglass.event" in (fields := vars(record))
    )
    _compare("log records", logged, on_spans)


def _event_of(name: str, fields: Mapping[str, Any]) -> tuple[str, frozenset[tuple[str, Any]]]:
    return name, frozenset(
        (key, value)
        for key, value in fields.items()
        if "." in key and key not in (_SPAN_ONLY, "weatherglass.event")
    )
