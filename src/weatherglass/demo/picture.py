"""The picture of a run, drawn from exported telemetry and from nothing else.

Pure: records of the receiver in, a frozen view out. Every name comes from the registry. That
calls carry their phase's name as their policy's is all that is known beforehand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from weatherglass.telemetry import registry
from weatherglass.testing import MetricPoint, Span
from weatherglass.vocabulary import BreakerState, Outcome

ANNOUNCED = "announced"
IN_FORCE = "in force"
OVER = "over"

Series = Mapping[Hashable, MetricPoint]
"""The newest point of each series."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a phase has come."""

    name: str
    planned: int
    done: int


@dataclass(frozen=True, slots=True)
class Move:
    """A breaker's change of state."""

    previous: str
    state: str
    cause: str

    def __str__(self) -> str:
        return f"{self.previous} -> {self.state} ({self.cause})"


@dataclass(frozen=True, slots=True)
class Breaker:
    """A breaker, and what it has done."""

    name: str
    state: str
    moves: Counter[Move]
    refusals: int


@dataclass(frozen=True, slots=True)
class Waits:
    """The waits for one reason."""

    reason: str
    count: int
    seconds: float
    """In all, in the seconds of the clock that the session lives by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the exported telemetry says, all phases together."""

    phases: tuple[Progress, ...] = ()
    attempts: Counter[str]
    """By failure kind, :data:`~weatherglass.telemetry.registry.NO_FAILURE` for the good ones."""
    calls: Counter[str]
    """Ended calls by outcome; a token refresh has calls of its own, which are among them."""
    give_ups: Counter[str]
    retries: Counter[str]
    """By failure kind."""
    retry_after: Counter[str]
    """By variant."""
    dispositions: Counter[str]
    """What was done with those."""
    keys: int
    """Idempotency keys that were sent more than once."""
    waits: tuple[Waits, ...] = ()
    breakers: tuple[Breaker, ...] = ()
    refreshes: Counter[str]
    """Token refreshes by reason."""
    windows: Mapping[str, str]
    """Maintenance windows and what is told of each: announced, in force, or over."""
    feeds: Mapping[str, float]
    """Status pages, and the seconds since each was read."""

    @property
    def sent(self) -> int:
        """Attempts of all kinds."""
        return self.attempts.total()

    @property
    def failures(self) -> Counter[str]:
        """Attempts that failed, by kind."""
        return Counter({k: n for k, n in self.attempts.items() if k != registry.NO_FAILURE})


def newest(points: Iterable[MetricPoint], known: Series | None = None) -> Series:
    """The newest point of each series, given those that are known already."""
    latest = dict(known or {})
    for point in points:
        key = (point.name, frozenset(point.attributes.items()))
        before = latest.get(key)
        if before is None or point.time_ns >= before.time_ns:
            latest[key] = point
    return latest


def picture(series: Series, calls: Sequence[Span], planned: Mapping[str, int]) -> Picture:
    """The view of these records.

    Args:
        series: of cumulative metrics.
        calls: call spans.
        planned: the number of calls in each phase.
    """
    newest_export = max((point.time_ns for point in series.values()), default=0)
    points = tuple(series.values())

    return Picture(
        phases=_progress(calls, planned),
        attempts=_by(points, registry.ATTEMPT_COUNT.name, registry.FAILURE_KIND),
        calls=_by(points, registry.CALL_DURATION.name, registry.OUTCOME, _count),
        give_ups=_by(points, registry.GIVE_UPS.name, registry.GIVE_UP_REASON),
        retries=_by(points, registry.RETRIES.name, registry.FAILURE_KIND),
        retry_after=_by(points, registry.RETRY_AFTER_HEADERS.name, registry.RETRY_AFTER_VARIANT),
        dispositions=_by(
            points, registry.RETRY_AFTER_HEADERS.name, registry.RETRY_AFTER_DISPOSITION
        ),
        keys=_by(points, registry.IDEMPOTENCY_KEYS.name, registry.KEY_REUSED)[str(True)],
        waits=_waits(points),
        breakers=_breakers(points),
        refreshes=_by(points, registry.TOKEN_REFRESH_DURATION.name, registry.TOKEN_REASON, _count),
        windows=_windows(points, newest_export),
        feeds={
            str(point.attributes[registry.MAINTENANCE_FEED]): point.value or 0.0
            for point in _of(points, registry.MAINTENANCE_FEED_AGE.name)
        },
    )


def changes(before: Picture, after: Picture) -> list[str]:
    """What is worth a line of text, of all that happened between two pictures."""
    known = {breaker.name: breaker for breaker in before.breakers}
    lines = []
    for breaker in after.breakers:
        earlier = known.get(breaker.name)
        moves = breaker.moves - (Counter() if earlier is None else earlier.moves)
        state = BreakerState.CLOSED.value if earlier is None else earlier.state
        lines += [f"breaker {breaker.name}: {move}" for move in in_order(moves, state)]
    for reason, count in (after.refreshes - before.refreshes).items():
        lines.append(f"token refreshed: {reason}" + (f" ({count} times)" if count > 1 else ""))
    for window, state in after.windows.items():
        if state != before.windows.get(window):
            lines.append(f"maintenance window {window!r} is {state}")
    return lines


