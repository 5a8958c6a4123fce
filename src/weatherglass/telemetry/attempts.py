"""The parts of a recorder for attempts: one request on the wire each."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Final

from opentelemetry.context import attach
from opentelemetry.propagate import inject
from opentelemetry.trace import SpanKind, StatusCode, Tracer

from weatherglass.report import Attempt, RetryAfter
from weatherglass.telemetry import redact, registry, spans
from weatherglass.telemetry.backend import Backend
from weatherglass.telemetry.coexistence import Mode, with_span
from weatherglass.telemetry.instruments import Instruments
from weatherglass.telemetry.scopes import AttemptScope, CallScope
from weatherglass.vocabulary import (
    Disposition,
    Kind,
    ResendReason,
    RetryAfterVariant,
    WaitReason,
)

_OWN: Final = Mode.OWN
_OUTER: Final = Mode.OUTER
_OFF: Final = Mode.OFF

_Extras = tuple[int, ResendReason | None, str | None]
"""How many requests were sent before, why this one is, and the route."""

_NO_EXTRAS: Final[_Extras] = (0, None, None)


class Attempts(Backend):
    """Tells attempts, and what was decided after each."""

    def start_attempt(
        self,
        call: CallScope | None,
        method: str,
        url: str,
        address: str,
        port: int | None,
        *,
        headers: MutableMapping[str, str],
        resend_count: int = 0,
        resend_reason: ResendReason | None = None,
        url_template: str | None = None,
    ) -> AttemptScope:
        """Begin an attempt, and put its trace context into the headers that it will send.

        Args:
            call: the call's scope, or a token refresh's; by default what is current.
            method: the method as sent.
            url: the URL; it is redacted here.
            address: the host that the request is for.
            port: its port.
            headers: of this attempt alone.
            resend_count: how many requests of the call were sent before (rule O3).
            resend_reason: why this one is sent, if it is not the first.
            url_template: the route, if the caller gave one.
        """
        if call is None:
            call = self.ambient()
        attempt = AttemptScope(call, method, address, port)
        try:
            if attempt.mode is _OUTER:
                attempt.span = call.span
            elif attempt.mode is _OWN:
                if self._tracer is not None:
                    extras = (resend_count, resend_reason, url_template)
                    self._start_client_span(self._tracer, attempt, url, extras)
                elif self._instruments is not None:
                    attempt.method = spans.canonical_method(method)
                if attempt.context:
                    # Without a tracer, a context that came from elsewhere is still passed on.
                    inject(headers, attempt.context)
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks a call (O8)
            self._failed("start_attempt", broken)
        return attempt

    def _start_client_span(
        self, tracer: Tracer, attempt: AttemptScope, url: str, extras: _Extras
    ) -> None:
        call = attempt.call
        name, start = self._attributes.attempt_start[attempt.method, attempt.address, attempt.port]
        attempt.method = start[registry.HTTP_REQUEST_METHOD]
        attributes = {**start, registry.URL_FULL: redact.redact_url(url)}
        if extras != _NO_EXTRAS:
            name = _describe(name, attributes, extras)
        span = tracer.start_span(name, call.context, SpanKind.CLIENT, attributes)
        attempt.span = span
        origin = (call.address, call.port)
        attempt.context = with_span(call.context, span, origin, suppressed=True)
        attempt.token = attach(attempt.context)

    def end_attempt(
        self, scope: AttemptScope, attempt: Attempt, protocol_version: str | None = None
    ) -> None:
        """End an attempt, and tell what was decided after it.

        Args:
            scope: from :meth:`start_attempt`.
            attempt: the attempt's record, decisions included.
            protocol_version: of HTTP, such as ``1.1``.
        """
        try:
            try:
                if scope.mode is not _OFF:
                    self._tell_attempt(scope, attempt, protocol_version)
            finally:
                scope.close()
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks a call (O8)
            self._failed("end_attempt", broken)
        if attempt.delay is not None:
            self._tell_retry(scope, attempt)

    def _tell_attempt(
        self, scope: AttemptScope, attempt: Attempt, protocol_version: str | None
    ) -> None:
        failed = None
        if attempt.failure is not None or attempt.maintenance is not None:
            if attempt.failure is not None:
                failed = self._error_type(attempt.failure)
            self._tell_findings(scope, attempt, protocol_version, failed)
        elif scope.span is not None and scope.mode is _OWN and scope.span.is_recording():
            scope.span.set_attributes(
                self._attributes.attempt_success[attempt.status, protocol_version]
            )
        if self._instruments is not None:
            self._count_attempt(self._instruments, scope, attempt, failed)

    @staticmethod
    def _count_attempt(
        instruments: Instruments, scope: AttemptScope, attempt: Attempt, failed: str | None
    ) -> None:
        failure = attempt.failure
        context, address = scope.context, scope.address
        if scope.mode is _OWN:
            instruments.request_duration(
                attempt.duration,
                context,
                scope.method,
                address,
                scope.port,
                attempt.status,
                failed,
            )
        kind = registry.NO_FAILURE if failure is None else failure.kind
        instruments.attempts(1, context, address, kind, attempt.maintenance is not None)
        if failure is not None:
            instruments.failures(
                1, context, address, failure.kind, redact.safe_code(failure.code), attempt.status
            )

    def _tell_findings(
        self,
        scope: AttemptScope,
        attempt: Attempt,
        protocol_version: str | None,
        failed: str | None,
    ) -> None:
        findings = spans.attempt_findings(attempt)
        span = scope.recording
        if span is not None:
            if scope.mode is _OUTER:
                # The span is about the whole call, which a failure that is overcome is not of.
                if attempt.delay is None:
                    span.set_attributes(findings)
            else:
                end = spans.attempt_end(attempt, protocol_version, failed)
                span.set_attributes({**end, **findings})
                if failed is not None:
                    span.set_status(StatusCode.ERROR)
        failure = attempt.failure
        if failure is None:
            return
        if failure.retry_after is not None:
            self._tell_retry_after(scope, failure.retry_after, attempt.disposition)
        if failure.kind is Kind.ESCALATED:
            told = {
                name: findings[name]
                for name in (registry.FAILURE_CODE, registry.CORRELATION_ID)
                if name in findings
            }
            told[registry.SERVER_ADDRESS] = scope.address
            self._events.tell(registry.AUTH_ESCALATED, told, scope.span, context=scope.context)

    def _tell_retry_after(
        self, scope: AttemptScope, asked: RetryAfter, disposition: Disposition | None
    ) -> None:
        disposition = disposition or Disposition.IGNORED
        if self._instruments is not None:
            self._instruments.retry_after_headers(
                1, scope.context, scope.address, asked.variant, asked.source, disposition
            )
        if asked.variant is RetryAfterVariant.MISSING:
            return
        told: dict[str, Any] = {
            registry.SERVER_ADDRESS: scope.address,
            registry.RETRY_AFTER_VARIANT: asked.variant.value,
            registry.RETRY_AFTER_SOURCE: asked.source.value,
            registry.RETRY_AFTER_DISPOSITION: disposition.value,
        }
        if asked.seconds is not None:
            told[registry.RETRY_AFTER_SECONDS] = asked.seconds
        raw = asked.raw and {registry.RETRY_AFTER_RAW: redact.safe_raw(asked.raw)}
        self._events.tell(
            registry.RETRY_AFTER_RECEIVED,
            told,
            scope.span,
            level=logging.WARNING if asked.seconds is None else logging.DEBUG,
            context=scope.context,
            on_span_only=raw or None,
        )

    def _tell_retry(self, scope: AttemptScope, attempt: Attempt) -> None:
        try:
            call = scope.call
            failure = attempt.failure
            if call.mode is _OFF or failure is None:
                return
            reason = attempt.delay_source or WaitReason.BACKOFF
            if self._instruments is not None:
                self._instruments.retries(1, call.context, scope.address, failure.kind, reason)
            told = {
                registry.SERVER_ADDRESS: scope.address,
                registry.ATTEMPT_NUMBER: attempt.number,
                registry.FAILURE_KIND: failure.kind.value,
                registry.WAIT_REASON: reason.value,
                registry.WAIT_PLANNED: attempt.delay,
            }
            self._events.tell(registry.RETRY_SCHEDULED, told, call.span, context=call.context)
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks a call (O8)
            self._failed("end_attempt", broken)


def _describe(name: str, attributes: dict[str, Any], extras: _Extras) -> str:
    """Add what not every attempt has, and return the span's name."""
    resend_count, resend_reason, url_template = extras
    if resend_count:
        attributes[registry.HTTP_REQUEST_RESEND_COUNT] = resend_count
    if resend_reason is not None:
        attributes[registry.RESEND_REASON] = resend_reason.value
    if url_template is None:
        return name
    attributes[registry.URL_TEMPLATE] = url_template
    return f"{name} {url_template}"
