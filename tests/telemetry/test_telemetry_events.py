"""Events: on spans, as log records, and in the standard log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import _logs
from opentelemetry._logs import _internal as logs_internal
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import ReadableSpan
from telemetry_harness import HOST, URL, Harness, asked, attempt, failure, given_up, report

from weatherglass.errors import InvalidPolicy
from weatherglass.telemetry import Recorder, registry
from weatherglass.vocabulary import Disposition, GiveUpReason, Kind, Outcome, RetryAfterVariant


def events(span: ReadableSpan) -> dict[str, dict[str, Any]]:
    return {event.name: dict(event.attributes or {}) for event in span.events}


def test_story_of_a_call_is_on_its_spans(harness: Harness) -> None:
    """O1, O2: what was said and decided stands as events where it happened."""
    harness.tell(given_up())

    first, second = harness.spans("GET")
    assert events(first) == {
        "weatherglass.retry_after.received": {
            "server.address": HOST,
            "weatherglass.retry_after.variant": "delta_seconds",
            "weatherglass.retry_after.source": "retry_after",
            "weatherglass.retry_after.seconds": 7.0,
            "weatherglass.retry_after.disposition": "honoured",
            "weatherglass.retry_after.raw": "7",
        }
    }
    assert events(second) == {}
    assert events(harness.span("weatherglass.call")) == {
        "weatherglass.retry.scheduled": {
            "server.address": HOST,
            "weatherglass.attempt.number": 1,
            "weatherglass.failure.kind": "unavailable",
            "weatherglass.wait.reason": "retry_after",
            "weatherglass.wait.planned": 7.0,
        },
        "weatherglass.call.given_up": {
            "server.address": HOST,
            "http.request.method": "GET",
            "url.full": URL,
            "weatherglass.outcome": "gave_up",
            "weatherglass.give_up.reason": "retries_exhausted",
            "weatherglass.failure.kind": "unavailable",
            "weatherglass.attempts": 2,
            "weatherglass.waited": 0,
        },
    }


def test_attributes_of_events_are_the_registry_s(harness: Harness) -> None:
    """O1: no event has an attribute that its entry does not name."""
    escalated = failure(Kind.ESCALATED, 403, code="denied", correlation_id="0f5e")
    harness.tell(given_up())
    harness.tell(report(attempt(1, failure=escalated), failure=escalated, outcome=Outcome.FAILED))

    for span in harness.spans():
        for name, attributes in events(span).items():
            assert set(attributes) <= {a.name for a in registry.EVENTS[name].attributes}


def test_log_tells_the_same_with_the_attributes_as_extra(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """O1: the standard logger hears of every event, and gets its attributes as fields."""
    caplog.set_level(logging.DEBUG, "weatherglass")
    harness.tell(given_up())

    told = {getattr(r, "weatherglass.event"): r for r in caplog.records}
    record = told["weatherglass.call.given_up"]
    assert record.levelno == logging.WARNING
    assert getattr(record, "weatherglass.give_up.reason") == "retries_exhausted"
    assert getattr(record, "server.address") == HOST
    assert "give_up.reason=retries_exhausted" in record.getMessage()
    assert {name: r.levelname for name, r in told.items()} == {
        "weatherglass.retry_after.received": "DEBUG",
        "weatherglass.retry.scheduled": "INFO",
        "weatherglass.call.given_up": "WARNING",
    }


def test_recorder_without_metrics_tells_details(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """M2: nothing of what is no call of the application is told above DEBUG."""
    caplog.set_level(logging.DEBUG, "weatherglass")
    harness.recorder = harness.recorder.without_metrics(harness.clock)
    harness.tell(given_up())

    assert "weatherglass.call.given_up" in {
        getattr(r, "weatherglass.event") for r in caplog.records
    }
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


def test_raw_values_are_on_spans_only(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """O7: what a server wrote stands on the span, cut to 64 characters, and in no log or metric."""
    caplog.set_level(logging.DEBUG, "weatherglass")
    said = asked(RetryAfterVariant.UNPARSEABLE, None, "s3cr3t" + "x" * 100)
    harness.tell(report(attempt(1, failure=failure(retry_after=said))))

    raw = events(harness.span("GET"))["weatherglass.retry_after.received"][
        "weatherglass.retry_after.raw"
    ]
    assert raw == "s3cr3t" + "x" * 58
    assert not [r for r in caplog.records if "s3cr3t" in str(vars(r))]
    assert not [a for _, a, _ in harness.points() if "s3cr3t" in str(a)]


def test_unusable_values_are_warned_of(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """A7: a value that is of no use is a warning, a missing one is no event at all."""
    caplog.set_level(logging.DEBUG, "weatherglass")
    garbage = failure(retry_after=asked(RetryAfterVariant.UNPARSEABLE, None, "soon"))
    missing = failure(retry_after=asked(RetryAfterVariant.MISSING, None, None))
    harness.tell(report(attempt(1, failure=garbage), attempt(2, failure=missing)))

    assert [(r.levelname, getattr(r, "weatherglass.event")) for r in caplog.records] == [
        ("WARNING", "weatherglass.retry_after.received")
    ]


def test_refusals_are_not_warned_of_again(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """B6: an open breaker is warned of when it opens, not by each call that it refuses."""
    caplog.set_level(logging.DEBUG, "weatherglass")
    refusal = failure(Kind.CIRCUIT_OPEN, None)
    harness.tell(
        report(outcome=Outcome.REFUSED, failure=refusal, give_up_reason=GiveUpReason.CIRCUIT_OPEN)
    )

    assert [r.levelname for r in caplog.records] == ["INFO"]


def test_escalation_is_an_event(harness: Harness) -> None:
    """C9: a 403 after a run of 429s is told on the attempt."""
    found = failure(Kind.ESCALATED, 403, code="denied", correlation_id="0f5e")
    harness.tell(report(attempt(1, failure=found), failure=found, outcome=Outcome.FAILED))

    assert events(harness.span("GET"))["weatherglass.auth.escalated"] == {
        "server.address": HOST,
        "weatherglass.failure.code": "denied",
        "weatherglass.correlation_id": "0f5e",
    }


def test_secrets_are_in_no_log(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """C10, O7: credentials, bodies and messages of servers are in no log record."""
    caplog.set_level(logging.DEBUG, "weatherglass")
    url = "https://ann:s3cr3t@h/a?token=s3cr3t"
    found = failure(message="s3cr3t", code="s3cr3t is wrong", correlation_id="Bearer s3cr3t")
    tried = attempt(1, url=url, failure=found, disposition=Disposition.IGNORED, delay=1.0)
    harness.tell(
        report(
            tried,
            url=url,
            outcome=Outcome.GAVE_UP,
            failure=found,
            give_up_reason=GiveUpReason.DEADLINE,
        ),
        RuntimeError("s3cr3t"),
    )

    assert len(caplog.records) == 3
    assert not [r for r in caplog.records if "s3cr3t" in f"{vars(r)} {r.getMessage()}"]
    assert not [span for span in harness.spans() if "s3cr3t" in span.to_json()]


@pytest.mark.parametrize(
    ("destination", "on_span"), [("span", True), ("both", True), ("logs", False), ("none", False)]
)
def test_destination_is_a_setting(destination: str, on_span: bool) -> None:
    """O1: whether events stand on spans is the application's choice."""
    harness = Harness(events=destination)
    harness.tell(given_up())

    assert bool(harness.span("weatherglass.call").events) is on_span


