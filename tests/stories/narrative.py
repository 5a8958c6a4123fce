"""Stories of calls: rebuilt from the spans that were exported, and from the reports (rule O2).

Both in the same form, so that they can be compared; that is done in ``retelling``. Names are
spelled out here, and not taken from the registry: this is the contract as its readers know it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from logging import LogRecord
from typing import Any

import weatherglass.testing
from weatherglass import CallFailed, CallReport
from weatherglass.origins import origin_of
from weatherglass.report import Attempt, Failure
from weatherglass.telemetry.redact import redact_text
from weatherglass.testing import MetricPoint, Span
from weatherglass.vocabulary import RetryAfterVariant

CALL = "weatherglass.call"
WAIT = "weatherglass.wait"
REFRESH = "weatherglass.token.refresh"


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
    raw: str | None
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
    message: str | None


@dataclass(frozen=True)
class Told:
    """Everything that was exported of some calls."""

    spans: Sequence[Span]
    points: Sequence[MetricPoint]
    logs: Sequence[LogRecord] | None = None
    records: Sequence[weatherglass.testing.LogRecord] | None = None
    """Events as OpenTelemetry's log records, if they were asked for."""

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
    given_up = one_event(call, "weatherglass.call.given_up")
    raised = one_event(call, "exception")
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
        message=None if raised is None else raised.get("exception.message"),
    )


def _retold_attempt(
    span: Span, scheduled: Mapping[str, Any] | None, breaker_state: str | None
) -> AttemptStory:
    given = span.attributes
    received = one_event(span, "weatherglass.retry_after.received")
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
        raw=(received or {}).get("weatherglass.retry_after.raw"),
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


def one_event(span: Span, name: str) -> Mapping[str, Any] | None:
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
        message=None if error is None else _message(report, error),
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
        raw=None if asked is None else asked.raw or None,
        disposition=None if asked is None else _spelled(attempt.disposition) or "ignored",
        delay=attempt.delay,
        delay_source=None if attempt.delay is None else _spelled(attempt.delay_source),
        breaker_state=_spelled(attempt.breaker_state),
        maintenance=attempt.maintenance,
    )


_OF_REFUSALS = frozenset({"circuit_open", "maintenance", "deadline", "closed"})


def _message(report: CallReport, error: BaseException) -> str | None:
    """What is told of an exception's message: the network's, and that of our own refusals."""
    failure, ours = report.failure, isinstance(error, CallFailed)
    if failure is None or not (failure.is_network or (ours and failure.kind in _OF_REFUSALS)):
        return None
    return redact_text(str(error))


def _error_type(failure: Failure) -> str:
    return failure.error_type or str(failure.status or failure.kind)


def _class_of(error: BaseException) -> str:
    cls = type(error)
    name = cls.__qualname__
    return name if cls.__module__ == "builtins" else f"{cls.__module__}.{name}"


def _spelled(word: Any) -> str | None:
    return None if word is None else str(word)
