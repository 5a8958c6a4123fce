"""A stage for stories: one server, sessions on it, one time for both, and all telemetry kept.

Everything that is told is brought into the form in which a collector would receive it, so that
what is proved here can be asked of a real collector too. What the telemetry must say is not
decided here: see ``retelling``.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from types import TracebackType
from typing import Any

import requests
from announced import Announced, edges_seen
from levels import expected_levels
from mutations import Mute, MuteLoggers, MuteMeters, MuteTracers
from narrative import CallStory, Told
from occurrences import Raised, WindowEvent
from opentelemetry import trace as api
from opentelemetry._logs import _internal as logs_internal
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.metrics import MeterProvider as ApiMeterProvider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from registered import check_registered
from retelling import check_story

import weatherglass
from weatherglass.feeds import FeedReading
from weatherglass.policy import LimitHeaders
from weatherglass.telemetry import Recorder
from weatherglass.telemetry.events import raised_at
from weatherglass.telemetry.observables import Source
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeServer,
    FaultPlan,
    LogRecord,
    MetricPoint,
    Span,
    VirtualClock,
    faults,
)
from weatherglass.testing.telemetry_records import decode_logs, decode_metrics, decode_spans

NO_FAULTS = FaultPlan()

SERVER_LIMITS = LimitHeaders(
    name="fake server",
    limit="inin-ratelimit-allowed",
    used="inin-ratelimit-count",
    reset="inin-ratelimit-reset",
)
"""Where the fake server tells of its rate limit."""


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


class _NotingRecorder(Recorder):
    """Notes who wants to be asked at export: the witnesses of what is told then."""

    def __init__(self, sources: list[Source], *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._noted = sources

    def register(self, source: Source) -> None:
        self._noted.append(source)
        super().register(source)


class Exported:
    """An SDK whose exports stay in memory, to be read as OTLP.

    ``mute``, which may be set until the first recorder is asked for, leaves one thing out.
    ``events`` is where its recorders tell events.
    """

    mute: Mute | None = None
    events: str = "span"

    def __init__(self, *processors: SpanProcessor, **options: Any) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider(**options)
        for processor in (*processors, SimpleSpanProcessor(self._spans)):
            self.tracer_provider.add_span_processor(processor)
        self.meter_provider = MeterProvider([self._reader])
        self._records = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK's
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._records))
        self.sources: list[Source] = []

    def recorder(self, **options: Any) -> Recorder:
        """A recorder that exports to here."""
        return _NotingRecorder(self.sources, *self._providers, events=self.events, **options)

    @cached_property
    def _providers(self) -> tuple[api.TracerProvider, ApiMeterProvider]:
        if self.mute is None:
            return self.tracer_provider, self.meter_provider
        return (
            MuteTracers(self.tracer_provider, self.mute),
            MuteMeters(self.meter_provider, self.mute),
        )

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Get the log records of OpenTelemetry, whose provider a recorder is not given."""
        before = logs_internal._LOGGER_PROVIDER
        provider: Any = self.logger_provider
        logs_internal._LOGGER_PROVIDER = (
            provider if self.mute is None else MuteLoggers(provider, self.mute)
        )
        try:
            yield
        finally:
            logs_internal._LOGGER_PROVIDER = before

    def records(self) -> list[LogRecord]:
        """All log records of OpenTelemetry."""
        encoded = encode_logs(self._records.get_finished_logs())
        return decode_logs(encoded.SerializeToString())

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
        self.logger_provider.shutdown()


