"""A process that has no OpenTelemetry SDK, or gets one late."""

from __future__ import annotations

from telemetry_harness import run

CALL = """
    import json, sys
    from weatherglass.report import Attempt, CallReport
    from weatherglass.telemetry import Recorder
    from weatherglass.vocabulary import Outcome

    ATTEMPT = Attempt(
        number=1, method="GET", url="https://h/a", started_at=0.0, duration=0.1, status=200
    )
    REPORT = CallReport("GET", "https://h/a", "default", Outcome.SUCCESS, (ATTEMPT,), 0.2)

    def call(recorder):
        headers = {}
        scope = recorder.enter_call("h", 443, "default")
        tried = recorder.start_attempt(
            scope, "GET", "https://h/a", "h", 443, headers=headers
        )
        recorder.end_attempt(tried, ATTEMPT, "1.1")
        recorder.end_call(scope, REPORT)
        return headers
"""


def test_calls_go_on_without_sdk() -> None:
    """O4: without an SDK nothing is loaded, sent, attached or said."""
    told = run(
        CALL
        + """
    headers = call(Recorder())
    from opentelemetry.context import get_current
    print(json.dumps([headers, dict(get_current()), [m for m in sys.modules if ".sdk" in m]]))
    """
    )

    assert told == [{}, {}, []]


def test_context_from_elsewhere_is_passed_on() -> None:
    """O5: without an SDK, a trace context that the application received still travels on."""
    told = run(
        CALL
        + """
    from opentelemetry.context import attach
    from opentelemetry.propagate import extract
    attach(extract({"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}))
    print(json.dumps(call(Recorder())))
    """
    )

    assert told == {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}


def test_providers_may_come_late() -> None:
    """O4: a session that was made and used before any SDK is seen as soon as there is one."""
    told = run(
        CALL
        + """
    from opentelemetry import metrics, trace
    recorder = Recorder()
    from weatherglass.runtime import SYSTEM
    unmeasured = recorder.without_metrics(SYSTEM)
    call(recorder)
    call(unmeasured)

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))

    call(unmeasured)
    assert reader.get_metrics_data() is None
    headers = call(recorder)
    data = reader.get_metrics_data()
    names = [m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    spans = [span.name for span in exporter.get_finished_spans()]
    print(json.dumps([spans, sorted(names), sorted(headers)]))
    """
    )

    assert told == [
        ["GET", "weatherglass.call"] * 2,
        [
            "http.client.request.duration",
            "weatherglass.attempts",
            "weatherglass.call.attempts",
            "weatherglass.call.duration",
        ],
        ["traceparent"],
    ]


def test_late_provider_is_given_the_sources() -> None:
    """O4: what is observed is observed on a provider that came after the session."""
    told = run(
        CALL
        + """
    from opentelemetry import metrics

    class Source:
        def token_ttls(self):
            return {"source": 5.0}

    recorder, source = Recorder(), Source()
    recorder.register(source)

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    recorder.breaker_refused("breaker")

    data = reader.get_metrics_data()
    points = {
        m.name: [p.value for p in m.data.data_points]
        for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics
    }
    print(json.dumps(points))
    """
    )

    assert told == {"weatherglass.token.ttl": [5.0], "weatherglass.breaker.refusals": [1]}


def test_disabled_sdk_is_none() -> None:
    """O4: with ``OTEL_SDK_DISABLED`` a provider that was set is taken for none."""
    told = run(
        CALL
        + """
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    trace.set_tracer_provider(TracerProvider())
    metrics.set_meter_provider(MeterProvider())
    recorder = Recorder()
    headers = call(recorder)
    print(json.dumps([headers, recorder._tracer is None, recorder._instruments is None]))
    """,
        {"OTEL_SDK_DISABLED": "true"},
    )

    assert told == [{}, True, True]


def test_known_methods_can_be_replaced() -> None:
    """O3: the conventions' variable replaces the list of known methods."""
    told = run(
        """
    import json
    from weatherglass.telemetry import registry, spans
    methods = [spans.canonical_method(method) for method in ("PROPFIND", "GET", "PATCH")]
    print(json.dumps([methods, registry.ATTRIBUTES[registry.HTTP_REQUEST_METHOD].values]))
    """,
        {"OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS": "GET, PROPFIND"},
    )

    assert told == [["PROPFIND", "GET", "_OTHER"], ["GET", "PROPFIND", "_OTHER"]]
