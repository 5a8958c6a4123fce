"""An SDK that exports to a Collector, and what the Collector has written of it.

The Collector's file exporter writes one OTLP export request a line, as JSON. Read back, it is the
same records as an ``OtlpReceiver`` gives.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]  # has none
from google.protobuf.message import Message  # type: ignore[import-untyped]  # likewise
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from stack.processes import Collector
from stage import Exported

from weatherglass.testing import LogRecord, MetricPoint, Span
from weatherglass.testing.telemetry_records import decode_logs, decode_metrics, decode_spans

_CONFIGURATION = """
extensions:
  health_check:
    endpoint: ${env:COLLECTOR_HEALTH}
receivers:
  otlp:
    protocols:
      http:
        endpoint: ${env:COLLECTOR_OTLP_HTTP}
exporters:
  file/traces:
    path: ${env:FOLDER}/traces.jsonl
  file/metrics:
    path: ${env:FOLDER}/metrics.jsonl
  file/logs:
    path: ${env:FOLDER}/logs.jsonl
service:
  extensions: [health_check]
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [file/traces]
    metrics:
      receivers: [otlp]
      exporters: [file/metrics]
    logs:
      receivers: [otlp]
      exporters: [file/logs]
  telemetry:
    metrics:
      level: none
"""

_MANY = 1_000_000
"""Spans in the queue: a test must not outrun its exporter."""


class _Arrived(NamedTuple):
    """What a Collector has written."""

    spans: list[Span]
    points: list[MetricPoint]
    records: list[LogRecord]


class Collected(Exported):
    """A context manager; its Collector ends, and its files are read, when the first asks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        configuration = folder / "collector.yaml"
        configuration.write_text(_CONFIGURATION, encoding="utf-8")
        self._collector = Collector(configuration, env={"FOLDER": str(folder)})
        self._arrived: _Arrived | None = None
        self.sources = []

    def __enter__(self) -> Collected:  # noqa: PYI034 - Self needs Python 3.11
        url = self._collector.__enter__().otlp_http_url
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces"), max_queue_size=_MANY)
        )
        # Metrics are exported when they are asked for, once.
        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(f"{url}/v1/metrics"), export_interval_millis=math.inf
        )
        self.meter_provider = MeterProvider([reader], shutdown_on_exit=False)
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(
            BatchLogRecordProcessor(OTLPLogExporter(f"{url}/v1/logs"), max_queue_size=_MANY)
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._collector.__exit__(kind, error, traceback)

    def spans(self) -> list[Span]:
        """All spans that the Collector has written, in the order of their start."""
        return self._read().spans

    def points(self) -> list[MetricPoint]:
        """The points of all series that it has written."""
        return self._read().points

    def records(self) -> list[LogRecord]:
        """The log records that it has written."""
        return self._read().records

    def shutdown(self) -> None:
        """Read what has arrived, lest the exporters miss the Collector."""
        self._read()

    def _read(self) -> _Arrived:
        if self._arrived is None:
            # Ended by hand, in this order: providers export what they hold, metrics once more
            # than asked for, and the Collector, when it ends, has written all that it was sent.
            assert self.tracer_provider.force_flush()
            assert self.meter_provider.force_flush()
            self.tracer_provider.shutdown()
            self.meter_provider.shutdown()
            self.logger_provider.shutdown()
            self._collector.stop()
            spans = self._requests("traces", ExportTraceServiceRequest, decode_spans)
            points = self._requests("metrics", ExportMetricsServiceRequest, decode_metrics)
            records = self._requests("logs", ExportLogsServiceRequest, decode_logs)
            self._arrived = _Arrived(
                sorted(spans, key=lambda span: span.start_ns), _newest(points), list(records)
            )
        return self._arrived

    def _requests(
        self, signal: str, message: Callable[[], Message], decode: Callable[[bytes], list[Any]]
    ) -> Iterator[Any]:
        with (self._folder / f"{signal}.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                request = ParseDict(json.loads(line, object_hook=_with_ids), message())
                yield from decode(request.SerializeToString())


def _newest(points: Iterator[MetricPoint]) -> list[MetricPoint]:
    """The newest point of each series, with the exemplars of all: each is given once."""
    newest: dict[Any, MetricPoint] = {}
    for point in points:
        series = point.name, point.series
        before = newest.get(series)
        earlier = () if before is None else before.exemplars
        newest[series] = replace(point, exemplars=(*earlier, *point.exemplars))
    return list(newest.values())


def _with_ids(fields: dict[str, Any]) -> dict[str, Any]:
    """OTLP has ids in hex, where JSON for other protobuf messages has base64."""
    for name in ("traceId", "spanId", "parentSpanId"):
        if name in fields:
            fields[name] = base64.b64encode(bytes.fromhex(fields[name])).decode()
    return fields
