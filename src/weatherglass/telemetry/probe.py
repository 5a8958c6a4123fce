"""Sending one span and one measurement, to see what becomes of them; for ``weatherglass doctor``.

They go through the SDK's real exporters, with whatever the ``OTEL_EXPORTER_OTLP_*`` variables say,
but each is sent once: who asks how things are does not want to hear how they are after a minute
of retries. No global provider is touched, and what the answers mean is said elsewhere.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote

import requests

from weatherglass.runtime import SYSTEM
from weatherglass.telemetry.backend import VERSION
from weatherglass.telemetry.configure import (
    INSTANCE,
    SERVICE,
    Wishes,
    otlp_exporter,
    otlp_protocol,
    sdk_module,
)
from weatherglass.telemetry.definitions import Metric
from weatherglass.telemetry.redact import redact_text, redact_url
from weatherglass.telemetry.registry import REDACTED, SCOPE_NAME

TRACES: Final = "traces"
METRICS: Final = "metrics"

_PROTOBUF: Final = "application/x-protobuf"
_LOGGERS: Final = "opentelemetry.exporter"
_READS_HEADERS: Final = "opentelemetry.util.re"
"""The logger that tells headers it cannot read, with all that is secret in them."""
_EXCERPT: Final = 200
GRACE: Final = 1.0
"""Seconds that whoever is asked may take beyond its own timeout before it is left alone."""
_CAUSE: Final = "last error: "
_REDIRECT: Final = 300
_HEADERS: Final = (
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
)
_SECRET: Final = 4
"""The length from which on a header's value may be a secret: shorter ones are in many words."""

