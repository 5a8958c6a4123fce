"""A trace store that speaks OTLP over gRPC, as Tempo and Jaeger do, and keeps the spans' ids."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import grpc  # type: ignore[import-untyped]  # its stubs are another package
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

HOST = "127.0.0.1"


class TraceStore(service.TraceServiceServicer):
    """Listens on a free port of loopback; a context manager."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: set[tuple[str, str]] = set()
        self._server = grpc.server(ThreadPoolExecutor(2, "trace-store"))
        service.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            self, self._server
        )
        self.address = f"{HOST}:{self._server.add_insecure_port(f'{HOST}:0')}"

    def __enter__(self) -> TraceStore:  # noqa: PYI034 - Self needs Python 3.11
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.stop(None).wait()

    def spans(self) -> set[tuple[str, str]]:
        """The trace's and the span's id of all that has come."""
        with self._lock:
            return set(self._spans)

    def Export(  # noqa: N802 - the name in the protocol
        self,
        request: messages.ExportTraceServiceRequest,
        context: grpc.ServicerContext,  # noqa: ARG002 - the protocol's
    ) -> messages.ExportTraceServiceResponse:
        """Keep what is sent."""
        with self._lock:
            self._spans.update(
                (span.trace_id.hex(), span.span_id.hex())
                for resource in request.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            )
        return messages.ExportTraceServiceResponse()
