"""The measurements of calls and attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics._internal.measurement_consumer import (
    SynchronousMeasurementConsumer,
)
from opentelemetry.sdk.trace import Span, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from telemetry_harness import HOST, Harness, asked, attempt, failure, given_up, report

from weatherglass.telemetry import Recorder, registry
from weatherglass.vocabulary import (
    Disposition,
    KeySource,
    Kind,
    ObservedDecision,
    Outcome,
    RetryAfterVariant,
    WaitReason,
)


def test_success_makes_four_measurements(harness: Harness) -> None:
    """O1: a successful first attempt is measured four times and no more."""
    harness.tell(report(attempt()))

    assert {name: attributes for name, attributes, _ in harness.points()} == {
        "http.client.request.duration": {
            "http.request.method": "GET",
            "server.address": HOST,
            "server.port": 443,
            "http.response.status_code": 200,
        },
        "weatherglass.attempts": {
            "server.address": HOST,
            "weatherglass.failure.kind": "none",
            "weatherglass.maintenance": False,
        },
        "weatherglass.call.duration": {
            "server.address": HOST,
            "weatherglass.outcome": "success",
        },
        "weatherglass.call.attempts": {
            "server.address": HOST,
            "weatherglass.outcome": "success",
        },
    }
    assert {name: point.sum for name, _, point in harness.points() if hasattr(point, "sum")} == {
        "http.client.request.duration": 0.25,
        "weatherglass.call.duration": 1.5,
        "weatherglass.call.attempts": 1,
    }


def test_buckets_are_the_registry_s(harness: Harness) -> None:
    """O3: every histogram has the buckets that the registry states."""
    harness.tell(report(attempt()))

    for name, _, point in harness.points():
        if hasattr(point, "explicit_bounds"):
            assert tuple(point.explicit_bounds) == registry.METRICS[name].buckets


def test_exemplars_lead_to_the_spans(harness: Harness) -> None:
    """O1: the exemplar of an attempt is its span, that of a call the call's."""
    harness.tell(report(attempt()))

    ids = {span.name: span.get_span_context() for span in harness.spans()}
    found = {
        name: {exemplar.span_id for exemplar in point.exemplars}
        for name, _, point in harness.points()
    }
    client, call = ids["GET"], ids["weatherglass.call"]
    assert client is not None
    assert call is not None
    assert found == {
        "http.client.request.duration": {client.span_id},
        "weatherglass.attempts": {client.span_id},
        "weatherglass.call.duration": {call.span_id},
        "weatherglass.call.attempts": {call.span_id},
    }


def test_failures_are_counted_in_detail(harness: Harness) -> None:
    """C1: failed attempts are counted by kind, and by kind, code and status."""
    harness.tell(
        report(
            attempt(1, failure=failure(code="busy")),
            attempt(2, failure=failure(Kind.CONNECTION_RESET, None), status=None),
            attempt(3),
        )
    )

    assert harness.values("weatherglass.attempts") == {
        (HOST, "unavailable", False): 1,
        (HOST, "connection_reset", False): 1,
        (HOST, "none", False): 1,
    }
    details = [attributes for _, attributes, _ in harness.points("weatherglass.failures")]
    assert details == [
        {
            "server.address": HOST,
            "weatherglass.failure.kind": "unavailable",
            "weatherglass.failure.code": "busy",
            "http.response.status_code": 503,
        },
        {
            "server.address": HOST,
            "weatherglass.failure.kind": "connection_reset",
            "weatherglass.failure.code": "GENERIC",
        },
    ]


def test_error_type_is_the_same_on_span_and_metric(harness: Harness) -> None:
    """O3: ``error.type`` says the same wherever it stands, and is absent on success."""
    found = failure(Kind.READ_TIMEOUT, None, error_type="ReadTimeout")
    tried = attempt(1, failure=found, status=None)
    harness.tell(report(tried, outcome=Outcome.FAILED, failure=found))

    told = [a["error.type"] for _, a, _ in harness.points() if "error.type" in a]
    assert told == ["ReadTimeout", "ReadTimeout"]
    assert [(s.attributes or {})["error.type"] for s in harness.spans()] == ["ReadTimeout"] * 2


def test_maintenance_is_told_apart(harness: Harness) -> None:
    """M4: attempts inside of a window are labelled so, successes and failures."""
    harness.tell(
        report(
            attempt(1, failure=failure(), maintenance="upgrade"), attempt(2, maintenance="upgrade")
        )
    )

    assert harness.values("weatherglass.attempts") == {
        (HOST, "unavailable", True): 1,
        (HOST, "none", True): 1,
    }


