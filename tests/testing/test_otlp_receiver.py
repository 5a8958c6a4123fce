"""The OTLP receiver, fed by the official exporters."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator

import pytest
import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from weatherglass.testing import OtlpReceiver

TIMEOUT = 20
PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as running:
        yield running


def tracing(
    receiver: OtlpReceiver, compression: Compression = Compression.NoCompression
) -> TracerProvider:
    provider = TracerProvider(resource=Resource.create({"service.name": "tester"}))
    exporter = OTLPSpanExporter(
        endpoint=f"{receiver.url}/v1/traces", compression=compression, timeout=TIMEOUT
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def metering(receiver: OtlpReceiver) -> MeterProvider:
    exporter = OTLPMetricExporter(endpoint=f"{receiver.url}/v1/metrics", timeout=TIMEOUT)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    return MeterProvider(metric_readers=[reader])


@pytest.mark.parametrize("compression", list(Compression))
def test_spans_arrive_whole(receiver: OtlpReceiver, compression: Compression) -> None:
    """O2: a span's every part arrives, however the exporter compresses it."""
    provider = tracing(receiver, compression)
    tracer = provider.get_tracer("scope", "1.2", schema_url="https://schema.example/1")
    with tracer.start_as_current_span("outer") as outer:
        link = Link(outer.get_span_context(), {"why": "because"})
        with tracer.start_as_current_span(
            "inner",
            kind=SpanKind.CLIENT,
            links=[link],
            attributes={"text": "a", "whole": 1, "real": 0.5, "truth": True, "list": ["x", "y"]},
        ) as inner:
            inner.add_event("happened", {"n": 3})
            inner.set_status(Status(StatusCode.ERROR, "broken"))
    (outer_span, inner_span) = (
        receiver.wait_for(lambda r: r.spans() if len(r.spans()) == 2 else None, TIMEOUT) or ()
    )
    assert (outer_span.name, outer_span.kind, outer_span.status) == ("outer", "INTERNAL", "UNSET")
    assert outer_span.parent_id is None
    assert inner_span.parent_id == outer_span.span_id
    assert inner_span.trace_id == outer_span.trace_id
    assert inner_span.kind == "CLIENT"
    assert inner_span.attributes == {
        "text": "a",
        "whole": 1,
        "real": 0.5,
        "truth": True,
        "list": ("x", "y"),
    }
    (event,) = inner_span.events
    assert (event.name, event.attributes) == ("happened", {"n": 3})
    (linked,) = inner_span.links
    assert (linked.span_id, linked.attributes) == (outer_span.span_id, {"why": "because"})
    assert (inner_span.status, inner_span.status_message) == ("ERROR", "broken")
    assert 0 <= inner_span.duration <= outer_span.duration
    assert (inner_span.scope.name, inner_span.scope.version) == ("scope", "1.2")
    assert inner_span.scope.schema_url == "https://schema.example/1"
    assert inner_span.resource["service.name"] == "tester"
    provider.shutdown()


def test_spans_can_be_asked_for(receiver: OtlpReceiver) -> None:
    """Spans can be asked for by name, kind and trace."""
    provider = tracing(receiver)
    tracer = provider.get_tracer("scope")
    with tracer.start_as_current_span("a", kind=SpanKind.CLIENT):
        pass
    with tracer.start_as_current_span("b"):
        pass
    provider.shutdown()
    (span,) = receiver.spans("a")
    assert receiver.spans(kind="CLIENT") == (span,)
    assert receiver.spans(trace_id=span.trace_id) == (span,)
    assert [s.name for s in receiver.spans()] == ["a", "b"]
    assert receiver.exports == {"/v1/traces": 2}
    receiver.clear()
    assert receiver.spans() == ()


