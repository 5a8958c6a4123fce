"""What is told beside the course of a call: breakers, tokens, windows, callbacks."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from telemetry_harness import HOST, Harness, attempt, failure, report

from weatherglass.errors import TokenRefreshFailed
from weatherglass.vocabulary import BreakerCause, BreakerState, Kind, TokenReason, WaitReason


@dataclass(frozen=True)
class Moved:
    """A breaker's transition."""

    name: str
    previous: BreakerState
    state: BreakerState
    cause: BreakerCause


OPENED = Moved(
    "https://h", BreakerState.CLOSED, BreakerState.OPEN, BreakerCause.CONSECUTIVE_FAILURES
)
CLOSED = Moved(
    "https://h", BreakerState.HALF_OPEN, BreakerState.CLOSED, BreakerCause.PROBE_SUCCEEDED
)


def test_transitions_are_counted_and_told(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """B8: every transition is counted with states and cause; an opening is warned of."""
    caplog.set_level(logging.DEBUG, "weatherglass")
    harness.recorder.breaker_moved(OPENED)
    harness.recorder.breaker_moved(CLOSED)

    assert harness.values("weatherglass.breaker.transitions") == {
        ("consecutive_failures", "https://h", "closed", "open"): 1,
        ("probe_succeeded", "https://h", "half_open", "closed"): 1,
    }
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_transition_within_a_call_is_on_its_span(harness: Harness) -> None:
    """B8, O2: the call that opened a breaker says so."""
    call = harness.call()
    harness.recorder.breaker_moved(OPENED)
    harness.recorder.end_call(call, report(attempt()))

    (event,) = harness.span("weatherglass.call").events
    assert event.name == "weatherglass.breaker.transition"
    assert (event.attributes or {})["weatherglass.breaker.cause"] == "consecutive_failures"


def test_refusals_are_counted(harness: Harness) -> None:
    """B6: refusals are counted by breaker."""
    for _ in range(3):
        harness.recorder.breaker_refused("https://h")

    assert harness.values("weatherglass.breaker.refusals") == {("https://h",): 3}


def test_refresh_is_a_span_in_the_call(harness: Harness) -> None:
    """T2, O1: the one refresh is a span, with the token endpoint's request in it."""
    call = harness.call()
    refresh = harness.recorder.refresh_started("genesys", TokenReason.MISSING)
    assert trace.get_current_span() is refresh.span
    scope = harness.start(None, method="POST", url="https://login.example.com/token")
    harness.recorder.end_attempt(scope, attempt(method="POST"))
    harness.recorder.refresh_ended(refresh, 0.5)
    assert trace.get_current_span() is call.span
    harness.recorder.end_call(call, report(attempt()))

    request, span, outer = harness.spans()
    assert (request.name, span.name) == ("POST", "weatherglass.token.refresh")
    assert dict(span.attributes or {}) == {
        "weatherglass.token.source": "genesys",
        "weatherglass.token.reason": "missing",
    }
    assert request.parent == span.get_span_context()
    assert span.parent == outer.get_span_context()
    assert [event.name for event in span.events] == ["weatherglass.token.refreshed"]
    ((_, labels, point),) = harness.points("weatherglass.token.refresh.duration")
    assert labels == {
        "weatherglass.token.source": "genesys",
        "weatherglass.token.reason": "missing",
    }
    assert point.sum == 0.5


def test_failed_refresh_names_its_failure(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """T6: a failed refresh is an error of its own kind, named by what the endpoint answered."""
    error = TokenRefreshFailed("s3cr3t", report=report(failure=failure(Kind.TOKEN_REFRESH, 400)))
    refresh = harness.recorder.refresh_started("genesys", TokenReason.UNAUTHORIZED)
    harness.recorder.refresh_ended(refresh, 0.5, error)

    span = harness.span("weatherglass.token.refresh")
    assert (span.attributes or {})["error.type"] == "400"
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["weatherglass.token.refresh_failed"]
    ((_, labels, _),) = harness.points("weatherglass.token.refresh.duration")
    assert labels["error.type"] == "400"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "s3cr3t" not in f"{span.to_json()}{caplog.text}"


def test_waiters_are_linked_to_the_refresh(harness: Harness) -> None:
    """T2, O1: who waits for another thread's refresh has a link to its span."""
    refresh = harness.recorder.refresh_started("genesys", TokenReason.MANDATORY)
    harness.recorder.refresh_ended(refresh, 0.5)
    call = harness.call()
    with harness.recorder.waiting(call, WaitReason.TOKEN, 30.0, link=refresh.link):
        pass

    (link,) = harness.span("weatherglass.wait").links
    assert link.context == harness.span("weatherglass.token.refresh").get_span_context()


def test_windows_are_events(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """M4: the beginning and the end of a window are told, by log where there is no span."""
    caplog.set_level(logging.INFO, "weatherglass")
    harness.recorder.maintenance_started("upgrade", HOST)
    harness.recorder.maintenance_ended("upgrade", HOST)

    assert [record.getMessage() for record in caplog.records] == [
        f"maintenance started: maintenance.window=upgrade server.address={HOST}",
        f"maintenance ended: maintenance.window=upgrade server.address={HOST}",
    ]


def test_callback_that_raises_is_counted_and_located(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """R6, T9: a raising callback is counted and told with its place, without its message."""
    try:
        raise ValueError("s3cr3t")  # noqa: TRY301 - raised to be caught
    except ValueError as error:
        harness.recorder.callback_failed("on_retry", error)

    assert harness.values("weatherglass.callback.errors") == {("on_retry",): 1}
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert getattr(record, "error.type") == "ValueError"
    assert getattr(record, "code.file.path") == __file__
    assert getattr(record, "code.line.number") > 0
    assert "s3cr3t" not in f"{caplog.text}{vars(record)}"
