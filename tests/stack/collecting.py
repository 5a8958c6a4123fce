"""An application whose telemetry goes through a real Collector, and what is found at the far end.

Nothing here decides what must arrive: the tests do, from the ledger of the server that the
application called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from stack.processes import Collector

import weatherglass
from weatherglass.telemetry import Recorder
from weatherglass.testing import FakeServer, FaultPlan, OtlpReceiver, Span, faults

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "otel-collector.yaml"
SCRAPE = ROOT / "collector" / "scrape.yaml"
SAMPLING = ROOT / "collector" / "tail-sampling.yaml"
BALANCER = ROOT / "collector" / "gateway-balancer.yaml"
SAMPLER = ROOT / "collector" / "gateway-sampler.yaml"
CONFIGURATIONS = (MAIN, SCRAPE, SAMPLING, BALANCER, SAMPLER)

NAMESPACE = "shop"
SERVICE = "orders"
INSTANCE = "orders-1"

PATIENCE = 60.0
"""Seconds: long, because the machine may be busy; nothing waits so long when all is well."""

_NO_FAULTS = FaultPlan()
_QUICK: dict[str, Any] = {
    "retry": {"base_delay": 0.05, "max_delay": 0.1},
    "retry_after": {"floor": 0.0},
}

# What listens on gRPC in the place of a trace store, and hands on what it gets to the receiver in
# the test's own process, where nothing speaks gRPC: it does not go well with forks.
_STORE = """
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: ${env:COLLECTOR_OTLP_GRPC}
exporters:
  otlp_http:
    endpoint: ${env:RECEIVER}
    sending_queue:
      enabled: false
extensions:
  health_check:
    endpoint: ${env:COLLECTOR_HEALTH}
service:
  extensions: [health_check]
  telemetry:
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [otlp_http]
"""


@contextmanager
def trace_store(folder: Path, receiver: OtlpReceiver, *, address: str = "") -> Iterator[str]:
    """A trace store that takes OTLP over gRPC, and leads to a receiver; gives its address."""
    config = folder / "store.yaml"
    config.write_text(_STORE, encoding="utf-8")
    env = {"RECEIVER": receiver.url}
    if address:
        env["COLLECTOR_OTLP_GRPC"] = address
    with Collector(config, env=env) as store:
        yield store.otlp_grpc


class Application:
    """A context manager: a server with faults, sessions that call it, and exporters of their own.

    Each span is exported when it ends, so a Collector sees the first of a call before the last.
    """

    def __init__(
        self, collector_url: str, plan: FaultPlan = _NO_FAULTS, *, instance: str = INSTANCE
    ) -> None:
        resource = Resource.create(
            {
                "service.namespace": NAMESPACE,
                "service.name": SERVICE,
                "service.instance.id": instance,
            }
        )
        self.server = FakeServer(plan)
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._tracers.add_span_processor(
            SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{collector_url}/v1/traces"))
        )
        reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(endpoint=f"{collector_url}/v1/metrics"),
            export_interval_millis=3_600_000,
        )
        self._meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._sessions: list[weatherglass.Session] = []
        self._finished = False

    def __enter__(self) -> Application:  # noqa: PYI034 - Self needs Python 3.11
        self.server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.finish()
        self.server.stop()

    @property
    def sent(self) -> int:
        """How many requests the server has got."""
        return len(self.server.ledger.requests())

    def session(self, **policy: Any) -> weatherglass.Session:
        """A session with a policy that does not wait long."""
        session = weatherglass.Session(
            policy=weatherglass.Policy().new(**{**_QUICK, **policy}),
            recorder=Recorder(self._tracers, self._meters),
        )
        session.trust_env = False
        self._sessions.append(session)
        return session

    def calls(self, *script: faults.Fault | None, **policy: Any) -> None:
        """One call, whose attempts meet the faults one after the other."""
        self.server.plan = FaultPlan.script(*script)
        self.session(**policy).get(f"{self.server.url}/echo")

    def flush(self) -> None:
        """Export the metrics as they are now."""
        self._meters.force_flush()

    def finish(self) -> None:
        """Export the metrics for the last time, while the Collector is there, and nothing more."""
        if not self._finished:
            self._finished = True
            for session in self._sessions:
                session.close()
            self._tracers.shutdown()
            self._meters.shutdown()


def traces_of(spans: Sequence[Span]) -> dict[str, list[Span]]:
    """The spans by trace."""
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(span.trace_id, []).append(span)
    return found


def shape(spans: Sequence[Span]) -> list[str]:
    """The names of the spans of one trace, in alphabetical order."""
    return sorted(span.name for span in spans)


def whole(receiver: OtlpReceiver, count: int) -> bool:
    """Whether so many traces have come, each with the span of its call."""
    return len(receiver.spans("weatherglass.call")) >= count
