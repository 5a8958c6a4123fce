"""otel-collector.yaml at work: everything arrives, and a missing trace store costs no metrics."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests
from collecting import (
    INSTANCE,
    MAIN,
    NAMESPACE,
    PATIENCE,
    SERVICE,
    Application,
    shape,
    trace_store,
    traces_of,
    whole,
)
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from stack.processes import HOST, Collector, Prometheus, free_ports

from weatherglass.telemetry import prometheus as names
from weatherglass.telemetry import registry
from weatherglass.testing import OtlpReceiver, faults

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("collector_binary")]

ATTEMPTS = names.metric_name(registry.ATTEMPT_COUNT)


def some_weather(application: Application) -> None:
    """One call that succeeds at once, one with a retry, one that is given up."""
    application.calls(None)
    application.calls(faults.answer(503), None)
    application.calls(*[faults.answer(503)] * 3, retry={"max_retries": 2, "base_delay": 0.05})
    application.flush()


def attempts_in(receiver: OtlpReceiver) -> float:
    return receiver.metric(registry.ATTEMPT_COUNT.name).value


def test_all_spans_and_metrics_arrive(tmp_path: Path) -> None:
    """What an application exports arrives whole at Prometheus' receiver and at the trace store."""
    with OtlpReceiver() as receiver, trace_store(tmp_path, receiver) as store:
        env = {"COLLECTOR_PROMETHEUS": receiver.url, "COLLECTOR_TRACES": store}
        with Collector(MAIN, env=env) as collector, Application(collector.otlp_http_url) as app:
            some_weather(app)
            sent = app.sent
            receiver.wait_for(lambda came: attempts_in(came) == sent, PATIENCE)
            receiver.wait_for(lambda came: whole(came, 3), PATIENCE)

        spans = receiver.spans()

    assert sent == 6
    assert len(receiver.spans(kind="CLIENT")) == sent
    assert sorted(map(len, map(shape, traces_of(spans).values()))) == [2, 4, 6]
    assert {span.resource["service.instance.id"] for span in spans} == {INSTANCE}
    (instance,) = {
        tuple(point.resource[name] for name in ("service.namespace", "service.name"))
        for point in receiver.points()
    }
    assert instance == (NAMESPACE, SERVICE)


@pytest.mark.usefixtures("prometheus_binary")
def test_prometheus_is_told_the_same(tmp_path: Path) -> None:
    """Pushed series have the application's job and instance, begin with 0, and keep exemplars."""
    with (
        Prometheus(tmp_path / "data") as prometheus,
        OtlpReceiver() as receiver,
        trace_store(tmp_path, receiver) as store,
        Collector(
            MAIN,
            env={"COLLECTOR_PROMETHEUS": prometheus.otlp_endpoint, "COLLECTOR_TRACES": store},
        ) as collector,
        Application(collector.otlp_http_url) as app,
    ):
        some_weather(app)
        receiver.wait_for(lambda came: whole(came, 3), PATIENCE)
        prometheus.wait_for(f"sum({ATTEMPTS}) == {app.sent}")
        courses = prometheus.query(f"{ATTEMPTS}[10m]")
        now = time.time()
        exemplars = prometheus.exemplars(ATTEMPTS, now - 600, now + 600)

    for course in courses:
        assert course["metric"]["job"] == f"{NAMESPACE}/{SERVICE}"
        assert course["metric"]["instance"] == INSTANCE
        assert course["values"][0][1] == "0"
    found = {each["labels"]["trace_id"] for series in exemplars for each in series["exemplars"]}
    assert found
    assert found <= {span.trace_id for span in receiver.spans()}


def test_metrics_flow_while_there_is_no_trace_store(tmp_path: Path) -> None:
    """Metrics do not wait for a trace store, and the traces are there once it is."""
    address = f"{HOST}:{free_ports(1)[0]}"
    with OtlpReceiver() as receiver:
        env = {"COLLECTOR_PROMETHEUS": receiver.url, "COLLECTOR_TRACES": address}
        hasty = ["exporters::otlp_grpc/traces::retry_on_failure::initial_interval=200ms"]
        with (
            Collector(MAIN, env=env, set=hasty) as collector,
            Application(collector.otlp_http_url) as app,
        ):
            some_weather(app)
            receiver.wait_for(lambda came: attempts_in(came) == app.sent, PATIENCE)
            assert receiver.spans() == ()

            with trace_store(tmp_path, receiver, address=address):
                receiver.wait_for(lambda came: whole(came, 3), PATIENCE)
                assert len(receiver.spans(kind="CLIENT")) == app.sent


def encoded_spans(count: int) -> bytes:
    """An export of so many spans, as it goes over the wire."""
    kept = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(kept))
    for _ in range(count):
        tracers.get_tracer("test").start_span("span").end()
    return bytes(encode_spans(kept.get_finished_spans()).SerializeToString())


def status_of_export(collector: Collector, spans: bytes) -> int:
    """What an SDK is answered that exports spans."""
    return requests.post(
        f"{collector.otlp_http_url}/v1/traces",
        data=spans,
        headers={"Content-Type": "application/x-protobuf"},
        timeout=10,
    ).status_code


def test_the_queue_of_traces_is_bounded() -> None:
    """Without a trace store the queue fills up: then spans are refused, metrics flow."""
    nobody = f"{HOST}:{free_ports(1)[0]}"
    with OtlpReceiver() as receiver:
        env = {"COLLECTOR_PROMETHEUS": receiver.url, "COLLECTOR_TRACES": nobody}
        queue = "exporters::otlp_grpc/traces::sending_queue"
        small = [f"{queue}::queue_size=100", f"{queue}::batch::min_size=10"]
        with (
            Collector(MAIN, env=env, set=small) as collector,
            Application(collector.otlp_http_url) as app,
        ):
            statuses = {status_of_export(collector, encoded_spans(10)) for _ in range(30)}
            # The spans of this call are refused too, which costs the call nothing.
            told = requests.get(collector.own_metrics_url, timeout=10).text
            receiver.wait_for(lambda came: attempts_in(came) == app.sent, PATIENCE)

    # A status that tells an SDK to try again later.
    assert statuses == {200, 503}
    assert "otelcol_exporter_enqueue_failed_spans" in told


def test_above_its_memory_limit_it_refuses() -> None:
    """A Collector without room answers as one that an SDK is to try again later."""
    give_up_at = time.monotonic() + PATIENCE
    with Collector(MAIN, env={"COLLECTOR_MEMORY_MIB": "1"}) as collector:
        spans = encoded_spans(1)
        # It looks at its memory once a second.
        while (status := status_of_export(collector, spans)) == 200:
            assert time.monotonic() < give_up_at
        told = requests.get(collector.own_metrics_url, timeout=10).text

    assert status == 503
    assert "otelcol_processor_memory_limiter_refused_spans" in told
