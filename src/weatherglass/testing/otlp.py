"""An OTLP/HTTP receiver on loopback that keeps what it was sent, for tests to ask.

It stands in for a collector, a broken one too: it can fail, hang and refuse. It understands
protobuf bodies, plain, gzip and deflate; it is no collector and passes nothing on.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from weatherglass.testing.latches import Latches
from weatherglass.testing.sockets import HOST, Listener
from weatherglass.testing.telemetry_records import (
    LogRecord,
    MetricPoint,
    Span,
    decode_logs,
    decode_metrics,
    decode_spans,
)
from weatherglass.testing.wire import MAX_BODY, Answer, BadRequest, Connection, Request, render

_Found = TypeVar("_Found")
_HUNG = "otlp"


@dataclass(frozen=True, slots=True)
class MetricTotal:
    """A metric summed over its series: the newest cumulative points, or all delta points."""

    series: int
    """How many series there are; 0 when nothing was received."""
    value: float
    """Of sums and gauges."""
    count: int
    """Of histograms, as are ``sum``, ``bounds`` and ``bucket_counts``."""
    sum: float
    bounds: tuple[float, ...] = ()
    bucket_counts: tuple[int, ...] = ()


class OtlpReceiver:
    """Receives traces, metrics and logs; a context manager.

    ``with OtlpReceiver() as otlp: OTLPSpanExporter(endpoint=otlp.url + "/v1/traces")``

    Args:
        keep: how many spans, points and log records each are remembered; by default all.
        port: where to listen; by default wherever there is room.
    """

    def __init__(self, *, keep: int | None = None, port: int = 0) -> None:
        self._changed = threading.Condition()
        self._spans: deque[Span] = deque(maxlen=keep)
        self._points: deque[MetricPoint] = deque(maxlen=keep)
        self._logs: deque[LogRecord] = deque(maxlen=keep)
        self._exports: Counter[str] = Counter()
        self._latches = Latches()
        self._status: int | None = None
        self._hangs = False
        self._listener = Listener(self._serve, name="weatherglass-otlp", port=port)

    def start(self) -> OtlpReceiver:
        """Listen."""
        self._listener.start()
        return self

    def stop(self) -> None:
        """End at once, hung exports included."""
        self._latches.stop()
        self._listener.stop()

    def __enter__(self) -> OtlpReceiver:  # noqa: PYI034 - Self needs Python 3.11
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """What ``OTEL_EXPORTER_OTLP_ENDPOINT`` is to be set to."""
        return f"http://{HOST}:{self._listener.port}"

    @property
    def exports(self) -> Mapping[str, int]:
        """How many export requests came, by path, answered or not."""
        with self._changed:
            return dict(self._exports)

    def fail(self, status: int = 503) -> None:
        """Answer every export with this status, and keep nothing of it."""
        self._status = status

    def hang(self) -> None:
        """Answer no export, until :meth:`recover` or :meth:`stop`."""
        self._latches.close(_HUNG)
        self._hangs = True

    def refuse(self) -> None:
        """Cut all connections and refuse new ones."""
        self._listener.refuse()

    def recover(self) -> None:
        """Be well again."""
        self._status = None
        self._hangs = False
        self._latches.release(_HUNG)
        self._listener.start()

    def clear(self) -> None:
        """Forget all that was received."""
        with self._changed:
            self._spans.clear()
            self._points.clear()
            self._logs.clear()
            self._exports.clear()

    def spans(
        self, name: str | None = None, *, kind: str | None = None, trace_id: str | None = None
    ) -> tuple[Span, ...]:
        """The spans that fit, in the order of their start."""
        with self._changed:
            spans = tuple(self._spans)
        fitting = (
            span
            for span in spans
            if (name is None or span.name == name)
            and (kind is None or span.kind == kind)
            and (trace_id is None or span.trace_id == trace_id)
        )
        return tuple(sorted(fitting, key=lambda span: span.start_ns))

    def points(
        self, name: str | None = None, attributes: Mapping[str, Any] | None = None
    ) -> tuple[MetricPoint, ...]:
        """Every point that was received and has at least these attributes."""
        wanted = (attributes or {}).items()
        with self._changed:
            points = tuple(self._points)
        return tuple(
            point
            for point in points
            if (name is None or point.name == name)
            and all(key in point.attributes and point.attributes[key] == v for key, v in wanted)
        )

    def latest(
        self, name: str | None = None, attributes: Mapping[str, Any] | None = None
    ) -> tuple[MetricPoint, ...]:
        """The newest point of every series."""
        newest: dict[Any, MetricPoint] = {}
        for point in self.points(name, attributes):
            series = (point.name, point.series)
            if series not in newest or point.time_ns >= newest[series].time_ns:
                newest[series] = point
        return tuple(newest.values())

    def metric(self, name: str, attributes: Mapping[str, Any] | None = None) -> MetricTotal:
        """The metric's present total over all series that have at least these attributes."""
        latest = self.latest(name, attributes)
        deltas = [p for p in self.points(name, attributes) if p.temporality == "delta"]
        points = [p for p in latest if p.temporality != "delta"] + deltas
        return MetricTotal(
            series=len(latest),
            value=sum(point.value or 0 for point in points),
            count=sum(point.count or 0 for point in points),
            sum=sum(point.sum or 0.0 for point in points),
            bounds=points[0].bounds if points else (),
            bucket_counts=tuple(map(sum, zip(*(p.bucket_counts for p in points), strict=False))),
        )

    def logs(self) -> tuple[LogRecord, ...]:
        """All log records, in the order of receipt."""
        with self._changed:
            return tuple(self._logs)

    def wait_for(
        self, predicate: Callable[[OtlpReceiver], _Found], timeout: float = 10.0
    ) -> _Found:
        """Wait until the predicate is true of what was received; returns what it returned.

        Raises:
            TimeoutError: when it is not after ``timeout`` seconds; says what was received.
        """
        give_up_at = time.monotonic() + timeout
        with self._changed:
            while not (found := predicate(self)):
                left = give_up_at - time.monotonic()
                if left <= 0:
                    raise TimeoutError(self._missed(timeout))
                self._changed.wait(left)
        return found

    def _missed(self, timeout: float) -> str:
        spans = sorted({span.name for span in self._spans})
        metrics = sorted({point.name for point in self._points})
        return (
            f"what was waited for has not come in {timeout:g} s; exports: {dict(self._exports)},"
            f" spans: {spans}, metrics: {metrics}, logs: {len(self._logs)}"
        )

    def _serve(self, connection: Connection) -> None:
        while not connection.aborted:
            try:
                request = connection.read_request()
            except BadRequest:
                return
            if request is None:
                return
            answer = self._answer(connection, request)
            if answer is None:
                return
            connection.send(render(answer, keep_alive=request.keep_alive))
            if not request.keep_alive:
                return

    def _answer(self, connection: Connection, request: Request) -> Answer | None:
        with self._changed:
            self._exports[request.path] += 1
            self._changed.notify_all()
        if self._hangs:
            self._latches.hang(_HUNG, connection)
            return None
        if self._status is not None:
            return Answer(self._status)
        decode = _DECODERS.get(request.path)
        if decode is None or request.method != "POST":
            return Answer(404)
        if request.header("Content-Type") != "application/x-protobuf":
            return Answer(415)
        try:
            records = decode(_unpacked(request))
        except Exception:  # noqa: BLE001 - whatever is wrong with the body, the client is told
            return Answer(400)
        self._keep(request.path, records)
        # An empty message is what every export response is when all went well.
        return Answer(200, b"", [("Content-Type", "application/x-protobuf")])

    def _keep(self, path: str, records: list[Any]) -> None:
        kept: dict[str, deque[Any]] = {
            "/v1/traces": self._spans,
            "/v1/metrics": self._points,
            "/v1/logs": self._logs,
        }
        with self._changed:
            kept[path].extend(records)
            self._changed.notify_all()


_DECODERS: dict[str, Callable[[bytes], list[Any]]] = {
    "/v1/traces": decode_spans,
    "/v1/metrics": decode_metrics,
    "/v1/logs": decode_logs,
}


def _unpacked(request: Request) -> bytes:
    encoding = (request.header("Content-Encoding") or "identity").lower()
    if encoding == "identity":
        return request.body
    # 32 + the largest window: zlib finds out itself whether it is gzip or deflate.
    unpacker = zlib.decompressobj(32 + zlib.MAX_WBITS)
    unpacked = unpacker.decompress(request.body, MAX_BODY)
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise BadRequest("the body is too large or breaks off")
    return unpacked
