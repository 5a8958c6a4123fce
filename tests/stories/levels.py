"""What is observed at export, and what it must be: the state of the sessions at that moment.

Names are spelled out here, as in ``narrative``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from measurements import OBSERVED_AT_EXPORT, Series, bounded
from narrative import Told

from weatherglass.telemetry.observables import Source
from weatherglass.vocabulary import BreakerState

Level = tuple[Series, float]


def expected_levels(sources: Iterable[Source]) -> dict[Series, float]:
    """The value that each series must have, given the adapters that are alive."""
    expected: dict[Series, float] = {}
    for source in sources:
        for series, value in _levels(source):
            known = expected.get(series)
            expected[series] = value if known is None else _COMBINED[series[0]](known, value)
    return expected


def check_levels(told: Told, expected: Mapping[Series, float]) -> None:
    """Fail unless every state and level is told, with its value, and no other."""
    # Of the labels that may have too many values, only breakers have one, and they are added up.
    expected = bounded(expected, told.points)
    found = {
        (point.name, frozenset(point.attributes.items())): point.value
        for point in told.points
        if point.name in OBSERVED_AT_EXPORT
    }
    differing = [
        f"{found.get(series)} told, {expected.get(series)} expected: {series}"
        for series in sorted({*found, *expected}, key=repr)
        if not _alike(found.get(series), expected.get(series))
    ]
    assert not differing, "\n".join(["levels differ", *differing])


def _alike(told: float | None, expected: float | None) -> bool:
    if told is None or expected is None:
        return False
    return abs(told - expected) < 1e-6


def _levels(source: Source) -> Iterator[Level]:
    for name, current in source.breaker_states().items():
        for state in BreakerState:
            labels = {"weatherglass.breaker.name": name, "weatherglass.breaker.state": str(state)}
            yield _series("weatherglass.breaker.status", labels), int(state is current)
    for name, seconds in source.token_ttls().items():
        yield _series("weatherglass.token.ttl", {"weatherglass.token.source": name}), seconds
    for address, budget, level in source.budget_levels():
        labels = {"server.address": address, "weatherglass.budget": budget}
        yield _series("weatherglass.budget.level", labels), level
    for address, credential, left in source.ratelimit_remaining():
        labels = {"server.address": address, "weatherglass.credential": credential}
        yield _series("weatherglass.ratelimit.remaining", labels), left
    for window, address, to_start, to_end in source.maintenance_windows():
        labels = {"weatherglass.maintenance.window": window, "server.address": address}
        yield _series("weatherglass.maintenance.active", labels), int(to_start <= 0 < to_end)
        yield _series("weatherglass.maintenance.time_to_start", labels), to_start
        yield _series("weatherglass.maintenance.time_to_end", labels), to_end
    for feed, age in source.feed_ages().items():
        labels = {"weatherglass.maintenance.feed": feed}
        yield _series("weatherglass.maintenance.feed.age", labels), age


def _series(metric: str, labels: Mapping[str, Any]) -> Series:
    return metric, frozenset(labels.items())


def _sum(one: float, other: float) -> float:
    return one + other


def _next(one: float, other: float) -> float:
    """What comes next of what is still to come, or else what came last."""
    ahead = [seconds for seconds in (one, other) if seconds > 0]
    return min(ahead) if ahead else max(one, other)


_COMBINED: dict[str, Callable[[float, float], float]] = {
    "weatherglass.breaker.status": _sum,
    "weatherglass.token.ttl": min,
    "weatherglass.budget.level": min,
    "weatherglass.ratelimit.remaining": min,
    "weatherglass.maintenance.active": max,
    "weatherglass.maintenance.time_to_start": _next,
    "weatherglass.maintenance.time_to_end": _next,
    "weatherglass.maintenance.feed.age": max,
}
"""How sessions that share a series are told as one."""
