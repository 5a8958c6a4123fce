"""A stage for stories: one server, sessions on it, one time for both, and all telemetry kept.

Everything that is told is brought into the form in which a collector would receive it, so that
what is proved here can be asked of a real collector too. What the telemetry must say is not
decided here: see ``retelling``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import requests
from narrative import CallStory, Told
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from registered import check_registered
from retelling import check_story

import weatherglass
from weatherglass.telemetry import Recorder
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeServer,
    FaultPlan,
    MetricPoint,
    Span,
    VirtualClock,
    faults,
)
from weatherglass.testing.telemetry_records import decode_metrics, decode_spans

NO_FAULTS = FaultPlan()


class KeptLogs(logging.Handler):
    """The log records of weatherglass, from the lowest level on."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def kept_logs() -> Iterator[list[logging.LogRecord]]:
    """Everything that weatherglass logs meanwhile."""
    logger, handler = logging.getLogger("weatherglass"), KeptLogs()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield handler.records
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class Exported:
    """An SDK whose exports stay in memory, to be read as OTLP."""

    def __init__(self, *processors: SpanProcessor, **options: Any) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider(**options)
        for processor in (*processors, SimpleSpanProcessor(self._spans)):
            self.tracer_provider.add_span_processor(processor)
        self.meter_provider = MeterProvider([self._reader])

    def recorder(self, **options: Any) -> Recorder:
        """A recorder that exports to here."""
        return Recorder(self.tracer_provider, self.meter_provider, **options)

    def traces(self) -> bytes:
        """All finished spans, as they would go over the wire."""
        return bytes(encode_spans(self._spans.get_finished_spans()).SerializeToString())

    def metrics(self) -> bytes:
        """All metrics likewise; exemplars are given once."""
        data = self._reader.get_metrics_data()
        return b"" if data is None else bytes(encode_metrics(data).SerializeToString())

    def spans(self) -> list[Span]:
        """All finished spans, in the order of their start."""
        return sorted(decode_spans(self.traces()), key=lambda span: span.start_ns)

    def points(self) -> list[MetricPoint]:
        """The points of all series."""
        return decode_metrics(self.metrics())

    def shutdown(self) -> None:
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()


class Stage:
    """A context manager: the server runs, and what its sessions tell is kept.

    ``memories`` are the reports of the calls made with :meth:`play`, each with what the call
    raised, if anything, in the order of their ends.
    """

    def __init__(
        self,
        plan: FaultPlan = NO_FAULTS,
        *processors: SpanProcessor,
        clock: VirtualClock | None = None,
        **server: Any,
    ) -> None:
        self.clock = VirtualClock() if clock is None else clock
        self.server = FakeServer(plan, self.clock, **server)
        self.exported = Exported(*processors)
        self.memories: list[tuple[weatherglass.CallReport, BaseException | None]] = []
        self.refreshes: list[Any] = []
        self.transitions: list[Any] = []
        self.logs: list[logging.LogRecord] = []
        self._opened: list[weatherglass.Session] = []
        self._logs = kept_logs()
        self._latest = threading.local()

    def __enter__(self) -> Stage:  # noqa: PYI034 - Self needs Python 3.11
        self.server.start()
        self.logs = self._logs.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._logs.__exit__(kind, error, traceback)
        for session in self._opened:
            session.close()
        self.server.stop()
        self.exported.shutdown()

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def reports(self) -> list[weatherglass.CallReport]:
        return [report for report, _ in self.memories]

    def script(self, *script: faults.Fault | None, **conditions: Any) -> None:
        """From now on, the i-th request meets the i-th fault."""
        self.server.plan = FaultPlan.script(*script, **conditions)

    def callbacks(self, **others: Callable[[Any], Any]) -> weatherglass.Callbacks:
        """Callbacks that keep what the comparison needs, and those of the story."""
        return weatherglass.Callbacks(
            on_call=self._remember,
            on_refresh=self.refreshes.append,
            on_transition=self.transitions.append,
            **others,
        )

    def _remember(self, report: weatherglass.CallReport) -> None:
        self._latest.report = report

    def session(
        self, *, callbacks: Mapping[str, Callable[[Any], Any]] | None = None, **policy: Any
    ) -> weatherglass.Session:
        """A session on this stage; ``policy`` are the fields of its policy."""
        tokens = policy.pop("token_source", None)
        session = weatherglass.Session(
            policy=weatherglass.Policy().new(**policy),
            tokens=tokens,
            callbacks=self.callbacks(**(callbacks or {})),
            runtime=self.clock,
            recorder=self.exported.recorder(runtime=self.clock),
        )
        session.trust_env = False
        self._opened.append(session)
        return session

    def client_credentials(self, **changes: Any) -> weatherglass.ClientCredentials:
        """A token source at the server's own endpoint, for the server alone."""
        settings: dict[str, Any] = {
            "token_url": self.server.token_url,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "origins": [self.server.url],
        }
        return weatherglass.ClientCredentials(**(settings | changes))

    def play(
        self, session: requests.Session, method: str, path: str, **arguments: Any
    ) -> requests.Response | BaseException:
        """One call; returns what it returned, or what it raised."""
        url = path if path.startswith("http") else self.server.url + path
        self._latest.report = None
        error: BaseException | None = None
        try:
            answer = session.request(method, url, **arguments)
        except (Exception, KeyboardInterrupt) as raised:  # noqa: BLE001 - the story's end
            error = raised
        # The call's own: those of calls made inside of it came earlier.
        if self._latest.report is not None:
            self.memories.append((self._latest.report, error))
        return answer if error is None else error

    def get(self, session: requests.Session, path: str = "/echo", **arguments: Any) -> Any:
        """One GET, as :meth:`play` does it."""
        return self.play(session, "GET", path, **arguments)


def attributes_of(point_or_span: MetricPoint | Span) -> dict[str, Any]:
    return dict(point_or_span.attributes)


def only(items: Iterable[Any]) -> Any:
    """The one item."""
    (item,) = items
    return item


def check(stage: Stage, *, in_threads: bool = False) -> list[CallStory]:
    """Compare all that was told on a stage with its reports and its ledger."""
    told = Told(stage.exported.spans(), stage.exported.points(), stage.logs)
    check_registered(told.spans, told.points)
    return check_story(
        told,
        stage.memories,
        stage.server.ledger.requests(),
        transitions=stage.transitions,
        refreshes=stage.refreshes,
        in_threads=in_threads,
    )