def in_order(moves: Counter[Move], state: str) -> list[Move]:
    """Moves in an order in which they can have happened, from this state on.

    Counters do not tell the order of what happened between two exports.
    """
    left = list(moves.elements())
    ordered = []
    while left:
        fitting = next((move for move in left if move.previous == state), left[0])
        left.remove(fitting)
        ordered.append(fitting)
        state = fitting.state
    return ordered


def summary(before: Picture, after: Picture) -> list[str]:
    """What happened between two pictures, in a few lines."""
    lines = []
    attempts = after.attempts - before.attempts
    if attempts:
        lines.append("attempts: " + listed(attempts))
    earlier = {waits.reason: waits for waits in before.waits}
    waited = []
    for waits in after.waits:
        known = earlier.get(waits.reason, Waits(waits.reason, 0, 0.0))
        if waits.count > known.count:
            seconds = waits.seconds - known.seconds
            waited.append(f"{waits.count - known.count} {waits.reason} ({seconds:.0f} s)")
    if waited:
        lines.append("waits: " + ", ".join(waited))
    variants = (after.retry_after - before.retry_after).keys()
    if len(variants) > 1:
        lines.append(f"forms of Retry-After: {len(variants)}")
    if after.keys > before.keys:
        lines.append(f"idempotency keys sent again: {after.keys - before.keys}")
    return lines


def listed(counts: Mapping[str, int]) -> str:
    """Counts in words, the largest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {name}" for name, count in ordered)


def _of(points: Iterable[MetricPoint], metric: str) -> list[MetricPoint]:
    return [point for point in points if point.name == metric]


def _count(point: MetricPoint) -> int:
    return point.count or 0


def _value(point: MetricPoint) -> int:
    return int(point.value or 0)


def _by(
    points: Iterable[MetricPoint],
    metric: str,
    label: str,
    number: Callable[[MetricPoint], int] = _value,
) -> Counter[str]:
    found: Counter[str] = Counter()
    for point in _of(points, metric):
        found[str(point.attributes.get(label))] += number(point)
    return +found


def _progress(calls: Sequence[Span], planned: Mapping[str, int]) -> tuple[Progress, ...]:
    succeeded = Counter(
        span.attributes.get(registry.POLICY)
        for span in calls
        if span.attributes.get(registry.OUTCOME) == Outcome.SUCCESS.value
    )
    return tuple(Progress(name, count, succeeded[name]) for name, count in planned.items())


def _waits(points: Iterable[MetricPoint]) -> tuple[Waits, ...]:
    counts: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    for point in _of(points, registry.WAIT_DURATION.name):
        reason = str(point.attributes[registry.WAIT_REASON])
        counts[reason] += _count(point)
        seconds[reason] = seconds.get(reason, 0.0) + (point.sum or 0.0)
    return tuple(Waits(reason, counts[reason], seconds[reason]) for reason in sorted(counts))


def _breakers(points: Sequence[MetricPoint]) -> tuple[Breaker, ...]:
    moves: dict[str, Counter[Move]] = {}
    for point in _of(points, registry.BREAKER_TRANSITIONS.name):
        told = point.attributes
        move = Move(
            str(told[registry.BREAKER_PREVIOUS_STATE]),
            str(told[registry.BREAKER_STATE]),
            str(told[registry.BREAKER_CAUSE]),
        )
        name = str(told[registry.BREAKER_NAME])
        moves.setdefault(name, Counter())[move] += _value(point)
    refusals = _by(points, registry.BREAKER_REFUSALS.name, registry.BREAKER_NAME)
    return tuple(
        Breaker(name, state, moves.get(name, Counter()), refusals[name])
        for name, state in sorted(_states(points).items())
    )


def _windows(points: Sequence[MetricPoint], newest_export: int) -> dict[str, str]:
    """What is told of each window.

    One that is told of no more has been taken off the status page, since it is over.
    """
    starts_in = {
        point.attributes[registry.MAINTENANCE_WINDOW]: point.value or 0.0
        for point in _of(points, registry.MAINTENANCE_TIME_TO_START.name)
    }
    found = {}
    for point in _of(points, registry.MAINTENANCE_ACTIVE.name):
        name = str(point.attributes[registry.MAINTENANCE_WINDOW])
        if point.time_ns < newest_export:
            found[name] = OVER
        elif point.value:
            found[name] = IN_FORCE
        else:
            found[name] = ANNOUNCED if starts_in.get(name, 0.0) > 0 else OVER
    return found


def _states(points: Iterable[MetricPoint]) -> dict[str, str]:
    """The states of breakers by name.

    One that is disabled, as those for token endpoints are, guards nothing and is not shown.
    """
    return {
        str(point.attributes[registry.BREAKER_NAME]): str(point.attributes[registry.BREAKER_STATE])
        for point in _of(points, registry.BREAKER_STATUS.name)
        if point.value and point.attributes[registry.BREAKER_STATE] != BreakerState.DISABLED.value
    }


NOTHING = picture({}, (), {})
"""The picture before anything has happened."""