def test_metrics_are_summed_over_their_newest_points(receiver: OtlpReceiver) -> None:
    """A cumulative metric's total is that of the newest point of each series that fits."""
    provider = metering(receiver)
    meter = provider.get_meter("scope")
    counter = meter.create_counter("calls", unit="{call}", description="Calls.")
    counter.add(1, {"kind": "a"})
    provider.force_flush()
    counter.add(2, {"kind": "a"})
    counter.add(10, {"kind": "b", "more": 1})
    provider.force_flush()
    assert receiver.metric("calls").value == 13
    assert receiver.metric("calls").series == 2
    assert receiver.metric("calls", {"kind": "a"}).value == 3
    assert receiver.metric("calls", {"kind": "c"}).series == 0
    assert len(receiver.points("calls", {"kind": "a"})) == 2
    (newest,) = receiver.latest("calls", {"kind": "a"})
    assert (newest.kind, newest.unit, newest.description) == ("sum", "{call}", "Calls.")
    assert (newest.temporality, newest.monotonic) == ("cumulative", True)
    provider.shutdown()


def test_histograms_have_their_buckets(receiver: OtlpReceiver) -> None:
    """A histogram's count, sum and buckets are added up over its series."""
    provider = metering(receiver)
    histogram = provider.get_meter("scope").create_histogram(
        "wait", unit="s", explicit_bucket_boundaries_advisory=[1.0, 5.0]
    )
    for value, reason in ((0.5, "gate"), (3.0, "gate"), (9.0, "backoff")):
        histogram.record(value, {"reason": reason})
    provider.force_flush()
    total = receiver.metric("wait")
    assert (total.count, total.sum) == (3, 12.5)
    assert (total.bounds, total.bucket_counts) == ((1.0, 5.0), (1, 1, 1))
    assert receiver.metric("wait", {"reason": "gate"}).bucket_counts == (1, 1, 0)
    provider.shutdown()


def test_exemplars_name_their_span(receiver: OtlpReceiver) -> None:
    """An exemplar carries the value and the ids of the span in which it was measured."""
    tracer = TracerProvider().get_tracer("scope")
    provider = metering(receiver)
    histogram = provider.get_meter("scope").create_histogram("wait")
    with tracer.start_as_current_span("measured") as span:
        histogram.record(3.0)
    provider.force_flush()
    (point,) = receiver.points("wait")
    (exemplar,) = point.exemplars
    assert exemplar.value == 3.0
    assert exemplar.span_id == trace.format_span_id(span.get_span_context().span_id)
    assert exemplar.trace_id == trace.format_trace_id(span.get_span_context().trace_id)
    provider.shutdown()


def test_gauges_have_their_last_value(receiver: OtlpReceiver) -> None:
    """A gauge is what it was last, not the sum of all that it was."""
    provider = metering(receiver)
    gauge = provider.get_meter("scope").create_gauge("level")
    for value in (5, 3):
        gauge.set(value)
        provider.force_flush()
    assert receiver.metric("level").value == 3
    (newest,) = receiver.latest("level")
    assert (newest.kind, newest.temporality) == ("gauge", "unspecified")
    provider.shutdown()


