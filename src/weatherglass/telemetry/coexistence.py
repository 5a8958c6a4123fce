"""Living beside other instrumentations, and with OpenTelemetry's global state (rule O5).

The suppression keys and the global providers are private to the OpenTelemetry API, but they are
what its instrumentations agree on; every one is reached guarded, so that an API without them
only costs the courtesy and never the call.
"""

from __future__ import annotations

from enum import Enum
from types import ModuleType
from typing import Any, Final

from opentelemetry import context as _context
from opentelemetry import metrics, trace
from opentelemetry.context import Context, create_key
from opentelemetry.metrics import MeterProvider
from opentelemetry.metrics import _internal as _metrics_internal
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    Span,
    TracerProvider,
    set_span_in_context,
)


def _known_key(name: str) -> str:
    # A key of our own is found by nobody: without the known one, nothing is suppressed.
    found = getattr(_context, name, None)
    return found if isinstance(found, str) else create_key(name)


HTTP_KEY: Final = _known_key("_SUPPRESS_HTTP_INSTRUMENTATION_KEY")
_ALL_KEY: Final = _known_key("_SUPPRESS_INSTRUMENTATION_KEY")
_ALL_KEY_OF_OLD: Final = "suppress_instrumentation"

_ORIGIN_KEY: Final = create_key("weatherglass-origin")

# The API has no name for the key of the current span, but sets it; setting several keys at once
# copies the context once instead of once per key.
(_SPAN_KEY,) = set_span_in_context(INVALID_SPAN, Context())


class _Ours:
    """Set where weatherglass suppresses others: as true as ``True``, but to be told from it.

    A weatherglass call made inside of another (by a hook or by a token callable) must not take
    our own suppression for a CLIENT span of somebody else.
    """

    def __repr__(self) -> str:
        return "<suppressed by weatherglass>"


OURS: Final = _Ours()


class Mode(Enum):
    """Whose telemetry a call is told in."""

    OWN = "own"
    OUTER = "outer"
    """Another instrumentation has a CLIENT span around the call: ours is added to it."""
    OFF = "off"
    """All instrumentation is suppressed, as it is in exporters."""


def mode_of(context: Context) -> Mode:
    """The mode that a context asks for."""
    if context.get(_ALL_KEY) or context.get(_ALL_KEY_OF_OLD):
        return Mode.OFF
    suppressed = context.get(HTTP_KEY)
    return Mode.OUTER if suppressed and suppressed is not OURS else Mode.OWN


def is_ours(context: Context) -> bool:
    """Whether it is weatherglass that suppresses other HTTP instrumentations here."""
    return context.get(HTTP_KEY) is OURS


def span_of(context: Context) -> Span | None:
    """The current span of a context, if there is one."""
    found = context.get(_SPAN_KEY)
    return found if isinstance(found, Span) else None


Origin = tuple[str, int | None]
"""A server's address and port."""


def origin_of(context: Context) -> Origin:
    """Whom the call is for in which the context is current; an empty address if unknown."""
    found: Any = context.get(_ORIGIN_KEY)
    return found or ("", None)


def with_span(context: Context, span: Span | None, origin: Origin, *, suppressed: bool) -> Context:
    """The context with another current span, with or without other HTTP instrumentations."""
    made = Context(context)
    # A context is a dictionary that refuses to be changed by whoever did not make it.
    dict.__setitem__(made, _ORIGIN_KEY, origin)
    dict.__setitem__(made, HTTP_KEY, OURS if suppressed else None)
    if span is not None:
        dict.__setitem__(made, _SPAN_KEY, span)
    return made


def aside(context: Context) -> Context:
    """The context of what happens beside a span of somebody else: nothing is written on it."""
    span = span_of(context)
    if span is None:
        return context
    return set_span_in_context(NonRecordingSpan(span.get_span_context()), context)


def _variable(module: ModuleType, name: str) -> bool:
    return hasattr(module, name)


if _variable(trace, "_TRACER_PROVIDER") and _variable(_metrics_internal, "_METER_PROVIDER"):

    def global_providers() -> tuple[TracerProvider | None, MeterProvider | None]:
        """The global providers that were set; ``None`` where none was.

        Asked for at each call, so that a provider may be set after weatherglass was imported.
        """
        # The public functions look into the environment each time while none is set.
        return trace._TRACER_PROVIDER, _metrics_internal._METER_PROVIDER  # noqa: SLF001 - as said

else:  # pragma: no cover - no released API is without them

    def global_providers() -> tuple[TracerProvider | None, MeterProvider | None]:
        """The global providers, which may be the API's proxies."""
        return trace.get_tracer_provider(), metrics.get_meter_provider()


def load_configured_providers() -> None:
    """Have the API load the providers that the environment names, as it does when asked."""
    trace.get_tracer_provider()
    metrics.get_meter_provider()
