"""What the recorder remembers between the beginning and the end of something.

Made and read by the recorder; the adapter only carries them from one to the other.
"""

from __future__ import annotations

from contextvars import Token
from typing import Final

from opentelemetry.context import Context, detach
from opentelemetry.trace import Span, SpanContext

from weatherglass.telemetry.coexistence import Mode
from weatherglass.vocabulary import TokenReason

_OWN: Final = Mode.OWN
_OFF: Final = Mode.OFF


class Scope:
    """A stretch of time with a span of ours, another's span, or none."""

    __slots__ = ("address", "context", "mode", "port", "span", "token")

    def __init__(self, address: str, port: int | None, context: Context, mode: Mode) -> None:
        self.address = address
        self.port = port
        self.context = context
        """The context to record measurements in, so that exemplars point to the span."""
        self.mode = mode
        self.span: Span | None = None
        """The span to write to: ours, or in mode ``OUTER`` the other's."""
        self.token: Token[Context] | None = None

    @property
    def recording(self) -> Span | None:
        """The span, if what is written to it is kept."""
        span = self.span
        return span if span is not None and span.is_recording() else None

    def close(self) -> None:
        """End the span if it is ours, and make the context of before the current one again."""
        span = self.span
        try:
            if span is not None and self.mode is _OWN:
                span.end()
        finally:
            self.mode = _OFF  # a second close finds nothing to do
            if self.token is not None:
                detach(self.token)
                self.token = None


class CallScope(Scope):
    """One call."""

    __slots__ = ("guarded",)

    def __init__(self, address: str, port: int | None, context: Context, mode: Mode) -> None:
        # Each scope sets all of its fields itself: a call to the base is what it would cost.
        self.address = address
        self.port = port
        self.context = context
        self.mode = mode
        self.span = None
        self.token = None
        self.guarded = False
        """Whether other HTTP instrumentations are suppressed inside."""


class AttemptScope(Scope):
    """One request on the wire."""

    __slots__ = ("call", "method")

    def __init__(self, call: CallScope, method: str, address: str, port: int | None) -> None:
        self.address = address
        self.port = port
        self.context = call.context
        self.mode = call.mode
        self.span = None
        self.token = None
        self.call = call
        self.method = method
        """As the conventions spell it."""


class RefreshScope(CallScope):
    """One token refresh; its requests are attempts of it as they are of a call."""

    __slots__ = ("link", "reason", "source")

    def __init__(self, call: CallScope, source: str, reason: TokenReason) -> None:
        super().__init__(call.address, call.port, call.context, call.mode)
        self.source = source
        self.reason = reason
        self.link: SpanContext | None = None
        """What the spans of those who wait for this refresh are linked to."""
