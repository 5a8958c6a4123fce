"""Whole calls while telemetry is down, slow or raising: no result is another one (rule O8)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import context, propagate
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter, MeterProvider, NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as LiveSpan
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import Tracer
from opentelemetry.trace import TracerProvider as ApiTracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import weatherglass
from weatherglass.telemetry import Recorder
from weatherglass.testing import FakeServer, FaultPlan, OtlpReceiver, VirtualClock, faults, rules_of

QUEUES = "/api/v2/routing/queues"


class Broken(Exception):
    """What broken telemetry raises."""


class OnStart(SpanProcessor):
    def on_start(self, span: LiveSpan, parent_context: Context | None = None) -> None:
        raise Broken(span, parent_context)


class OnEnd(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise Broken(span)


class Exporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise Broken(spans)


class Sampling(Sampler):
    def should_sample(self, *arguments: Any, **named: Any) -> SamplingResult:
        raise Broken(arguments, named)

    def get_description(self) -> str:
        return "broken"


class Ids(IdGenerator):
    def generate_span_id(self) -> int:
        raise Broken

    def generate_trace_id(self) -> int:
        raise Broken


class NoTracers(ApiTracerProvider):
    def get_tracer(self, *arguments: Any, **named: Any) -> Tracer:
        raise Broken(arguments, named)


class NoMeters(MeterProvider):
    def get_meter(self, *arguments: Any, **named: Any) -> Meter:
        raise Broken(arguments, named)


class _Instrument:
    def add(self, *arguments: Any) -> None:
        raise Broken(arguments)

    record = add


class _BrokenMeter:
    """A meter whose instruments raise at every measurement."""

    def create_counter(self, *_: Any, **__: Any) -> _Instrument:
        return _Instrument()

    create_histogram = create_counter
    create_observable_gauge = create_counter
    create_observable_up_down_counter = create_counter


class BrokenInstruments(MeterProvider):
    def get_meter(self, *_: Any, **__: Any) -> Any:
        return _BrokenMeter()


def traced(*processors: SpanProcessor, **options: Any) -> Recorder:
    provider = TracerProvider(**options)
    for processor in processors:
        provider.add_span_processor(processor)
    return Recorder(provider, NoOpMeterProvider())


BROKEN: dict[str, Callable[[], Recorder]] = {
    "processor at start": lambda: traced(OnStart()),
    "processor at end": lambda: traced(OnEnd()),
    "exporter": lambda: traced(SimpleSpanProcessor(Exporter())),
    "sampler": lambda: traced(sampler=Sampling()),
    "ids": lambda: traced(id_generator=Ids()),
    "no tracers": lambda: Recorder(NoTracers(), NoOpMeterProvider()),
    "no meters": lambda: Recorder(TracerProvider(), NoMeters()),
    "instruments": lambda: Recorder(TracerProvider(), BrokenInstruments()),
}


def story(recorder: Recorder | None) -> list[Any]:
    """Some weather, and what became of each call: an answer or an error, and its report."""
    clock = VirtualClock()
    plan = FaultPlan(
        rules=rules_of(
            None,
            faults.answer(503, retry_after=2),
            faults.reset(),
            faults.answer(429, retry_after="unparseable"),
            faults.redirect("/bytes/9"),
            None,
            faults.answer(404),
            faults.daily_limit(),
            None,
            *[faults.reset()] * 4,
            *[faults.answer(503)] * 9,
            path=QUEUES,
        )
    )
    with FakeServer(plan, clock, require_tokens=True, port=0) as server:
        session = weatherglass.Session(
            policy=weatherglass.Policy().new(breaker={"consecutive_failures": 6}),
            tokens=weatherglass.ClientCredentials(
                token_url=server.token_url,
                client_id="fake-client",
                client_secret="fake-secret",
                origins=[server.url],
            ),
            callbacks=weatherglass.Callbacks(on_failure=_raise),
            runtime=clock,
            recorder=recorder,
        )
        session.trust_env = False
        with session:
            ends = [_end(session, server, number) for number in range(9)]
        entries = len(server.ledger.requests())
    return [*ends, entries]


def _raise(_: object) -> None:
    raise LookupError("of the application")


def _end(session: weatherglass.Session, server: FakeServer, number: int) -> Any:
    if number == 3:
        server.revoke_tokens()
    try:
        ended: Any = session.get(server.url + QUEUES)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        ended = error
    report = weatherglass.report(ended)
    body = getattr(ended, "content", type(ended))
    attempts = [(a.status, a.failure and a.failure.kind, a.delay) for a in report.attempts]
    return body, report.outcome, report.give_up_reason, report.waited, attempts


@pytest.fixture(scope="module")
def undisturbed() -> list[Any]:
    """How the story goes without telemetry."""
    return story(None)


@pytest.mark.parametrize("broken", BROKEN)
def test_telemetry_that_raises(broken: str, undisturbed: list[Any]) -> None:
    """O8: whatever part of telemetry raises, calls end as they do without it."""
    before = context.get_current()
    assert story(BROKEN[broken]()) == undisturbed
    assert context.get_current() == before


class _RaisingPropagator(TraceContextTextMapPropagator):
    def inject(self, *arguments: Any, **named: Any) -> None:
        raise Broken(arguments, named)


@contextmanager
def broken_propagator() -> Iterator[None]:
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(_RaisingPropagator())
    try:
        yield
    finally:
        propagate.set_global_textmap(before)


def test_propagator_that_raises(undisturbed: list[Any]) -> None:
    """O8: a propagator that raises costs the header, and nothing else."""
    with broken_propagator():
        assert story(traced()) == undisturbed


def test_logging_that_raises(undisturbed: list[Any]) -> None:
    """O8: a logging filter that raises disturbs no call."""
    logger = logging.getLogger("weatherglass")

    def broken(record: logging.LogRecord) -> bool:
        raise Broken(record)

    logger.addFilter(broken)
    try:
        assert story(traced()) == undisturbed
    finally:
        logger.removeFilter(broken)


def test_first_failure_of_telemetry_is_told_aloud(caplog: pytest.LogCaptureFixture) -> None:
    """O8: that telemetry itself failed is warned of once for each step, without what it quoted."""
    caplog.set_level("WARNING", "weatherglass")
    story(traced(OnEnd()))
    warned = [r.getMessage() for r in caplog.records if "telemetry failed" in r.getMessage()]
    assert warned
    assert len(warned) == len(set(warned))
    assert all("Broken" in message for message in warned)


@contextmanager
def exporting_to(receiver: OtlpReceiver) -> Iterator[Recorder]:
    """A recorder on an SDK as ``configure()`` sets it up, with queues that are soon full."""
    spans = OTLPSpanExporter(receiver.url + "/v1/traces", timeout=1)
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(
        BatchSpanProcessor(
            spans, max_queue_size=8, max_export_batch_size=4, schedule_delay_millis=1
        )
    )
    metrics = OTLPMetricExporter(receiver.url + "/v1/metrics", timeout=1)
    reader = PeriodicExportingMetricReader(metrics, export_interval_millis=20)
    meter_provider = SdkMeterProvider([reader])
    try:
        yield Recorder(tracer_provider, meter_provider)
    finally:
        tracer_provider.shutdown()
        meter_provider.shutdown()


@pytest.mark.parametrize("ill", ["fail", "hang", "refuse"])
def test_collector_that_is_ill(
    ill: str, undisturbed: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """O8: a collector that fails, hangs or refuses changes no result, also with full queues."""
    caplog.set_level("CRITICAL", "opentelemetry")
    with OtlpReceiver() as receiver:
        getattr(receiver, ill)()
        with exporting_to(receiver) as recorder:
            told = [story(recorder) for _ in range(2)]
            if ill != "refuse":
                receiver.wait_for(lambda it: it.exports.get("/v1/traces", 0) > 0)
            receiver.recover()
    assert told == [undisturbed, undisturbed]


def test_collector_that_recovers(undisturbed: list[Any]) -> None:
    """O8: what is told after a collector has recovered arrives."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    try:
        with OtlpReceiver() as receiver:
            receiver.fail(400)
            with exporting_to(receiver) as recorder:
                story(recorder)
                receiver.wait_for(lambda it: it.exports.get("/v1/traces", 0) > 0)
                receiver.recover()
                assert story(recorder) == undisturbed
                receiver.wait_for(lambda it: it.spans("weatherglass.call"))
                receiver.wait_for(lambda it: it.metric("weatherglass.give_ups").value)
    finally:
        logging.getLogger("opentelemetry").setLevel(logging.NOTSET)
