"""What is asked for at export: states and levels, observed on whatever is alive.

Sessions and adapters are *sources*. They are held weakly, and the callbacks that OpenTelemetry
keeps for ever are functions of this module over a set of weak references: a bound method would
keep its session alive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Protocol
from weakref import ref

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from weatherglass.telemetry import registry
from weatherglass.telemetry.bounds import LabelBounds, Series
from weatherglass.telemetry.definitions import Instrument, Metric
from weatherglass.vocabulary import BreakerState


class Source(Protocol):
    """What an adapter tells when it is asked. All methods are cheap and take no lock for long."""

    def breaker_states(self) -> Mapping[str, BreakerState]:
        """States by the breaker's name."""
        ...

    def token_ttls(self) -> Mapping[str, float]:
        """Seconds until expiry by the token source's name; without tokens that do not expire."""
        ...

    def budget_levels(self) -> Iterable[tuple[str, str, float]]:
        """Server address, ``retry`` or ``network``, and tokens left."""
        ...

    def ratelimit_remaining(self) -> Iterable[tuple[str, str, float]]:
        """Server address, the credential's name, and requests left."""
        ...

    def maintenance_windows(self) -> Iterable[tuple[str, str, float, float]]:
        """Window, server address, and seconds to its start and its end, negative when past."""
        ...

    def feed_ages(self) -> Mapping[str, float]:
        """Seconds since the last good reading by the feed's name."""
        ...


class Sources:
    """What is alive of the sources that were added.

    Unlike a ``WeakSet``, it can be read while another thread adds to it.
    """

    def __init__(self) -> None:
        self._references: dict[int, ref[Source]] = {}

    def add(self, source: Source) -> None:
        """Hold a source for as long as somebody else does."""
        key = id(source)
        references = self._references
        references[key] = ref(source, lambda _: references.pop(key, None))

    def alive(self) -> list[Source]:
        """The sources that are still there."""
        found = (reference() for reference in list(self._references.values()))
        return [source for source in found if source is not None]


Reading = tuple[tuple[Any, ...], float]
"""The values of a series' labels, and the value."""


def _breakers(source: Source) -> Iterable[Reading]:
    for name, current in source.breaker_states().items():
        for state in BreakerState:
            yield (name, state), int(state is current)


def _token_ttls(source: Source) -> Iterable[Reading]:
    for name, seconds in source.token_ttls().items():
        yield (name,), seconds


def _budgets(source: Source) -> Iterable[Reading]:
    for address, budget, level in source.budget_levels():
        yield (address, budget), level


def _ratelimits(source: Source) -> Iterable[Reading]:
    for address, credential, left in source.ratelimit_remaining():
        yield (address, credential), left


def _maintenance(source: Source) -> Iterable[Reading]:
    for window, address, to_start, to_end in source.maintenance_windows():
        yield (window, address), int(to_start <= 0 < to_end)


def _maintenance_starts(source: Source) -> Iterable[Reading]:
    for window, address, to_start, _ in source.maintenance_windows():
        yield (window, address), to_start


def _maintenance_ends(source: Source) -> Iterable[Reading]:
    for window, address, _, to_end in source.maintenance_windows():
        yield (window, address), to_end


def _feeds(source: Source) -> Iterable[Reading]:
    for feed, seconds in source.feed_ages().items():
        yield (feed,), seconds


def _sum(one: float, other: float) -> float:
    return one + other


def _next(one: float, other: float) -> float:
    """What comes next, or, if nothing does, what was last: windows may recur under one name."""
    ahead = [seconds for seconds in (one, other) if seconds > 0]
    return min(ahead) if ahead else max(one, other)


_OBSERVED: Final[
    tuple[
        tuple[Metric, Callable[[Source], Iterable[Reading]], Callable[[float, float], float]], ...
    ]
] = (
    # Two sessions may have a breaker of the same name: both count.
    (registry.BREAKER_STATUS, _breakers, _sum),
    # Of several that share their labels, the one that is worse off is told.
    (registry.TOKEN_TTL, _token_ttls, min),
    (registry.BUDGET_LEVEL, _budgets, min),
    (registry.RATELIMIT_REMAINING, _ratelimits, min),
    # A window that two sessions know is still one window.
    (registry.MAINTENANCE_ACTIVE, _maintenance, max),
    (registry.MAINTENANCE_TIME_TO_START, _maintenance_starts, _next),
    (registry.MAINTENANCE_TIME_TO_END, _maintenance_ends, _next),
    (registry.MAINTENANCE_FEED_AGE, _feeds, max),
)


def observe(meter: Meter, sources: Sources, bounds: LabelBounds, owner: object) -> None:
    """Create the observable instruments of a meter over the sources.

    Args:
        meter: the meter.
        sources: what is asked; may grow and shrink.
        bounds: the bounds of the labels.
        owner: kept alive for as long as the meter keeps the callbacks.
    """
    for metric, read, combine in _OBSERVED:
        callback = partial(_observations, sources, Series(metric, bounds), read, combine, owner)
        create = (
            meter.create_observable_gauge
            if metric.instrument is Instrument.OBSERVABLE_GAUGE
            else meter.create_observable_up_down_counter
        )
        create(metric.name, [callback], metric.unit, metric.meaning)


def _observations(
    sources: Sources,
    series: Series,
    read: Callable[[Source], Iterable[Reading]],
    combine: Callable[[float, float], float],
    _owner: object,
    _options: CallbackOptions,
) -> list[Observation]:
    found: dict[tuple[Any, ...], tuple[float, Any]] = {}
    for source in sources.alive():
        for key, value in _readings(source, read):
            labels = series[key]
            identity = tuple(labels.items())
            before = found.get(identity)
            combined = value if before is None else combine(before[0], value)
            found[identity] = combined, labels
    return [Observation(value, labels) for value, labels in found.values()]


def _readings(source: Source, read: Callable[[Source], Iterable[Reading]]) -> list[Reading]:
    try:
        return [reading for reading in read(source) if math.isfinite(reading[1])]
    except Exception:  # noqa: BLE001 - one closing session must not silence the others (O8)
        return []
