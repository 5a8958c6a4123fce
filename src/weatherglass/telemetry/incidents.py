"""What is told beside the course of a call: breakers, tokens, windows and callbacks.

These things are seen from inside a call or from no call at all; the current context says which.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from opentelemetry.context import attach, detach
from opentelemetry.trace import SpanKind, StatusCode

from weatherglass.telemetry import registry
from weatherglass.telemetry.backend import Backend, harmless
from weatherglass.telemetry.coexistence import Mode, aside, with_span
from weatherglass.telemetry.definitions import Event
from weatherglass.telemetry.events import raised_at
from weatherglass.telemetry.scopes import CallScope, RefreshScope
from weatherglass.vocabulary import BreakerCause, BreakerState, TokenReason


class Transition(Protocol):
    """A breaker's change of state."""

    @property
    def name(self) -> str: ...
    @property
    def previous(self) -> BreakerState: ...
    @property
    def state(self) -> BreakerState: ...
    @property
    def cause(self) -> BreakerCause: ...


_OPEN = (BreakerState.OPEN, BreakerState.FORCED_OPEN)


class Incidents(Backend):
    """The parts of a recorder for what is not a step of a call."""

    @harmless
    def breaker_moved(self, transition: Transition) -> None:
        """Tell a breaker's change of state; aloud when it opens."""
        scope = self._scope_here()
        if scope is None:
            return
        if self._instruments is not None:
            self._instruments.breaker_transitions(
                1,
                scope.context,
                transition.name,
                transition.previous,
                transition.state,
                transition.cause,
            )
        self._events.tell(
            registry.BREAKER_TRANSITION,
            {
                registry.BREAKER_NAME: transition.name,
                registry.BREAKER_PREVIOUS_STATE: transition.previous.value,
                registry.BREAKER_STATE: transition.state.value,
                registry.BREAKER_CAUSE: transition.cause.value,
            },
            scope.span,
            level=logging.WARNING if transition.state in _OPEN else logging.INFO,
        )

    @harmless
    def breaker_refused(self, name: str) -> None:
        """Count a call or a retry that a breaker refused."""
        self._follow()
        if self._instruments is None:
            return  # a refusal must cost next to nothing
        scope = self._scope_here()
        if scope is not None and self._instruments is not None:
            self._instruments.breaker_refusals(1, scope.context, name)

    def refresh_started(self, source: str, reason: TokenReason) -> RefreshScope:
        """Begin a token refresh; to be ended in the same thread by :meth:`refresh_ended`.

        Its span is the current one meanwhile, and other instrumentations are not suppressed, so
        that a token callable with an HTTP client of its own is seen.
        """
        call = self.ambient()
        scope = RefreshScope(call, source, reason)
        try:
            self._follow()
            if scope.mode is Mode.OUTER:
                scope.span = call.span
                # The other's span is about another request than those to the token endpoint.
                scope.token = attach(aside(call.context))
            elif scope.mode is Mode.OWN and self._tracer is not None:
                scope.span = self._tracer.start_span(
                    registry.REFRESH_SPAN,
                    call.context,
                    SpanKind.INTERNAL,
                    {registry.TOKEN_SOURCE: source, registry.TOKEN_REASON: reason.value},
                )
                scope.link = scope.span.get_span_context()
                origin = (call.address, call.port)
                scope.context = with_span(call.context, scope.span, origin, suppressed=False)
                scope.token = attach(scope.context)
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks a call (O8)
            self._failed("refresh_started", broken)
        return scope

    def refresh_ended(
        self, scope: RefreshScope, duration: float, error: BaseException | None = None
    ) -> None:
        """End a token refresh.

        Args:
            scope: from :meth:`refresh_started`.
            duration: seconds.
            error: what it failed with; its ``failure`` is told if it has one, else its class.
        """
        try:
            if scope.mode is not Mode.OFF:
                self._tell_refresh(scope, duration, error)
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks a call (O8)
            self._failed("refresh_ended", broken)
        self._close(scope)

    def _tell_refresh(
        self, scope: RefreshScope, duration: float, error: BaseException | None
    ) -> None:
        named = None if error is None else self._error_type(error)
        if self._instruments is not None:
            self._instruments.token_refresh_duration(
                duration, scope.context, scope.source, scope.reason, named
            )
        told: dict[str, Any] = {
            registry.TOKEN_SOURCE: scope.source,
            registry.TOKEN_REASON: scope.reason.value,
        }
        if named is None:
            self._events.tell(registry.TOKEN_REFRESHED, told, scope.span)
            return
        told[registry.ERROR_TYPE] = named
        self._events.tell(registry.TOKEN_REFRESH_FAILED, told, scope.span, level=logging.WARNING)
        span = scope.recording
        if span is not None and scope.mode is Mode.OWN:
            span.set_attribute(registry.ERROR_TYPE, named)
            span.set_status(StatusCode.ERROR)

    @harmless
    def maintenance_started(self, window: str, address: str) -> None:
        """Tell that a maintenance window is in force for a server."""
        self._tell_window(registry.MAINTENANCE_STARTED, window, address)

    @harmless
    def maintenance_ended(self, window: str, address: str) -> None:
        """Tell that it is over."""
        self._tell_window(registry.MAINTENANCE_ENDED, window, address)

    @harmless
    def feed_failed(self, feed: str, error: str) -> None:
        """Tell that a feed of maintenance windows has begun to fail (rule M2).

        Args:
            feed: its name.
            error: a status, a short word, or the name of an exception.
        """
        scope = self._scope_here()
        if scope is not None:
            told = {registry.MAINTENANCE_FEED: feed, registry.ERROR_TYPE: error}
            self._events.tell(registry.FEED_FAILED, told, scope.span, level=logging.WARNING)

    def _tell_window(self, event: Event, window: str, address: str) -> None:
        scope = self._scope_here()
        if scope is not None:
            told = {registry.MAINTENANCE_WINDOW: window, registry.SERVER_ADDRESS: address}
            self._events.tell(event, told, scope.span)

    @harmless
    def callback_failed(self, callback: str, error: BaseException) -> None:
        """Count and tell a callback of the application that raised, and where (rule R6).

        Its message is not told: what a token callable raises may quote a token.
        """
        scope = self._scope_here()
        if scope is None:
            return
        if self._instruments is not None:
            self._instruments.callback_errors(1, scope.context, callback)
        file, line = raised_at(error)
        told = {
            registry.CALLBACK: callback,
            registry.ERROR_TYPE: self._error_type(error),
            registry.CODE_FILE: file,
            registry.CODE_LINE: line,
        }
        self._events.tell(registry.CALLBACK_FAILED, told, scope.span, level=logging.ERROR)

    @contextmanager
    def user_code(self, call: CallScope) -> Iterator[None]:
        """Let code of the application run inside a call as if nothing were suppressed.

        For callbacks: what they do over HTTP is theirs, and their instrumentation's. A
        suppression by others stays.
        """
        token = None
        if call.guarded:
            origin = (call.address, call.port)
            token = attach(with_span(call.context, None, origin, suppressed=False))
        try:
            yield
        finally:
            if token is not None:
                detach(token)

    def _scope_here(self) -> CallScope | None:
        """Where something happens; ``None`` where nothing may be told."""
        self._follow()
        scope = self.ambient()
        return None if scope.mode is Mode.OFF else scope