_RESPONSES: Final = {
    TRACES: (
        "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
        "ExportTraceServiceResponse",
        "rejected_spans",
    ),
    METRICS: (
        "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2",
        "ExportMetricsServiceResponse",
        "rejected_data_points",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an endpoint answered over HTTP."""

    status: int
    content_type: str
    location: str
    excerpt: str
    """How its body begins; empty if it is protobuf."""
    date: str
    sent_at: float
    received_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of what was sent."""

    signal: str
    """``traces`` or ``metrics``."""
    protocol: str
    endpoint: str
    """As the exporter uses it, without credentials."""
    accepted: bool = False
    """Whether the exporter was content."""
    answer: Answer | None = None
    error: BaseException | None = None
    told: str = ""
    """The last that the exporter logged, without secrets."""
    rejected: int = 0
    complaint: str = ""
    """What a receiver said that took only a part, or had something to say."""
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends, and how."""

    wishes: Wishes
    service: str
    """The ``service.name``."""
    instance: str
    """The ``service.instance.id``."""
    timeout: float
    """Seconds."""

    def send_span(self, name: str) -> Delivery:
        """Send one span.

        Raises:
            ImportError: when the SDK or the exporter is not installed.
            InvalidPolicy: when the environment asks for a protocol that there is not.
        """
        sdk = sdk_module("opentelemetry.sdk.trace")
        export = sdk_module("opentelemetry.sdk.trace.export")
        memory = sdk_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        sampling = sdk_module("opentelemetry.sdk.trace.sampling")
        kept = memory.InMemorySpanExporter()
        provider = sdk.TracerProvider(resource=self._resource(), sampler=sampling.ALWAYS_ON)
        provider.add_span_processor(export.SimpleSpanProcessor(kept))
        context = sdk_module("opentelemetry.context").Context()
        span = provider.get_tracer(SCOPE_NAME, VERSION).start_span(name, context)
        span.end()
        delivery = self._send(TRACES, lambda exporter: exporter.export(kept.get_finished_spans()))
        return replace(delivery, trace_id=f"{span.get_span_context().trace_id:032x}")

    def send_gauge(self, metric: Metric, value: float) -> Delivery:
        """Send one measurement; raises as :meth:`send_span`."""
        sdk = sdk_module("opentelemetry.sdk.metrics")
        reader = sdk_module("opentelemetry.sdk.metrics.export").InMemoryMetricReader()
        provider = sdk.MeterProvider(metric_readers=[reader], resource=self._resource())
        meter = provider.get_meter(SCOPE_NAME, VERSION)
        meter.create_gauge(metric.name, metric.unit, metric.meaning).set(value)
        data = reader.get_metrics_data()
        provider.shutdown()
        return self._send(METRICS, lambda exporter: exporter.export(data))

    def _resource(self) -> Any:
        resource = sdk_module("opentelemetry.sdk.resources").Resource
        return resource({SERVICE: self.service, INSTANCE: self.instance})

    def _send(self, signal: str, export: Callable[[Any], Any]) -> Delivery:
        protocol = otlp_protocol(signal.upper(), self.wishes)
        watch = _Watch()
        options: dict[str, Any] = {"timeout": self.timeout}
        if protocol != "grpc" and not _has_credential_provider():
            options["session"] = watch
        with _heard() as heard:
            exporter = otlp_exporter(signal.upper(), self.wishes, **options)
            result, error = bounded(
                lambda: _last(exporter, export), self.timeout + GRACE, "the exporter"
            )
        delivery = Delivery(
            signal=signal,
            protocol=protocol,
            endpoint=redact_url(str(getattr(exporter, "_endpoint", self.wishes.endpoint or ""))),
            accepted=getattr(result, "name", "") == "SUCCESS",
            answer=watch.answer(),
            error=watch.error or (None if isinstance(error, _OnceOnlyError) else error),
            told=_redacted(heard[-1]) if heard else "",
        )
        return _with_complaint(delivery, watch.body)


def _redacted(message: str) -> str:
    # gRPC's messages are long, and what they come from stands at their end.
    return _CAUSE.join(redact_text(_unquoted(part)) for part in message.split(_CAUSE))


class _OnceOnlyError(Exception):
    """Ends an export after its first failure: exporters do not try again after an unknown one."""


class _Watch(requests.Session):
    """The exporter's session, which keeps what comes and lets nothing be tried twice."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self.body = b""
        self._answer: Answer | None = None

    def answer(self) -> Answer | None:
        return self._answer

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        sent_at = SYSTEM.time()
        try:
            response = super().send(request, **kwargs)
        except Exception as error:
            self.error = error
            raise _OnceOnlyError from error
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self.body = response.content
        self._answer = Answer(
            status=response.status_code,
            content_type=kind,
            location=redact_url(response.headers.get("Location", "")),
            excerpt="" if kind == _PROTOBUF else _excerpt(response.content),
            date=response.headers.get("Date", ""),
            sent_at=sent_at,
            received_at=SYSTEM.time(),
        )
        if response.status_code >= _REDIRECT:
            raise _OnceOnlyError
        return response


def _excerpt(body: bytes) -> str:
    text = " ".join(body[: 4 * _EXCERPT].decode("utf-8", "replace").split())
    printable = "".join(each if each.isprintable() else "?" for each in text)
    return redact_text(_unquoted(printable))[:_EXCERPT]


def _unquoted(text: str) -> str:
    """A text without the values of our own headers, which some receivers quote."""
    for variable in _HEADERS:
        for pair in os.environ.get(variable, "").split(","):
            value = pair.partition("=")[2].strip()
            for secret in {value, unquote(value)}:
                if len(secret) >= _SECRET:
                    text = text.replace(secret, REDACTED)
    return text


def _has_credential_provider() -> bool:
    # It brings a session of its own, with the credentials in it; that one is then not watched.
    prefix = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_"
    return any(n.startswith(prefix) and n.endswith("CREDENTIAL_PROVIDER") for n in os.environ)


def _with_complaint(delivery: Delivery, body: bytes) -> Delivery:
    """The delivery with what a receiver said of a part that it did not take."""
    answer = delivery.answer
    if answer is None or answer.content_type != _PROTOBUF or not body:
        return delivery
    module, name, count = _RESPONSES[delivery.signal]
    message = getattr(sdk_module(module), name)()
    try:
        message.ParseFromString(body)
    except Exception:  # noqa: BLE001 - whatever it is, it is no answer of the protocol
        return replace(delivery, accepted=False, complaint="the answer is not readable protobuf")
    part = getattr(message, "partial_success", None)
    if part is None:
        return delivery
    said = redact_text(_unquoted(str(part.error_message)))
    return replace(delivery, rejected=int(getattr(part, count)), complaint=said)


def _last(exporter: Any, export: Callable[[Any], Any]) -> Any:
    """Export, and let the exporter go; some do not let go while they export."""
    try:
        return export(exporter)
    finally:
        with suppress(Exception):
            exporter.shutdown()


def bounded(work: Callable[[], Any], seconds: float, what: str) -> tuple[Any, BaseException | None]:
    """Do something for so long at most, whatever its own timeout is; returns result or error.

    Older exporters try for a minute, and what trickles in never times out.
    """
    found: list[Any] = [None, TimeoutError(f"{what} has not ended after {seconds:g} s")]

    def run() -> None:
        try:
            found[:] = [work(), None]
        except Exception as error:  # noqa: BLE001 - it is what is to be told
            found[:] = [None, error]

    thread = threading.Thread(target=run, name="weatherglass-probe", daemon=True)
    thread.start()
    thread.join(seconds)
    result, error = found
    return result, error


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # a message that does not fit its arguments
            self.heard.append(record.getMessage())


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What the exporters log meanwhile; it is then not logged elsewhere."""
    listener = _Listener()
    silent = logging.NullHandler()
    loggers = [logging.getLogger(_LOGGERS), logging.getLogger(_READS_HEADERS)]
    loggers += [logging.getLogger(n) for n in _made_loggers() if n.startswith(f"{_LOGGERS}.")]
    before = [(each, each.propagate, each.filters) for each in loggers]
    for each in loggers:
        # They leave out what they said a minute ago, such as why the other signal failed.
        each.filters = []
    for each, handler in zip(loggers[:2], (listener, silent), strict=True):
        each.addHandler(handler)
        each.propagate = False
    try:
        yield listener.heard
    finally:
        loggers[0].removeHandler(listener)
        loggers[1].removeHandler(silent)
        for each, propagate, filters in before:
            each.propagate, each.filters = propagate, filters


def _made_loggers() -> list[str]:
    return list(logging.root.manager.loggerDict)
