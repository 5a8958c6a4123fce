"""Where a recorder's telemetry goes: the tracer and the instruments of the current providers.

Providers may be set long after a session was made, so they are looked at again by each call;
that look is two reads and two comparisons while nothing changes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, TypeVar, cast

from opentelemetry.context import get_current
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import NoOpTracer, ProxyTracer, Tracer, TracerProvider

from weatherglass.report import Failure
from weatherglass.runtime import SYSTEM, Runtime
from weatherglass.telemetry import registry
from weatherglass.telemetry.coexistence import (
    Mode,
    global_providers,
    is_ours,
    load_configured_providers,
    mode_of,
    origin_of,
    span_of,
)
from weatherglass.telemetry.events import Events, logger, raised_at
from weatherglass.telemetry.instruments import Instruments, instruments_of
from weatherglass.telemetry.observables import Source, Sources
from weatherglass.telemetry.scopes import CallScope, Scope
from weatherglass.telemetry.spans import SpanAttributes, error_type, exception_name

_Function = TypeVar("_Function", bound=Callable[..., None])
_Providers = tuple[TracerProvider | None, MeterProvider | None]


def package_version() -> str:
    """The version of the instrumentation scope: the package's."""
    try:
        return version(registry.SCOPE_NAME)
    except PackageNotFoundError:  # run from a source tree
        return "0+unknown"


VERSION: Final = package_version()


class Backend:
    """The parts of a recorder that know about providers; see :class:`.recorder.Recorder`."""

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        events: str = "span",
        runtime: Runtime = SYSTEM,
        loudest: int = logging.CRITICAL,
    ) -> None:
        self._given: _Providers = (tracer_provider, meter_provider)
        self._destination = events
        self._runtime = runtime
        self._events = Events(events, VERSION, loudest=loudest)
        self._attributes = SpanAttributes()
        self._sources = Sources()
        self._tracer: Tracer | None = None
        self._instruments: Instruments | None = None
        self._known: _Providers = (None, None)
        self._failed_before: set[str] = set()
        try:
            load_configured_providers()
            self._meet(global_providers())
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks anything (O8)
            self._failed("set-up", broken)

    def register(self, source: Source) -> None:
        """Have a source asked at each export, for as long as somebody else keeps it alive."""
        try:
            self._sources.add(source)
            self._follow()
            if self._instruments is not None:
                self._instruments.sources.add(source)
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks anything (O8)
            self._failed("register", broken)

    def _follow(self) -> None:
        """Take up the providers that are in force now."""
        providers = global_providers()
        known = self._known
        if providers[0] is not known[0] or providers[1] is not known[1]:
            self._meet(providers)

    def _meet(self, providers: _Providers) -> None:
        # Whatever goes wrong below goes wrong once, and not again in each call.
        self._known = providers
        given = self._given
        self._tracer = _tracer_of(given[0] or providers[0])
        meter_provider = given[1] or providers[1]
        instruments = None
        if meter_provider is not None:
            instruments = instruments_of(meter_provider, VERSION)
        if instruments is not None:
            for source in self._sources.alive():
                instruments.sources.add(source)
        self._instruments = instruments

    def ambient(self) -> CallScope:
        """The call that the current context belongs to, as far as can be told from it.

        For what happens inside a call without having its scope, such as a token refresh. It must
        not be ended.
        """
        context = get_current()
        scope = CallScope(*origin_of(context), context, mode_of(context) if context else Mode.OWN)
        scope.span = span_of(context)
        scope.guarded = is_ours(context)
        return scope

    def _error_type(self, cause: Failure | BaseException) -> str:
        """The ``error.type`` of a failure or an exception, the same on spans and metrics."""
        if not isinstance(cause, Failure):
            found = getattr(cause, "failure", None)
            named = error_type(found) if isinstance(found, Failure) else exception_name(cause)
        else:
            named = error_type(cause)
        return named if self._instruments is None else self._instruments.error_type(named)

    def _close(self, scope: Scope) -> None:
        try:
            scope.close()
        except Exception as broken:  # noqa: BLE001 - a processor may raise when a span ends (O8)
            self._failed("close", broken)

    def _failed(self, what: str, error: Exception) -> None:
        """Say that telemetry itself failed, once aloud, and go on (rule O8)."""
        with suppress(Exception):
            first = what not in self._failed_before
            self._failed_before.add(what)
            logger.log(
                logging.WARNING if first else logging.DEBUG,
                "telemetry failed in %s and the call went on: %s in %s, line %d",
                what,
                type(error).__name__,
                *raised_at(error),
            )


def _tracer_of(provider: TracerProvider | None) -> Tracer | None:
    """The provider's tracer; ``None`` if nobody will ever see its spans."""
    if provider is None:
        return None
    tracer = provider.get_tracer(registry.SCOPE_NAME, VERSION, registry.SCHEMA_URL)
    return None if isinstance(tracer, (NoOpTracer, ProxyTracer)) else tracer


def harmless(function: _Function) -> _Function:
    """A method of a recorder that swallows, and tells of, whatever goes wrong in it (rule O8).

    For what is rare and returns nothing; what every call passes through catches for itself.
    """

    @wraps(function)
    def guarded(self: Backend, *args: Any, **named: Any) -> None:
        try:
            function(self, *args, **named)
        except Exception as broken:  # noqa: BLE001 - telemetry never breaks anything
            self._failed(function.__name__, broken)

    return cast("_Function", guarded)