def test_logs_arrive(receiver: OtlpReceiver) -> None:
    """Log records arrive with body, severity, attributes and the ids of their span."""
    request = ExportLogsServiceRequest()
    scoped = request.resource_logs.add().scope_logs.add()
    record = scoped.log_records.add(
        body=AnyValue(string_value="opened"),
        severity_text="WARN",
        severity_number="SEVERITY_NUMBER_WARN",
        time_unix_nano=5,
        trace_id=b"\1" * 16,
        span_id=b"\2" * 8,
        event_name="weatherglass.breaker.transition",
    )
    record.attributes.append(KeyValue(key="state", value=AnyValue(string_value="open")))
    nested = AnyValue()
    nested.kvlist_value.values.append(KeyValue(key="empty", value=AnyValue()))
    record.attributes.append(KeyValue(key="nested", value=nested))
    body = gzip.compress(request.SerializeToString())
    answer = requests.post(
        f"{receiver.url}/v1/logs",
        data=body,
        headers={**PROTOBUF, "Content-Encoding": "gzip"},
        timeout=TIMEOUT,
    )
    assert (answer.status_code, answer.content) == (200, b"")
    (log,) = receiver.logs()
    assert (log.body, log.severity, log.severity_number) == ("opened", "WARN", 13)
    assert (log.trace_id, log.span_id, log.time_ns) == ("01" * 16, "02" * 8, 5)
    assert log.attributes == {"state": "open", "nested": {"empty": None}}
    assert log.event_name == "weatherglass.breaker.transition"


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/unknown", PROTOBUF, b"", 404),
        ("/v1/traces", {"Content-Type": "application/json"}, b"{}", 415),
        ("/v1/traces", PROTOBUF, b"\xff\xff", 400),
        ("/v1/traces", {**PROTOBUF, "Content-Encoding": "gzip"}, b"no gzip", 400),
        (
            "/v1/traces",
            {**PROTOBUF, "Content-Encoding": "gzip"},
            gzip.compress(b"a", mtime=0)[:-4],
            400,
        ),
    ],
)
def test_what_cannot_be_read_is_refused(
    receiver: OtlpReceiver, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    """A body that is no OTLP is refused with a status, and the receiver goes on."""
    answer = requests.post(receiver.url + path, data=body, headers=headers, timeout=TIMEOUT)
    assert answer.status_code == status
    assert requests.get(f"{receiver.url}/v1/traces", timeout=TIMEOUT).status_code == 404
    good = requests.post(f"{receiver.url}/v1/traces", headers=PROTOBUF, timeout=TIMEOUT)
    assert good.status_code == 200


def test_receiver_can_fail_and_recover(receiver: OtlpReceiver) -> None:
    """O8: a failing receiver keeps nothing, and counts the exports all the same."""
    url = f"{receiver.url}/v1/traces"
    receiver.fail(503)
    assert requests.post(url, headers=PROTOBUF, timeout=TIMEOUT).status_code == 503
    receiver.recover()
    assert requests.post(url, headers=PROTOBUF, timeout=TIMEOUT).status_code == 200
    assert receiver.exports == {"/v1/traces": 2}


def test_receiver_can_hang(receiver: OtlpReceiver) -> None:
    """O8: a hanging receiver answers nothing until it recovers, and hangs again when told to."""
    url = f"{receiver.url}/v1/traces"
    for _ in range(2):
        receiver.hang()
        with pytest.raises(requests.ReadTimeout):
            requests.post(url, headers=PROTOBUF, timeout=(TIMEOUT, 0.05))
        receiver.recover()
        assert requests.post(url, headers=PROTOBUF, timeout=TIMEOUT).ok


def test_receiver_can_refuse(receiver: OtlpReceiver) -> None:
    """O8: a receiver that is gone refuses connections, and comes back on its port."""
    url = f"{receiver.url}/v1/traces"
    receiver.refuse()
    with pytest.raises(requests.ConnectionError):
        requests.post(url, headers=PROTOBUF, timeout=TIMEOUT)
    receiver.recover()
    assert requests.post(url, headers=PROTOBUF, timeout=TIMEOUT).ok


def test_stop_ends_a_hanging_export() -> None:
    """stop() returns although an export hangs."""
    receiver = OtlpReceiver().start()
    receiver.hang()

    def export() -> None:
        with contextlib.suppress(requests.ConnectionError):
            requests.post(f"{receiver.url}/v1/traces", headers=PROTOBUF, timeout=TIMEOUT)

    thread = threading.Thread(target=export)
    thread.start()
    receiver.wait_for(lambda r: r.exports, TIMEOUT)
    receiver.stop()
    thread.join(TIMEOUT)
    assert not thread.is_alive()


def test_memory_can_be_bounded() -> None:
    """A bounded receiver keeps the newest of each kind."""
    with OtlpReceiver(keep=2) as receiver:
        provider = tracing(receiver)
        tracer = provider.get_tracer("scope")
        for name in ("a", "b", "c"):
            tracer.start_span(name).end()
        provider.shutdown()
        assert [span.name for span in receiver.spans()] == ["b", "c"]


def test_waiting_in_vain_says_what_came(receiver: OtlpReceiver) -> None:
    """wait_for() gives up with what was received."""
    provider = tracing(receiver)
    provider.get_tracer("scope").start_span("came").end()
    with pytest.raises(TimeoutError, match=r"exports: \{'/v1/traces': 1\}, spans: \['came'\]"):
        receiver.wait_for(lambda r: r.spans("never"), timeout=0.01)
    provider.shutdown()
