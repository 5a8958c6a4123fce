"""The span and the measurement around a wait."""

from __future__ import annotations

from types import TracebackType

from opentelemetry.trace import Link, SpanContext, SpanKind

from weatherglass.telemetry import registry
from weatherglass.telemetry.backend import Backend
from weatherglass.telemetry.coexistence import Mode, with_span
from weatherglass.telemetry.scopes import CallScope, Scope
from weatherglass.vocabulary import WaitReason


class Waiting:
    """One wait, between ``with`` and its end."""

    __slots__ = ("_began", "_call", "_link", "_planned", "_reason", "_recorder", "_scope", "actual")

    def __init__(
        self,
        recorder: Backend,
        call: CallScope,
        reason: WaitReason,
        planned: float,
        *,
        address: str | None,
        link: SpanContext | None,
    ) -> None:
        self._recorder = recorder
        self._call = call
        self._reason = reason
        self._planned = planned
        self._link = link
        self._scope = Scope(address or call.address, call.port, call.context, call.mode)
        self._began = 0.0
        self.actual: float | None = None
        """Seconds that were waited; measured here, unless whoever waits sets it."""

    def __enter__(self) -> Waiting:  # noqa: PYI034 - Self is not in Python 3.10's typing
        recorder = self._recorder
        try:
            self._began = recorder._runtime.monotonic()  # noqa: SLF001 - a part of it
            tracer = recorder._tracer  # noqa: SLF001 - likewise
            if tracer is not None and self._scope.mode is Mode.OWN:
                span = tracer.start_span(
                    registry.WAIT_SPAN,
                    self._call.context,
                    SpanKind.INTERNAL,
                    {
                        registry.WAIT_REASON: self._reason.value,
                        registry.WAIT_PLANNED: float(self._planned),
                    },
                    () if self._link is None else (Link(self._link),),
                )
                self._scope.span = span
                origin = (self._call.address, self._call.port)
                self._scope.context = with_span(
                    self._call.context, span, origin, suppressed=self._call.guarded
                )
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks a call (O8)
            recorder._failed("waiting", broken)  # noqa: SLF001 - likewise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        recorder, scope = self._recorder, self._scope
        try:
            actual = self.actual
            if actual is None:
                actual = recorder._runtime.monotonic() - self._began  # noqa: SLF001 - likewise
            instruments = recorder._instruments  # noqa: SLF001 - likewise
            if instruments is not None and scope.mode is not Mode.OFF:
                instruments.wait_duration(actual, scope.context, scope.address, self._reason)
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks a call (O8)
            recorder._failed("waiting", broken)  # noqa: SLF001 - likewise
        recorder._close(scope)  # noqa: SLF001 - likewise
