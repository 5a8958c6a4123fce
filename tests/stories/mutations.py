"""Recorders that leave one thing out: every emission of the registry, dropped where it leaves.

A recorder is given providers, a propagator and a logger by OpenTelemetry and by ``logging``. Here
these seams swallow one emission: a span, an attribute, an event, a measurement, a label. Our own
code is not touched. Whether the check of a story notices is asked in the tests; what there is to
drop is read from the registry, so that a new name is asked about as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import MeterProvider, Observation
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TracerProvider

from weatherglass.telemetry import registry

HEARD_BY_ALL = "event"
"""An event, or a part of it, wherever it is told."""

HEARD_BY_LOGS = "log"
"""The same, in the standard logger alone."""

IN_BACKGROUND = (registry.FEED_FAILED,)
"""Events that belong to no call."""

RECORD = "record"
"""An event as a log record of OpenTelemetry alone."""


@dataclass(frozen=True)
class Drop:
    """One emission to leave out."""

    what: str
    """``span``, ``end``, ``attribute``, ``status``, ``description``, ``link``, ``event``, ``log``,
    ``record``, ``metric``, ``label``, ``context`` or ``header``."""
    name: str = ""
    """Of the span, the event or the metric."""
    part: str = ""
    """The attribute of it, if that is all that is left out."""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.what, self.name, self.part)))


def every_drop() -> list[Drop]:
    """Everything that a recorder emits, one by one."""
    return [*_of_spans(), *_of_events(), *_of_metrics(), Drop("header")]


def _of_spans() -> Iterator[Drop]:
    for span in registry.SPANS.values():
        yield Drop("span", span.name)
        yield Drop("end", span.name)
        for attribute in (*span.start, *span.end):
            yield Drop("attribute", span.name, attribute.name)
    # A wait cannot fail, and only it has links.
    for name in sorted(registry.SPANS.keys() - {registry.WAIT_SPAN}):
        yield Drop("status", name)
    yield Drop("description", registry.CALL_SPAN)
    yield Drop("link", registry.WAIT_SPAN)


def _of_events() -> Iterator[Drop]:
    for event in registry.EVENTS.values():
        yield Drop(RECORD, event.name)
        # What happens in the background, where there is no span, is heard by logs alone.
        for what in (HEARD_BY_LOGS,) if event in IN_BACKGROUND else (HEARD_BY_ALL, HEARD_BY_LOGS):
            yield Drop(what, event.name)
            for attribute in event.attributes:
                if (what, attribute.name) != (HEARD_BY_LOGS, registry.RETRY_AFTER_RAW):
                    yield Drop(what, event.name, attribute.name)


def _of_metrics() -> Iterator[Drop]:
    for metric in registry.METRICS.values():
        yield Drop("metric", metric.name)
        for attribute in metric.attributes:
            yield Drop("label", metric.name, attribute.name)
        if not metric.instrument.is_observed:
            yield Drop("context", metric.name)


class Mute:
    """Leaves out what is to be dropped, and counts how often there was something to drop.

    ``only`` is the one occurrence that is dropped, counted from 0; by default all are.
    """

    def __init__(self, drop: Drop, only: int | None = None) -> None:
        self.drop = drop
        self.met = 0
        self._only = only
        self.silenced = False
        """Whether the event that was last told on a span is not to be logged as it was."""

    def takes(self, what: str, name: str, part: str = "") -> bool:
        """Whether this one emission is to be left out."""
        if (self.drop.what, self.drop.name, self.drop.part) != (what, name, part):
            return False
        number, self.met = self.met, self.met + 1
        return self._only is None or number == self._only

    def without(
        self, what: str, name: str, given: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | None:
        """The attributes, but for the one that is to be left out."""
        part = self.drop.part
        if not given or part not in given or not self.takes(what, name, part):
            return given
        return {key: value for key, value in given.items() if key != part}

    @contextmanager
    def over_process(self) -> Iterator[None]:
        """Where recorders are given nothing: the propagator and the logger of the process."""
        textmap, logger = propagate.get_global_textmap(), logging.getLogger(registry.SCOPE_NAME)
        propagate.set_global_textmap(_MutePropagator(textmap, self))
        logger.addFilter(self._hear)
        try:
            yield
        finally:
            logger.removeFilter(self._hear)
            propagate.set_global_textmap(textmap)

    def _hear(self, record: logging.LogRecord) -> bool:
        fields = vars(record)
        name = fields.get(registry.EVENT_NAME)
        if name is None or self.drop.what not in (HEARD_BY_ALL, HEARD_BY_LOGS):
            return True
        part = self.drop.part
        if self.drop.what == HEARD_BY_ALL:
            # What has just been left out on a span is not told here either.
            silenced, self.silenced = self.silenced and self.drop.name == name, False
            if silenced:
                fields.pop(part, None)
            return bool(part) or not silenced
        if self.takes(HEARD_BY_LOGS, str(name)):
            return False
        if part in fields and self.takes(HEARD_BY_LOGS, str(name), part):
            del fields[part]
        return True


class _MutePropagator(TextMapPropagator):
    def __init__(self, real: TextMapPropagator, mute: Mute) -> None:
        self._real = real
        self._mute = mute

    def extract(self, *given: Any, **named: Any) -> Any:
        return self._real.extract(*given, **named)

    def inject(self, *given: Any, **named: Any) -> None:
        if not self._mute.takes("header", ""):
            self._real.inject(*given, **named)

    @property
    def fields(self) -> set[str]:
        return self._real.fields


class MuteLoggers(LoggerProvider):
    """A provider of OpenTelemetry's loggers in front of another."""

    def __init__(self, real: LoggerProvider, mute: Mute) -> None:
        self._real = real
        self._mute = mute

    def get_logger(self, *given: Any, **named: Any) -> Any:
        return _MuteLogger(self._real.get_logger(*given, **named), self._mute)


