"""The spans of calls, attempts and waits."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, TraceFlags
from requests.exceptions import ConnectionError as RequestsConnectionError
from telemetry_harness import HOST, URL, Harness, asked, attempt, failure, given_up, report

from weatherglass.telemetry import Recorder
from weatherglass.vocabulary import (
    GiveUpReason,
    KeySource,
    Kind,
    ObservedDecision,
    Outcome,
    Replay,
    ResendReason,
    WaitReason,
)


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def test_success_makes_two_spans(harness: Harness) -> None:
    """O3: a successful first attempt is an INTERNAL call span with one CLIENT span in it."""
    harness.tell(report(attempt()))

    client, call = harness.spans()
    assert (call.name, call.kind) == ("weatherglass.call", SpanKind.INTERNAL)
    assert (client.name, client.kind) == ("GET", SpanKind.CLIENT)
    assert parent_of(client) == id_of(call)
    assert dict(call.attributes or {}) == {
        "server.address": HOST,
        "server.port": 443,
        "weatherglass.policy": "default",
        "weatherglass.outcome": "success",
        "weatherglass.attempts": 1,
        "weatherglass.waited": 0.0,
    }
    assert dict(client.attributes or {}) == {
        "http.request.method": "GET",
        "server.address": HOST,
        "server.port": 443,
        "url.full": URL,
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }
    assert {span.status.status_code for span in (call, client)} == {StatusCode.UNSET}
    assert not call.events
    assert not client.events


def test_scope_is_the_package(harness: Harness) -> None:
    """O3: spans say which package made them, and by which conventions."""
    harness.tell(report(attempt()))

    scope = harness.spans()[0].instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.schema_url) == (
        "weatherglass",
        "https://opentelemetry.io/schemas/1.44.0",
    )
    assert scope.version


def test_samplers_see_what_the_conventions_want_them_to(harness: Harness) -> None:
    """O3: the attributes that the conventions want at creation are there at creation."""
    call = harness.call()
    scope = harness.start(call)

    assert scope.span is not None
    assert isinstance(scope.span, ReadableSpan)
    assert set(scope.span.attributes or {}) == {
        "http.request.method",
        "server.address",
        "server.port",
        "url.full",
    }


def test_every_attempt_has_a_span(harness: Harness) -> None:
    """O3: resends are counted from the second send on, and say why they happen."""
    first = attempt(1, failure=failure(Kind.UNAUTHORIZED, 401))
    second = attempt(2, failure=failure(), resend_reason=ResendReason.REAUTH)
    third = attempt(3, resend_reason=ResendReason.RETRY)
    harness.tell(report(first, second, third))

    attributes: list[Any] = [span.attributes for span in harness.spans("GET")]
    assert [a.get("http.request.resend_count") for a in attributes] == [None, 1, 2]
    assert [a.get("weatherglass.resend.reason") for a in attributes] == [None, "reauth", "retry"]


def test_failed_attempt_tells_what_was_found(harness: Harness) -> None:
    """C1, O1: the classification stands on the span of the attempt."""
    found = failure(
        Kind.RATE_LIMITED,
        429,
        code="too.many.requests",
        correlation_id="0f5e-2a",
        retry_after=asked(),
        message="a secret",
    )
    harness.tell(report(attempt(1, failure=found), outcome=Outcome.FAILED, failure=found))

    span = harness.span("GET")
    told = {k: v for k, v in (span.attributes or {}).items() if k != "url.full"}
    assert told == {
        "http.request.method": "GET",
        "server.address": HOST,
        "server.port": 443,
        "http.response.status_code": 429,
        "network.protocol.version": "1.1",
        "error.type": "429",
        "weatherglass.failure.kind": "rate_limited",
        "weatherglass.failure.transient": True,
        "weatherglass.failure.code": "too.many.requests",
        "weatherglass.correlation_id": "0f5e-2a",
        "weatherglass.retry_after.variant": "delta_seconds",
        "weatherglass.retry_after.source": "retry_after",
        "weatherglass.retry_after.seconds": 7.0,
    }
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None


def test_failed_call_tells_why(harness: Harness) -> None:
    """R2, O1: a call that gave up names outcome, reason, kind and error on its span."""
    harness.tell(given_up())

    span = harness.span("weatherglass.call")
    assert span.attributes is not None
    assert {k: v for k, v in span.attributes.items() if not k.startswith("server.")} == {
        "weatherglass.policy": "default",
        "weatherglass.outcome": "gave_up",
        "weatherglass.attempts": 2,
        "weatherglass.waited": 0,
        "weatherglass.give_up.reason": "retries_exhausted",
        "weatherglass.failure.kind": "unavailable",
        "error.type": "503",
    }
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "retries_exhausted"


def test_call_saved_by_a_retry_has_not_failed(harness: Harness) -> None:
    """O1: a call that succeeded in the end has neither error nor status ERROR."""
    harness.tell(report(attempt(1, failure=failure(), delay=1.0), attempt(2)))

    span = harness.span("weatherglass.call")
    assert span.attributes is not None
    assert span.attributes["weatherglass.attempts"] == 2
    assert "error.type" not in span.attributes
    assert span.status.status_code is StatusCode.UNSET


def test_rarer_findings_stand_on_the_call(harness: Harness) -> None:
    """I3, I5, M4, D18: key source, replay, window and observed decisions are on the call's span."""
    harness.tell(
        report(
            attempt(),
            idempotency_key_source=KeySource.DETERMINISTIC,
            replay=Replay.AMBIGUOUS,
            maintenance="upgrade",
            observed=(ObservedDecision.RETRY, ObservedDecision.GIVE_UP),
        ),
        observing=True,
    )

    attributes = harness.span("weatherglass.call").attributes or {}
    assert attributes["weatherglass.idempotency.key_source"] == "deterministic"
    assert attributes["weatherglass.replay"] == "ambiguous_replay"
    assert attributes["weatherglass.maintenance.window"] == "upgrade"
    assert attributes["weatherglass.observed"] == ("retry", "give_up")
    assert attributes["weatherglass.mode"] == "observe"


