"""What OTLP carries, as plain records: spans, metric points and log records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Attributes = Mapping[str, Any]

_SPAN_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUSES = ("UNSET", "OK", "ERROR")
_TEMPORALITIES = ("unspecified", "delta", "cumulative")


@dataclass(frozen=True, slots=True)
class Scope:
    """The instrumentation scope."""

    name: str
    version: str
    schema_url: str = ""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """An event on a span."""

    name: str
    time_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A link from a span to another."""

    trace_id: str
    span_id: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    """A finished span; ids are lower-case hex, times nanoseconds since the epoch."""

    name: str
    kind: str
    """``INTERNAL``, ``CLIENT``, ``SERVER`` …"""
    trace_id: str
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    attributes: Attributes
    events: tuple[SpanEvent, ...]
    links: tuple[SpanLink, ...]
    status: str
    """``UNSET``, ``OK`` or ``ERROR``."""
    status_message: str
    scope: Scope
    resource: Attributes = field(repr=False)

    @property
    def duration(self) -> float:
        """Seconds."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A sample measurement with the span in which it was made."""

    value: float
    time_ns: int
    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One data point of one series."""

    name: str
    kind: str
    """``sum``, ``gauge``, ``histogram``, ``exponential_histogram`` or ``summary``."""
    unit: str
    attributes: Attributes
    value: float | None
    """Of sums and gauges."""
    count: int | None
    """Of histograms, as are ``sum``, ``bounds`` and ``bucket_counts``."""
    sum: float | None
    bounds: tuple[float, ...]
    bucket_counts: tuple[int, ...]
    start_ns: int
    time_ns: int
    temporality: str
    """``cumulative``, ``delta`` or, for gauges, ``unspecified``."""
    monotonic: bool
    exemplars: tuple[Exemplar, ...]
    scope: Scope
    resource: Attributes = field(repr=False)
    description: str = ""

    @property
    def series(self) -> tuple[Any, ...]:
        """What tells this series from the others of its metric."""
        return _frozen(self.resource), self.scope, _frozen(self.attributes)


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A log record."""

    body: Any
    severity: str
    severity_number: int
    time_ns: int
    attributes: Attributes
    trace_id: str | None
    span_id: str | None
    event_name: str
    scope: Scope
    resource: Attributes = field(repr=False)


def decode_spans(payload: bytes) -> list[Span]:
    """The spans of an export request."""
    request = ExportTraceServiceRequest.FromString(payload)
    return [
        _span(span, scope, resource)
        for resource, scope, group in _scopes(request.resource_spans, "scope_spans")
        for span in group.spans
    ]


def decode_metrics(payload: bytes) -> list[MetricPoint]:
    """The metric points of an export request."""
    request = ExportMetricsServiceRequest.FromString(payload)
    return [
        _point(metric, point, scope, resource)
        for resource, scope, group in _scopes(request.resource_metrics, "scope_metrics")
        for metric in group.metrics
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def decode_logs(payload: bytes) -> list[LogRecord]:
    """The log records of an export request."""
    request = ExportLogsServiceRequest.FromString(payload)
    return [
        _log(record, scope, resource)
        for resource, scope, group in _scopes(request.resource_logs, "scope_logs")
        for record in group.log_records
    ]


def _scopes(groups: Iterable[Any], inner: str) -> Iterator[tuple[Attributes, Scope, Any]]:
    for group in groups:
        resource = _attributes(group.resource.attributes)
        for scoped in getattr(group, inner):
            scope = Scope(scoped.scope.name, scoped.scope.version, scoped.schema_url)
            yield resource, scope, scoped


def _span(span: Any, scope: Scope, resource: Attributes) -> Span:
    return Span(
        name=span.name,
        kind=_SPAN_KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() or None,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=tuple(
            SpanEvent(event.name, event.time_unix_nano, _attributes(event.attributes))
            for event in span.events
        ),
        links=tuple(
            SpanLink(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes))
            for link in span.links
        ),
        status=_STATUSES[span.status.code],
        status_message=span.status.message,
        scope=scope,
        resource=resource,
    )


def _point(metric: Any, point: Any, scope: Scope, resource: Attributes) -> MetricPoint:
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    counted = kind in ("histogram", "exponential_histogram", "summary")
    explicit = kind == "histogram"
    return MetricPoint(
        name=metric.name,
        kind=kind,
        unit=metric.unit,
        attributes=_attributes(point.attributes),
        value=None if counted else _number(point),
        count=point.count if counted else None,
        sum=point.sum if counted else None,
        bounds=tuple(point.explicit_bounds) if explicit else (),
        bucket_counts=tuple(point.bucket_counts) if explicit else (),
        start_ns=point.start_time_unix_nano,
        time_ns=point.time_unix_nano,
        temporality=_TEMPORALITIES[getattr(data, "aggregation_temporality", 0)],
        monotonic=getattr(data, "is_monotonic", False),
        exemplars=_exemplars(getattr(point, "exemplars", ())),
        scope=scope,
        resource=resource,
        description=metric.description,
    )


def _exemplars(exemplars: Sequence[Any]) -> tuple[Exemplar, ...]:
    return tuple(
        Exemplar(
            _number(exemplar),
            exemplar.time_unix_nano,
            exemplar.trace_id.hex(),
            exemplar.span_id.hex(),
        )
        for exemplar in exemplars
    )


def _log(record: Any, scope: Scope, resource: Attributes) -> LogRecord:
    return LogRecord(
        body=_value(record.body),
        severity=record.severity_text,
        severity_number=record.severity_number,
        time_ns=record.time_unix_nano or record.observed_time_unix_nano,
        attributes=_attributes(record.attributes),
        trace_id=record.trace_id.hex() or None,
        span_id=record.span_id.hex() or None,
        event_name=record.event_name,
        scope=scope,
        resource=resource,
    )


def _number(point: Any) -> float:
    chosen = point.WhichOneof("value")
    number: float = getattr(point, chosen) if chosen else 0.0
    return number


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    chosen = value.WhichOneof("value")
    if chosen is None:
        return None
    if chosen == "array_value":
        return tuple(_value(item) for item in value.array_value.values)
    if chosen == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, chosen)


def _frozen(attributes: Attributes) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, repr(value)) for key, value in attributes.items()))