def test_unknown_destination_is_refused() -> None:
    """D16: a destination that does not exist is named, with those that do."""
    with pytest.raises(InvalidPolicy, match=r"events is 'spans'.*span, logs, both, none"):
        Recorder(events="spans")


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryLogRecordExporter]:
    """A global logger provider, for the length of one test."""
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK's
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(logs_internal, "_LOGGER_PROVIDER", provider)
    assert _logs.get_logger_provider() is provider
    yield exporter
    provider.shutdown()


@pytest.mark.parametrize(("destination", "told"), [("logs", 3), ("both", 3), ("span", 0)])
def test_events_can_be_log_records(
    exported: InMemoryLogRecordExporter, destination: str, told: int
) -> None:
    """O1: as log records, events have a name, a severity, attributes and their span's context."""
    harness = Harness(events=destination)
    harness.tell(given_up())

    records = [log.log_record for log in exported.get_finished_logs()]
    assert len(records) == told
    for record in records:
        if record.event_name == "weatherglass.call.given_up":
            context = harness.span("weatherglass.call").get_span_context()
            assert context is not None
            assert record.span_id == context.span_id
            assert record.severity_number is _logs.SeverityNumber.WARN
            assert dict(record.attributes or {})["weatherglass.give_up.reason"] == (
                "retries_exhausted"
            )


def test_library_is_silent_by_itself() -> None:
    """D5: without any set-up of logging, warnings of events do not go to stderr."""
    assert any(
        isinstance(h, logging.NullHandler) for h in logging.getLogger("weatherglass").handlers
    )