def test_retries_and_give_ups_are_counted(harness: Harness) -> None:
    """R2, O1: retries are counted by kind and wait, given-up calls by their reason."""
    harness.tell(given_up())

    assert harness.values("weatherglass.retries") == {(HOST, "unavailable", "retry_after"): 1}
    assert harness.values("weatherglass.give_ups") == {(HOST, "retries_exhausted"): 1}


def test_what_servers_say_is_counted(harness: Harness) -> None:
    """A1, A7: each answer is counted by variant, source and what was done, a missing one too."""
    missing = asked(RetryAfterVariant.MISSING, None, None)
    harness.tell(
        report(
            attempt(
                1, failure=failure(retry_after=asked()), disposition=Disposition.FLOORED, delay=1.0
            ),
            attempt(2, failure=failure(retry_after=missing)),
        )
    )

    assert harness.values("weatherglass.retry_after.headers") == {
        (HOST, "floored", "retry_after", "delta_seconds"): 1,
        (HOST, "ignored", "retry_after", "missing"): 1,
    }


@pytest.mark.parametrize(("attempts", "reused"), [(1, False), (3, True)])
def test_keys_are_counted_once(harness: Harness, attempts: int, reused: bool) -> None:
    """I3: one key per call is counted, and whether it was needed again."""
    tried = [attempt(n + 1) for n in range(attempts)]
    harness.tell(report(*tried, idempotency_key_source=KeySource.PER_CALL))

    assert harness.values("weatherglass.idempotency.keys") == {(HOST, reused, "per_call"): 1}


def test_observed_decisions_are_counted(harness: Harness) -> None:
    """D18: what would have been done is counted, decision by decision."""
    observed = (ObservedDecision.RETRY, ObservedDecision.RETRY, ObservedDecision.GIVE_UP)
    harness.tell(report(attempt(), observed=observed), observing=True)

    assert harness.values("weatherglass.observed_decisions") == {
        (HOST, "retry"): 2,
        (HOST, "give_up"): 1,
    }


def test_recorders_share_their_provider_s_instruments(harness: Harness) -> None:
    """O6: many sessions on one provider count in the same series."""
    other = harness.another()
    for recorder in (harness.recorder, other):
        recorder.end_call(recorder.enter_call(HOST, 443, "default"), report(attempt()))

    ((_, _, point),) = harness.points("weatherglass.call.attempts")
    assert point.count == 2


def test_every_metric_of_the_registry_can_be_emitted(harness: Harness) -> None:
    """O1: no metric stands in the registry that nobody records."""
    recorder = harness.recorder
    measured = {
        measure
        for measure in vars(recorder._instruments).values()
        if callable(measure) and hasattr(measure, "_series")
    }
    found = {measure._series._metric.name for measure in measured}

    assert found == {m.name for m in registry.METRICS.values() if not m.instrument.is_observed}


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, count: list[str]) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    def counting(*args: Any, **named: Any) -> Any:
        count.append(name)
        return original(*args, **named)

    monkeypatch.setattr(owner, name, counting)


def test_success_stays_within_its_budget(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """O3: success costs two spans, four measurements, one injection, two writes of attributes."""
    harness.tell(report(attempt()))
    count: list[str] = []
    counted(monkeypatch, Tracer, "start_span", count)
    counted(monkeypatch, Span, "set_attributes", count)
    counted(monkeypatch, Span, "set_attribute", count)
    counted(monkeypatch, Span, "add_event", count)
    counted(monkeypatch, Span, "set_status", count)
    counted(monkeypatch, SynchronousMeasurementConsumer, "consume_measurement", count)
    counted(monkeypatch, TraceContextTextMapPropagator, "inject", count)
    harness.tell(report(attempt()))

    assert sorted(count) == (
        ["consume_measurement"] * 4 + ["inject"] + ["set_attributes"] * 2 + ["start_span"] * 2
    )


def test_provider_that_records_nothing_is_left_alone() -> None:
    """O4: with a provider that records nothing, no instrument is made."""
    recorder = Recorder(meter_provider=NoOpMeterProvider())
    call = recorder.enter_call(HOST, 443, "default")
    recorder.end_call(call, report(attempt()))

    assert recorder._instruments is None


def test_recorder_without_metrics_has_the_spans(harness: Harness) -> None:
    """M2: what is no call of the application counts nowhere, and is in traces all the same."""
    harness.recorder = harness.recorder.without_metrics(harness.clock)
    harness.tell(given_up())

    assert harness.span(registry.CALL_SPAN).attributes
    assert harness.points() == []


def test_wait_reason_of_a_retry_defaults_to_backoff(harness: Harness) -> None:
    """R1: a delay that nobody else asked for is a backoff."""
    harness.tell(report(attempt(1, failure=failure(), delay=0.5), attempt(2)))

    assert harness.values("weatherglass.retries") == {
        (HOST, "unavailable", str(WaitReason.BACKOFF)): 1
    }
