"""Events: one function that tells what happened, wherever it is wanted to be told.

The conventions are moving from span events to log records, so where an event goes is a setting.
The standard logger ``weatherglass`` always hears of it, which is also how transitions in the
background, which have no span, are seen.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import _logs
from opentelemetry.context import Context
from opentelemetry.trace import Span

from weatherglass.errors import InvalidPolicy
from weatherglass.telemetry import registry
from weatherglass.telemetry.definitions import Event

logger: Final = logging.getLogger(registry.SCOPE_NAME)
# A library says nothing on its own account: without it, warnings of an application that has not
# set up logging would go to stderr.
logger.addHandler(logging.NullHandler())

DESTINATIONS: Final = ("span", "logs", "both", "none")

_EMITS_EVENTS: Final = "event_name" in inspect.signature(_logs.Logger.emit).parameters
"""Older APIs take only records of the SDK, which this package must not depend on."""

_SEVERITIES: Final = {
    logging.DEBUG: _logs.SeverityNumber.DEBUG,
    logging.INFO: _logs.SeverityNumber.INFO,
    logging.WARNING: _logs.SeverityNumber.WARN,
    logging.ERROR: _logs.SeverityNumber.ERROR,
}


class Events:
    """Tells events.

    Args:
        destination: ``span`` (an event on the recording span, if there is one), ``logs`` (an
            OpenTelemetry log record with an event name), ``both`` or ``none``.
        version: the version of the instrumentation scope.
        loudest: no event is told at a level above.

    Raises:
        InvalidPolicy: for any other destination.
    """

    def __init__(self, destination: str, version: str, *, loudest: int = logging.CRITICAL) -> None:
        if destination not in DESTINATIONS:
            raise InvalidPolicy(
                f"events is {destination!r}, but must be one of {', '.join(DESTINATIONS)}"
            )
        self._loudest = loudest
        wants_records = destination in ("logs", "both")
        self._on_spans = destination in ("span", "both") or (wants_records and not _EMITS_EVENTS)
        self._records = (
            _logs.get_logger(registry.SCOPE_NAME, version, schema_url=registry.SCHEMA_URL)
            if wants_records and _EMITS_EVENTS
            else None
        )

    def heard(self, span: Span | None, level: int) -> bool:
        """Whether anybody hears of an event: else its attributes need not be put together."""
        return (
            (self._on_spans and span is not None and span.is_recording())
            or self._records is not None
            or logger.isEnabledFor(min(level, self._loudest))
        )

    def tell(
        self,
        event: Event,
        attributes: Mapping[str, Any],
        span: Span | None,
        *,
        level: int = logging.INFO,
        context: Context | None = None,
        on_span_only: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell an event.

        Args:
            event: the registry's entry.
            attributes: by the registry's names; without those that do not apply.
            span: the span that it belongs to, if there is one.
            level: of the ``logging`` module.
            context: what a log record is correlated with; by default the current context.
            on_span_only: further attributes, which no log may hold.
        """
        level = min(level, self._loudest)
        if self._on_spans and span is not None and span.is_recording():
            span.add_event(
                event.name, attributes if on_span_only is None else {**attributes, **on_span_only}
            )
        if self._records is not None:
            self._records.emit(
                severity_number=_SEVERITIES[level],
                severity_text=logging.getLevelName(level),
                body=event.text,
                attributes=attributes,
                event_name=event.name,
                context=context,
            )
        if logger.isEnabledFor(level):
            logger.log(
                level,
                "%s: %s",
                event.text,
                _readable(attributes),
                extra={registry.EVENT_NAME: event.name, **attributes},
            )


def _readable(attributes: Mapping[str, Any]) -> str:
    """The attributes for a person: ``failure.kind=unavailable wait.planned=1.5``."""
    prefix = f"{registry.SCOPE_NAME}."
    return " ".join(f"{name.removeprefix(prefix)}={value}" for name, value in attributes.items())


def raised_at(error: BaseException) -> tuple[str, int]:
    """The file and line that raised an exception.

    For errors of others' code whose message may quote anything, a secret included: where it was
    raised says as much to whoever has the code.
    """
    traceback = error.__traceback__
    if traceback is None:
        return "", 0
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