class _MuteLogger:
    def __init__(self, real: Any, mute: Mute) -> None:
        self._real = real
        self._mute = mute

    def emit(self, *, event_name: str, attributes: Mapping[str, Any], **named: Any) -> None:
        drop = self._mute.drop
        if self._mute.silenced and (drop.what, drop.name) == (HEARD_BY_ALL, event_name):
            if not drop.part:
                return
            attributes = {key: each for key, each in attributes.items() if key != drop.part}
        if not self._mute.takes(RECORD, event_name):
            self._real.emit(event_name=event_name, attributes=attributes, **named)


# Spans -------------------------------------------------------------------------------------


class MuteTracers(TracerProvider):
    """A tracer provider in front of another."""

    def __init__(self, real: TracerProvider, mute: Mute) -> None:
        self._real = real
        self._mute = mute

    def get_tracer(self, *given: Any, **named: Any) -> Any:
        return _MuteTracer(self._real.get_tracer(*given, **named), self._mute)


class _MuteTracer:
    def __init__(self, real: Any, mute: Mute) -> None:
        self._real = real
        self._mute = mute

    def start_span(
        self,
        name: str,
        context: Any = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Any] = (),
    ) -> Span:
        entry = registry.ATTEMPT_SPAN if kind is SpanKind.CLIENT else name
        if self._mute.takes("span", entry):
            # As if it had never been started: what is below it finds what is above it.
            return NonRecordingSpan(trace.get_current_span(context).get_span_context())
        if links and self._mute.takes("link", entry):
            links = ()
        attributes = self._mute.without("attribute", entry, attributes)
        return _MuteSpan(
            self._real.start_span(name, context, kind, attributes, links), entry, self._mute
        )


class _MuteSpan(Span):
    def __init__(self, real: Span, entry: str, mute: Mute) -> None:
        self._real = real
        self._entry = entry
        self._mute = mute

    def end(self, end_time: int | None = None) -> None:
        if not self._mute.takes("end", self._entry):
            self._real.end(end_time)

    def get_span_context(self) -> SpanContext:
        return self._real.get_span_context()

    def is_recording(self) -> bool:
        return self._real.is_recording()

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self._real.set_attributes(self._mute.without("attribute", self._entry, attributes) or {})

    def set_attribute(self, key: str, value: Any) -> None:
        self.set_attributes({key: value})

    def add_event(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
    ) -> None:
        taken = self._mute.takes(HEARD_BY_ALL, name)
        kept = self._mute.without(HEARD_BY_ALL, name, attributes)
        self._mute.silenced = taken or kept is not attributes
        if not taken:
            self._real.add_event(name, kept, timestamp)

    def update_name(self, name: str) -> None:
        self._real.update_name(name)

    def set_status(self, status: Any, description: str | None = None) -> None:
        if self._mute.takes("status", self._entry):
            return
        if description is not None and self._mute.takes("description", self._entry):
            description = None
        self._real.set_status(status, description)

    def record_exception(self, *given: Any, **named: Any) -> None:
        self._real.record_exception(*given, **named)


# Metrics -----------------------------------------------------------------------------------


class MuteMeters(MeterProvider):
    """A meter provider in front of another."""

    def __init__(self, real: MeterProvider, mute: Mute) -> None:
        self._real = real
        self._mute = mute

    def get_meter(self, *given: Any, **named: Any) -> Any:
        return _MuteMeter(self._real.get_meter(*given, **named), self._mute)


class _MuteMeter:
    def __init__(self, real: Any, mute: Mute) -> None:
        self._real = real
        self._mute = mute

    def create_counter(self, name: str, *given: Any) -> Any:
        return _MuteInstrument(self._real.create_counter(name, *given).add, name, self._mute)

    def create_histogram(self, name: str, *given: Any, **named: Any) -> Any:
        real = self._real.create_histogram(name, *given, **named)
        return _MuteInstrument(real.record, name, self._mute)

    def create_observable_gauge(self, name: str, callbacks: Sequence[Any], *given: Any) -> Any:
        return self._real.create_observable_gauge(name, self._muted(name, callbacks), *given)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[Any], *given: Any
    ) -> Any:
        muted = self._muted(name, callbacks)
        return self._real.create_observable_up_down_counter(name, muted, *given)

    def _muted(self, name: str, callbacks: Sequence[Any]) -> list[Callable[[Any], Any]]:
        mute = self._mute

        def muted(callback: Callable[[Any], Any]) -> Callable[[Any], Any]:
            return lambda options: [
                Observation(seen.value, mute.without("label", name, seen.attributes))
                for seen in callback(options)
                if not mute.takes("metric", name)
            ]

        return [muted(callback) for callback in callbacks]


class _MuteInstrument:
    def __init__(self, record: Callable[..., None], name: str, mute: Mute) -> None:
        self._record = record
        self._name = name
        self._mute = mute

    def add(self, amount: float, labels: Mapping[str, Any], context: Any) -> None:
        mute, name = self._mute, self._name
        if mute.takes("metric", name):
            return
        if mute.takes("context", name):
            # Not what is current either: nothing is known of a span.
            context = trace.set_span_in_context(trace.INVALID_SPAN, context)
        self._record(amount, mute.without("label", name, labels), context)

    record = add