@pytest.mark.parametrize(
    ("method", "name", "told", "original"),
    [
        ("GET", "GET", "GET", None),
        ("QUERY", "QUERY", "QUERY", None),
        ("get", "GET", "GET", "get"),
        ("PROPFIND", "HTTP", "_OTHER", "PROPFIND"),
    ],
)
def test_methods_are_the_known_ones(
    harness: Harness, method: str, name: str, told: str, original: str | None
) -> None:
    """O3, O6: an unknown method is ``_OTHER`` everywhere; its original is on the span alone."""
    harness.tell(report(attempt(method=method)))

    attributes = harness.span(name).attributes or {}
    assert attributes["http.request.method"] == told
    assert attributes.get("http.request.method_original") == original
    ((_, labels, _),) = harness.points("http.client.request.duration")
    assert labels["http.request.method"] == told


def test_route_names_the_span_if_it_is_given(harness: Harness) -> None:
    """O6: a route is told only where the caller gave one."""
    call = harness.call()
    scope = harness.start(call, url_template="/queues/{id}")
    harness.recorder.end_attempt(scope, attempt())

    span = harness.span("GET /queues/{id}")
    assert (span.attributes or {})["url.template"] == "/queues/{id}"


def test_secrets_in_urls_are_not_told(harness: Harness) -> None:
    """O7: ``url.full`` has neither credentials nor secret parameters."""
    harness.tell(report(attempt(url="https://ann:s3cr3t@h/a?token=s3cr3t&b=c")))

    attributes = harness.span("GET").attributes or {}
    assert attributes["url.full"] == "https://REDACTED:REDACTED@h/a?token=REDACTED&b=c"


def test_each_attempt_sends_its_own_context(harness: Harness) -> None:
    """O5: the ``traceparent`` of an attempt is that attempt's span, on a resend too."""
    headers: dict[str, str] = {}
    call = harness.call()
    for number in (1, 2):
        scope = harness.start(call, headers=headers)
        harness.recorder.end_attempt(scope, attempt(number))
        sent = int(headers["traceparent"].split("-")[2], 16)
        assert sent == id_of(harness.spans("GET")[-1])
    harness.recorder.end_call(call, report(attempt(1), attempt(2)))


def test_spans_are_current_while_they_last(harness: Harness) -> None:
    """O1: what the application logs during a call belongs to the call's span, and to none after."""
    before = trace.get_current_span()
    call = harness.call()
    assert trace.get_current_span() is call.span
    scope = harness.start(call)
    assert trace.get_current_span() is scope.span
    harness.recorder.end_attempt(scope, attempt())
    assert trace.get_current_span() is call.span
    harness.recorder.end_call(call, report(attempt()))
    assert trace.get_current_span() is before