class Stage:
    """A context manager: the server runs, and what its sessions tell is kept.

    ``memories`` are the reports of the calls made with :meth:`play`, each with what the call
    raised, if anything, in the order of their ends. ``exported`` is given for one stage of
    several, whose telemetry and logs are kept by others: see :class:`Theatre`.
    """

    def __init__(
        self,
        plan: FaultPlan = NO_FAULTS,
        *processors: SpanProcessor,
        clock: VirtualClock | None = None,
        exported: Exported | None = None,
        **server: Any,
    ) -> None:
        self.clock = VirtualClock() if clock is None else clock
        self.server = FakeServer(plan, self.clock, **server)
        self.exported = Exported(*processors) if exported is None else exported
        self.plans = [plan]
        self.memories: list[tuple[weatherglass.CallReport, BaseException | None]] = []
        self.refreshes: list[Any] = []
        self.transitions: list[Any] = []
        self.raised: list[Raised] = []
        self.observing: set[str] = set()
        self.announced = Announced()
        self.logs: list[logging.LogRecord] = []
        self._opened: list[weatherglass.Session] = []
        self._looked: dict[int, list[float]] = {}
        self._ends = ExitStack()
        self._shares = exported is not None
        self._latest = threading.local()

    def __enter__(self) -> Stage:  # noqa: PYI034 - Self needs Python 3.11
        self._ends.enter_context(self.server)
        if not self._shares:
            self._ends.callback(self.exported.shutdown)
            self.logs = self._ends.enter_context(kept_logs())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for session in self._opened:
            session.close()
        self._ends.__exit__(kind, error, traceback)

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def reports(self) -> list[weatherglass.CallReport]:
        return [report for report, _ in self.memories]

    def script(self, *script: faults.Fault | None, **conditions: Any) -> None:
        """From now on, the i-th request meets the i-th fault."""
        self.server.plan = FaultPlan.script(*script, **conditions)
        self.plans.append(self.server.plan)

    @property
    def played(self) -> list[faults.Fault]:
        """The faults of all plans."""
        return [rule.fault for plan in self.plans for rule in plan.rules]

    def callbacks(self, **others: Callable[[Any], Any]) -> weatherglass.Callbacks:
        """Callbacks that keep what the comparison needs, and those of the story."""
        kept: dict[str, Callable[[Any], Any]] = {
            "on_call": self._remember,
            "on_refresh": self.refreshes.append,
            "on_transition": self.transitions.append,
        }
        for name, callback in others.items():
            kept[name] = self.watched(name, callback, kept.get(name))
        return weatherglass.Callbacks(**kept)

    def watched(
        self,
        name: str,
        callback: Callable[[Any], Any],
        before: Callable[[Any], Any] | None = None,
    ) -> Callable[[Any], Any]:
        """A callback of the story, after that of the stage; what it raises is noted."""

        def watched(subject: Any) -> Any:
            if before is not None:
                before(subject)
            try:
                return callback(subject)
            except Exception as error:
                self.raised.append(Raised(name, type(error).__qualname__, *raised_at(error)))
                raise

        return watched

    def _remember(self, report: weatherglass.CallReport) -> None:
        self._latest.report = report

    def session(
        self, *, callbacks: Mapping[str, Callable[[Any], Any]] | None = None, **policy: Any
    ) -> weatherglass.Session:
        """A session on this stage; ``policy`` are the fields of its policy."""
        tokens = policy.pop("token_source", None)
        policy.setdefault("limit_headers", (SERVER_LIMITS,))
        if policy.get("mode") == "observe":
            policy.setdefault("name", "observing")
            self.observing.add(policy["name"])
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
        looked = self._looked.setdefault(id(session), [])
        looked.append(self.clock.time())
        try:
            answer = session.request(method, url, **arguments)
        except (Exception, KeyboardInterrupt) as raised:  # noqa: BLE001 - the story's end
            error = raised
        # The call's own: those of calls made inside of it came earlier.
        if self._latest.report is not None:
            self.memories.append((self._latest.report, error))
            looked += [attempt.started_at for attempt in self._latest.report.attempts]
        return answer if error is None else error

    def window_events(self) -> Counter[WindowEvent]:
        """Which windows must have been told of: by whoever first called in one, and after it."""
        told: Counter[WindowEvent] = Counter()
        for session in self._opened:
            looked = self._looked.get(id(session), [])
            for window in (
                *session.policy.maintenance.windows,
                *self.announced.windows(session),
            ):
                told.update(edges_seen(window, looked))
        return told

    def read_feeds(self, session: weatherglass.Session) -> Mapping[str, FeedReading]:
        """Have a session read its feeds of maintenance windows now."""
        return self.announced.read(session)

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
    return check_all([stage], stage.exported, stage.logs, in_threads=in_threads)


def check_all(
    stages: Sequence[Stage], exported: Exported, logs: list[logging.LogRecord], **how: bool
) -> list[CallStory]:
    """Compare all that was told on some stages with their reports and their ledgers.

    No two of them may be under way at a time.
    """
    levels = expected_levels(exported.sources)
    points = exported.points()
    records = None if exported.events == "span" else exported.records()
    told = Told(exported.spans(), points, logs, records)
    check_registered(told.spans, told.points)
    return check_story(
        told,
        [memory for stage in stages for memory in stage.memories],
        [entry for stage in stages for entry in stage.server.ledger.requests()],
        transitions=[each for stage in stages for each in stage.transitions],
        refreshes=[each for stage in stages for each in stage.refreshes],
        raised=[each for stage in stages for each in stage.raised],
        windows=sum((stage.window_events() for stage in stages), Counter()),
        feed_failures=[each for stage in stages for each in stage.announced.failures],
        observing={name for stage in stages for name in stage.observing},
        levels=levels,
        **how,
    )
