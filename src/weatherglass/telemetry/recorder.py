"""The recorder: tells the course of a call in spans, metrics and events.

The adapter calls it at each step with the records that the report is made of, so the two cannot
tell different stories. No method raises, whatever a provider, processor or exporter does (rule
O8). Without providers next to nothing is done.

A successful first attempt costs two spans, four measurements and one injection; everything that
only failures need is kept away from that path.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from opentelemetry.context import attach, get_current
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

from weatherglass.errors import CallFailed
from weatherglass.report import CallReport
from weatherglass.runtime import Runtime
from weatherglass.telemetry import redact, registry, spans
from weatherglass.telemetry.attempts import Attempts
from weatherglass.telemetry.coexistence import Mode, mode_of, span_of, with_span
from weatherglass.telemetry.incidents import Incidents
from weatherglass.telemetry.scopes import CallScope
from weatherglass.telemetry.waits import Waiting
from weatherglass.vocabulary import Outcome, WaitReason

_OWN: Final = Mode.OWN
_OUTER: Final = Mode.OUTER
_OFF: Final = Mode.OFF
_SUCCESS: Final = Outcome.SUCCESS


class Recorder(Attempts, Incidents):
    """Tells what happens to calls; one for each adapter, all sharing what a provider has.

    Args:
        tracer_provider: by default the global one, whenever it is set.
        meter_provider: likewise.
        events: where events go beside the standard logger: ``span``, ``logs``, ``both``, ``none``.
        runtime: the clock that waits are measured with.
        loudest: events are told at this level of ``logging`` at most.

    Raises:
        InvalidPolicy: for an unknown destination of events.
    """

    def without_metrics(self, runtime: Runtime) -> Recorder:
        """A recorder for what is no call of the application, such as reading a status page (M2).

        Its spans and events go where ours go, whenever providers are set. It measures nothing, so
        that no alert and no share of an origin counts it; and it tells events as details: whoever
        asked for the work says aloud what became of it.

        Args:
            runtime: the clock of that work.
        """
        return Recorder(
            self._given[0],
            NoOpMeterProvider(),
            events=self._destination,
            runtime=runtime,
            loudest=logging.DEBUG,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Providers do not travel; whoever unpickles finds the global ones (D13).
        return _rebuild, (self._destination,)

    # The call

    def enter_call(
        self,
        address: str,
        port: int | None,
        policy: str,
        *,
        observing: bool = False,
        guarded: bool = False,
    ) -> CallScope:
        """Begin a call: its span is current from here on.

        Args:
            address: the server's host.
            port: its port.
            policy: the policy's name.
            observing: whether the policy only observes.
            guarded: whether other HTTP instrumentations are suppressed inside, as they must be
                around ``requests.Session.send``. Each attempt suppresses them in any case.
        """
        context = get_current()
        scope = CallScope(address, port, context, _OWN)
        try:
            self._follow()
            if context:
                scope.mode = mode_of(context)
            if scope.mode is _OWN:
                if self._tracer is not None:
                    scope.span = self._tracer.start_span(
                        registry.CALL_SPAN,
                        context,
                        SpanKind.INTERNAL,
                        self._attributes.call_start[address, port, policy, observing],
                    )
                    scope.guarded = guarded
                elif self._instruments is None:
                    return scope
                scope.context = with_span(
                    context, scope.span, (address, port), suppressed=scope.guarded
                )
                scope.token = attach(scope.context)
            elif scope.mode is _OUTER:
                scope.span = span_of(context)
                span = scope.recording
                if span is not None:
                    own = {registry.POLICY: policy, **spans.observing_mode(observing=observing)}
                    span.set_attributes(own)
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks a call (O8)
            self._failed("enter_call", broken)
        return scope

    def end_call(
        self, scope: CallScope, report: CallReport, error: BaseException | None = None
    ) -> None:
        """End a call.

        Args:
            scope: from :meth:`enter_call`.
            report: the call's report.
            error: what is raised to the caller, if anything is.
        """
        try:
            try:
                if scope.mode is not _OFF:
                    self._tell_call(scope, report, error)
            finally:
                scope.close()
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks a call (O8)
            self._failed("end_call", broken)

    def _tell_call(self, scope: CallScope, report: CallReport, error: BaseException | None) -> None:
        failed = None
        if error is None and spans.is_plain_success(report):
            span = scope.span
            if span is not None and span.is_recording():
                span.set_attributes(spans.SUCCESS_AT_ONCE)
        else:
            if report.failure is not None and not report.succeeded:
                failed = self._error_type(report.failure)
            self._tell_findings_of_call(scope, report, failed, error)
        instruments = self._instruments
        if instruments is not None:
            context, address, outcome = scope.context, scope.address, report.outcome
            instruments.call_duration(report.duration, context, address, outcome, failed)
            if report.attempts:
                # None would fall into the bucket of one.
                instruments.call_attempts(len(report.attempts), context, address, outcome)

    def _tell_findings_of_call(
        self,
        scope: CallScope,
        report: CallReport,
        failed: str | None,
        error: BaseException | None,
    ) -> None:
        span = scope.recording
        # Whoever is refused by an open breaker has been warned when it opened.
        level = logging.INFO if report.outcome is Outcome.REFUSED else logging.WARNING
        self._count_call(scope, report)
        if not self._events.heard(span, level):
            return
        findings = spans.call_findings(report)
        if span is not None:
            if failed is None or scope.mode is _OUTER:
                span.set_attributes(findings)
            else:
                span.set_attributes({**findings, registry.ERROR_TYPE: failed})
            if report.outcome is not _SUCCESS and scope.mode is _OWN:
                span.set_status(StatusCode.ERROR, spans.call_description(report))
        if error is not None and scope.mode is _OWN:
            told = _exception(error, report)
            self._events.tell(
                registry.EXCEPTION, told, span, level=logging.DEBUG, context=scope.context
            )
        if report.give_up_reason is not None:
            self._tell_give_up(scope, report, findings, level)

    def _count_call(self, scope: CallScope, report: CallReport) -> None:
        instruments = self._instruments
        if instruments is None:
            return
        context, address = scope.context, scope.address
        if report.give_up_reason is not None:
            instruments.give_ups(1, context, address, report.give_up_reason)
        if report.idempotency_key_source is not None and report.attempts:
            # A redirect that turned POST into GET is another request, without the key.
            reused = sum(attempt.method == report.method for attempt in report.attempts) > 1
            instruments.idempotency_keys(1, context, address, report.idempotency_key_source, reused)
        for decision in report.observed:
            instruments.observed_decisions(1, context, address, decision)

    def _tell_give_up(
        self, scope: CallScope, report: CallReport, findings: dict[str, Any], level: int
    ) -> None:
        told = {
            registry.SERVER_ADDRESS: scope.address,
            registry.HTTP_REQUEST_METHOD: spans.canonical_method(report.method),
            registry.URL_FULL: redact.redact_url(report.url),
        }
        told |= {
            attribute.name: findings[attribute.name]
            for attribute in registry.CALL_GIVEN_UP.attributes
            if attribute.name in findings
        }
        self._events.tell(
            registry.CALL_GIVEN_UP, told, scope.span, level=level, context=scope.context
        )

    # Waits

    def waiting(
        self,
        call: CallScope | None,
        reason: WaitReason,
        planned: float,
        *,
        address: str | None = None,
        link: SpanContext | None = None,
    ) -> Waiting:
        """A context manager around a wait.

        Args:
            call: the call's scope; by default what is current.
            reason: what is waited for.
            planned: seconds.
            address: the host that is waited for; after a redirect it is not the call's.
            link: for the refresh of another thread: the ``link`` of its scope.
        """
        scope = call if call is not None else self.ambient()
        return Waiting(self, scope, reason, planned, address=address, link=link)


def _exception(error: BaseException, report: CallReport) -> dict[str, str]:
    told = {registry.EXCEPTION_TYPE: spans.exception_name(error)}
    failure = report.failure
    last = report.attempts[-1].failure if report.attempts else None
    # What came neither from the wire nor from us, a hook of the application raised: its message
    # may quote anything.
    ours = isinstance(error, CallFailed) or failure is last
    message = redact.exception_message(error, failure) if ours else None
    if message is not None:
        told[registry.EXCEPTION_MESSAGE] = message
    return told


def _rebuild(destination: str) -> Recorder:
    return Recorder(events=destination)