def test_exception_is_told_once_and_redacted(harness: Harness) -> None:
    """O7: the exception that a call ends with is one event, without stack trace and secrets."""
    found = failure(Kind.CONNECTION_RESET, None, error_type="ConnectionError")
    tried = attempt(1, failure=found, status=None)
    error = RequestsConnectionError("url: /a?access_token=s3cr3t (Caused by reset)")
    harness.tell(report(tried, outcome=Outcome.FAILED, failure=found), error)

    span = harness.span("weatherglass.call")
    assert [(event.name, dict(event.attributes or {})) for event in span.events] == [
        (
            "exception",
            {
                "exception.type": "requests.exceptions.ConnectionError",
                "exception.message": "url: /a?REDACTED (Caused by reset)",
            },
        )
    ]
    assert not harness.span("GET").events
    assert (harness.span("GET").attributes or {})["error.type"] == "ConnectionError"
    assert "http.response.status_code" not in (harness.span("GET").attributes or {})


def test_wait_is_a_span_and_a_measurement(harness: Harness) -> None:
    """O1: a wait is told with its reason, the plan, and how long it was by the runtime's clock."""
    call = harness.call()
    with harness.recorder.waiting(call, WaitReason.GATE, 5.0):
        harness.clock.now += 4.5

    span = harness.span("weatherglass.wait")
    assert dict(span.attributes or {}) == {
        "weatherglass.wait.reason": "gate",
        "weatherglass.wait.planned": 5.0,
    }
    assert span.parent is not None
    assert call.span is not None
    assert span.parent.span_id == call.span.get_span_context().span_id
    ((_, labels, point),) = harness.points("weatherglass.wait.duration")
    assert labels == {"server.address": HOST, "weatherglass.wait.reason": "gate"}
    assert point.sum == 4.5


def test_wait_takes_the_measure_of_whoever_waits(harness: Harness) -> None:
    """D7: report and metrics tell the same duration of a wait."""
    with harness.recorder.waiting(harness.call(), WaitReason.BACKOFF, 5.0) as wait:
        wait.actual = 2.0

    ((_, _, point),) = harness.points("weatherglass.wait.duration")
    assert point.sum == 2.0


def test_waiting_without_a_scope_belongs_to_the_current_call(harness: Harness) -> None:
    """O1: a wait deep inside of a call finds the call by itself."""
    call = harness.call()
    with harness.recorder.waiting(None, WaitReason.TOKEN, 5.0):
        pass

    assert call.span is not None
    parent = harness.span("weatherglass.wait").parent
    assert parent is not None
    assert parent.span_id == call.span.get_span_context().span_id
    ((_, labels, _),) = harness.points("weatherglass.wait.duration")
    assert labels["server.address"] == HOST


def test_unsampled_calls_keep_their_metrics() -> None:
    """O2: what is not sampled has no spans, but the same metrics, and says so on the wire."""
    harness = Harness(sampler=ALWAYS_OFF)
    headers: dict[str, str] = {}
    call = harness.call()
    harness.recorder.end_attempt(harness.start(call, headers=headers), attempt())
    harness.recorder.end_call(call, given_up())

    assert harness.spans() == []
    assert int(headers["traceparent"].rpartition("-")[2], 16) & TraceFlags.SAMPLED == 0
    assert len({name for name, _, _ in harness.points()}) == 5


def test_refused_call_has_no_attempts(harness: Harness) -> None:
    """B6, O1: a call that was refused is one span, with no attempt in it."""
    refused = report(
        outcome=Outcome.REFUSED,
        failure=failure(Kind.CIRCUIT_OPEN, None),
        give_up_reason=GiveUpReason.CIRCUIT_OPEN,
    )
    harness.tell(refused)

    (span,) = harness.spans()
    assert (span.attributes or {})["weatherglass.attempts"] == 0
    assert (span.attributes or {})["error.type"] == "circuit_open"


def test_recorder_pickles_without_its_providers(harness: Harness) -> None:
    """D13: a recorder survives pickling; providers do not travel."""
    copied = pickle.loads(pickle.dumps(harness.another(events="none")))  # noqa: S301 - our own

    assert isinstance(copied, Recorder)
    call = copied.enter_call(HOST, 443, "default")
    copied.end_call(call, report(attempt()))
    assert harness.spans() == []
