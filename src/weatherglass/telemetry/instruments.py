"""The metric instruments of one meter provider, made once and shared by all recorders on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from opentelemetry.context import Context
from opentelemetry.metrics import Meter, MeterProvider, NoOpMeter

from weatherglass.telemetry import registry
from weatherglass.telemetry.bounds import BoundedValues, LabelBounds, Series
from weatherglass.telemetry.definitions import Instrument, Metric
from weatherglass.telemetry.locks import ForkSafeLock
from weatherglass.telemetry.observables import Sources, observe

_KINDS: Final = frozenset(registry.ATTRIBUTES[registry.FAILURE_KIND].values)
_STATUS_LENGTH: Final = 3


class Measure:
    """A counter or histogram with its bounded series."""

    __slots__ = ("_record", "_series")

    def __init__(self, record: Callable[..., None], series: Series) -> None:
        self._record = record
        self._series = series

    def __call__(self, amount: float, context: Context, *labels: Any) -> None:
        """Record an amount.

        Args:
            amount: what to count or to record.
            context: the context whose span an exemplar points to.
            labels: the values of the metric's attributes, in the registry's order; ``None``
                leaves an optional one out.
        """
        self._record(amount, self._series[labels], context)


class Instruments:
    """All synchronous instruments, and the sources that the observable ones ask."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._bounds = LabelBounds()
        self._exceptions = BoundedValues(registry.EXCEPTIONS)
        self.sources = Sources()
        self.request_duration = self._measure(registry.REQUEST_DURATION)
        self.call_duration = self._measure(registry.CALL_DURATION)
        self.call_attempts = self._measure(registry.CALL_ATTEMPTS)
        self.attempts = self._measure(registry.ATTEMPT_COUNT)
        self.failures = self._measure(registry.FAILURES)
        self.retries = self._measure(registry.RETRIES)
        self.give_ups = self._measure(registry.GIVE_UPS)
        self.wait_duration = self._measure(registry.WAIT_DURATION)
        self.retry_after_headers = self._measure(registry.RETRY_AFTER_HEADERS)
        self.breaker_transitions = self._measure(registry.BREAKER_TRANSITIONS)
        self.breaker_refusals = self._measure(registry.BREAKER_REFUSALS)
        self.token_refresh_duration = self._measure(registry.TOKEN_REFRESH_DURATION)
        self.idempotency_keys = self._measure(registry.IDEMPOTENCY_KEYS)
        self.observed_decisions = self._measure(registry.OBSERVED_DECISIONS)
        self.callback_errors = self._measure(registry.CALLBACK_ERRORS)
        # The meter keeps the callbacks, and they keep this object: as long as a provider lives,
        # all recorders on it find the same instruments, bounds and sources.
        observe(meter, self.sources, self._bounds, self)

    def error_type(self, named: str) -> str:
        """An error's name for spans and metrics alike, as long as there are not too many.

        Statuses and kinds never crowd each other out; classes of exceptions are bounded.
        """
        if named in _KINDS or (len(named) == _STATUS_LENGTH and named.isdecimal()):
            return named
        return named if self._exceptions.admits(named) else registry.OTHER

    def _measure(self, metric: Metric) -> Measure:
        record: Callable[..., None]
        if metric.instrument is Instrument.HISTOGRAM:
            record = self._meter.create_histogram(
                metric.name,
                metric.unit,
                metric.meaning,
                explicit_bucket_boundaries_advisory=metric.buckets,
            ).record
        else:
            record = self._meter.create_counter(metric.name, metric.unit, metric.meaning).add
        return Measure(record, Series(metric, self._bounds))


_made: Final[WeakKeyDictionary[MeterProvider, ref[Instruments]]] = WeakKeyDictionary()
_lock: Final = ForkSafeLock()


def instruments_of(provider: MeterProvider, version: str) -> Instruments | None:
    """The instruments of a provider; ``None`` if it records nothing."""
    with _lock:
        reference = _made.get(provider)
        found = None if reference is None else reference()
        if found is not None:
            return found
        meter = provider.get_meter(registry.SCOPE_NAME, version, registry.SCHEMA_URL)
        if isinstance(meter, NoOpMeter):
            return None
        made = Instruments(meter)
        _made[provider] = ref(made)
        return made
