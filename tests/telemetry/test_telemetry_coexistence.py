"""Calls inside of other instrumentations, of each other, and of exporters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import context as context_api
from opentelemetry.context import get_current
from opentelemetry.instrumentation.utils import (
    is_http_instrumentation_enabled,
    is_instrumentation_enabled,
    suppress_http_instrumentation,
    suppress_instrumentation,
)
from opentelemetry.trace import SpanKind
from telemetry_harness import Harness, attempt, failure, given_up, report

from weatherglass.telemetry import coexistence
from weatherglass.vocabulary import Kind, TokenReason, WaitReason


@contextmanager
def outer_client_span(harness: Harness) -> Iterator[None]:
    """What the official requests instrumentation puts around a call."""
    tracer = harness.tracer_provider.get_tracer("other")
    with (
        tracer.start_as_current_span("OTHER", kind=SpanKind.CLIENT),
        suppress_http_instrumentation(),
    ):
        yield


def test_keys_are_those_of_the_instrumentations() -> None:
    """O5: the keys are the objects that OpenTelemetry's instrumentations look for."""
    assert coexistence.HTTP_KEY == context_api._SUPPRESS_HTTP_INSTRUMENTATION_KEY
    assert coexistence._ALL_KEY == context_api._SUPPRESS_INSTRUMENTATION_KEY


def test_others_are_silent_while_an_attempt_lasts(harness: Harness) -> None:
    """O5: HTTP instrumentations are suppressed around the request, others are not."""
    call = harness.call()
    assert is_http_instrumentation_enabled()
    scope = harness.start(call)
    assert not is_http_instrumentation_enabled()
    assert is_instrumentation_enabled()
    harness.recorder.end_attempt(scope, attempt())
    assert is_http_instrumentation_enabled()
    harness.recorder.end_call(call, report(attempt()))


def test_guarded_call_silences_others_all_along(harness: Harness) -> None:
    """O5: around ``Session.send`` they are suppressed from the beginning to the end."""
    call = harness.call(guarded=True)
    assert not is_http_instrumentation_enabled()
    harness.recorder.end_attempt(harness.start(call), attempt())
    assert not is_http_instrumentation_enabled()
    harness.recorder.end_call(call, report(attempt()))
    assert is_http_instrumentation_enabled()


@pytest.mark.parametrize("guarded", [True, False])
def test_code_of_the_application_is_seen_again(harness: Harness, guarded: bool) -> None:
    """O5, R6: a callback's own HTTP calls are instrumented, in the span that is current."""
    call = harness.call(guarded=guarded)
    with harness.recorder.user_code(harness.recorder.ambient()):
        assert is_http_instrumentation_enabled()
        assert coexistence.span_of(get_current()) is call.span
    assert is_http_instrumentation_enabled() is not guarded
    harness.recorder.end_call(call, report(attempt()))


def test_suppression_by_others_holds_for_callbacks_too(harness: Harness) -> None:
    """O5: what somebody else has suppressed stays suppressed."""
    recorder = harness.recorder
    with suppress_http_instrumentation(), recorder.user_code(recorder.ambient()):
        assert not is_http_instrumentation_enabled()


def test_token_callables_are_seen_again(harness: Harness) -> None:
    """O5: a token callable with an HTTP client of its own keeps its instrumentation."""
    call = harness.call(guarded=True)
    refresh = harness.recorder.refresh_started("source", TokenReason.MISSING)
    assert is_http_instrumentation_enabled()
    harness.recorder.refresh_ended(refresh, 0.1)
    assert not is_http_instrumentation_enabled()
    harness.recorder.end_call(call, report(attempt()))


def test_call_inside_of_our_own_call_is_a_call(harness: Harness) -> None:
    """O5: our own suppression is not taken for somebody else's CLIENT span."""
    outer = harness.call(guarded=True)
    scope = harness.start(outer)
    inner = harness.call()
    harness.recorder.end_attempt(harness.start(inner), attempt())
    harness.recorder.end_call(inner, report(attempt()))
    harness.recorder.end_attempt(scope, attempt())
    harness.recorder.end_call(outer, report(attempt()))

    assert [span.name for span in harness.spans()] == [
        "GET",
        "weatherglass.call",
        "GET",
        "weatherglass.call",
    ]


def test_inside_of_another_client_span_ours_is_added_to_it(harness: Harness) -> None:
    """O5: no span of ours, no header, no ``http.client.*``: attributes and events go on theirs."""
    headers: dict[str, str] = {}
    with outer_client_span(harness):
        call = harness.call()
        first, *_ = given_up().attempts
        harness.recorder.end_attempt(harness.start(call, headers=headers), first)
        with harness.recorder.waiting(call, WaitReason.BACKOFF, 1.0):
            pass
        refresh = harness.recorder.refresh_started("source", TokenReason.MISSING)
        harness.recorder.refresh_ended(refresh, 0.1)
        harness.recorder.end_call(call, given_up(), RuntimeError())

    span = harness.span("OTHER")
    attributes = dict(span.attributes or {})
    assert len(harness.spans()) == 1
    assert headers == {}
    assert attributes["weatherglass.policy"] == "default"
    assert attributes["weatherglass.outcome"] == "gave_up"
    assert attributes["weatherglass.failure.kind"] == "unavailable"
    assert not [name for name in attributes if not name.startswith("weatherglass.")]
    assert [event.name for event in span.events] == [
        "weatherglass.retry_after.received",
        "weatherglass.retry.scheduled",
        "weatherglass.token.refreshed",
        "weatherglass.call.given_up",
    ]
    assert span.status.is_unset
    metrics = {name for name, _, _ in harness.points()}
    assert "http.client.request.duration" not in metrics
    assert {"weatherglass.call.duration", "weatherglass.attempts"} <= metrics


def test_suppressed_calls_leave_no_trace(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """O5: where all instrumentation is suppressed, as in exporters, nothing is told at all."""
    caplog.set_level("DEBUG", "weatherglass")
    headers: dict[str, str] = {}
    with suppress_instrumentation():
        call = harness.call()
        found = failure(Kind.ESCALATED, 403)
        tried = attempt(1, failure=found, delay=1.0)
        harness.recorder.end_attempt(harness.start(call, headers=headers), tried)
        with harness.recorder.waiting(call, WaitReason.BACKOFF, 1.0):
            pass
        refresh = harness.recorder.refresh_started("source", TokenReason.MISSING)
        harness.recorder.refresh_ended(refresh, 0.1, RuntimeError())
        harness.recorder.breaker_refused("breaker")
        harness.recorder.callback_failed("on_retry", RuntimeError())
        harness.recorder.maintenance_started("upgrade", "h")
        harness.recorder.end_call(call, given_up())

    assert harness.spans() == []
    assert harness.points() == []
    assert caplog.records == []
    assert headers == {}
