"""The circuit breaker as a pure state machine: values and events in, values out (section B).

No clock, no lock, no randomness of its own: the shell in :mod:`weatherglass.decide.breakers`
brings them. The pattern is M. Nygard's ("Release It!", 2007); generations, which make late
outcomes harmless, are those of gobreaker.

What counts as a failure and what does not stands in :mod:`weatherglass.decide.results`. Rates are
judged when a failure or a slow call comes in, never on a good call.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from weatherglass.decide.results import (
    Alive,
    BreakerResult,
    Failed,
    Ignored,
    MaintenanceFailure,
    Success,
)
from weatherglass.decide.sliding import EMPTY, SlidingWindow
from weatherglass.policy import BreakerPolicy
from weatherglass.vocabulary import BreakerCause, BreakerState

__all__ = [
    "Alive",
    "BreakerData",
    "BreakerResult",
    "Failed",
    "Ignored",
    "MaintenanceFailure",
    "Permit",
    "Refusal",
    "Step",
    "Success",
    "Transition",
    "abandon_probe",
    "acquire",
    "cooldown",
    "count_successes",
    "end_maintenance",
    "force",
    "forgettable",
    "fresh",
    "refuse",
    "settle",
]

LONGEST_HOLD = 86400.0
"""Seconds: a server's Retry-After extends a cool-down by no more than the longest that a policy
may set, so that a wild value cannot shut an origin out for years."""


SOON = 5.0
"""Seconds within which a probe is made when a window is known to have ended early."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one attempt; to be settled with its result.

    While a breaker is closed, all callers of a generation share one permit.
    """

    name: str
    generation: int
    probe: bool
    state: BreakerState
    noted: deque[float] = field(default_factory=deque, compare=False, repr=False)
    """Where the shell notes the times of good calls until it counts them; nobody else's."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """No leave: nothing may be sent."""

    name: str
    state: BreakerState
    next_probe_in: float | None
    """Seconds until the next probe is due; ``None`` while one is under way or by force."""
    maintenance: str | None
    """The maintenance window that keeps the breaker open."""
    opened_in_maintenance: bool = False
    """Whether a maintenance window opened it, though it may be over by now."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A breaker went from one state to another."""

    name: str
    previous: BreakerState
    state: BreakerState
    cause: BreakerCause
    at: float
    """Monotonic seconds."""
    generation: int
    """The generation that began with it."""


@dataclass(frozen=True, slots=True)
class BreakerData:
    """All that is known of one breaker."""

    name: str
    state: BreakerState
    generation: int
    """Grows with every transition and every probe."""
    permit: Permit | None
    """What every caller gets, while the breaker admits everybody; else ``None``."""
    run: int = 0
    """Failures in a row."""
    window: SlidingWindow = EMPTY
    late: int = 0
    """Outcomes of earlier generations: they moved nothing (rule B3)."""
    cooldowns: int = 0
    """Ordinary cool-downs since it was last closed: each is longer than the one before."""
    probe_at: float = -math.inf
    """Monotonic seconds from which a probe is let through, when open."""
    lease_until: float = -math.inf
    """Monotonic seconds until which the probe under way keeps its place, when half-open."""
    maintenance: str | None = None
    """The maintenance window in which it was opened."""
    maintenance_until: float = -math.inf
    """Monotonic seconds of that window's end."""
    held_until: float = -math.inf
    """Monotonic seconds until which the server itself has asked to be left alone meanwhile."""


Step = tuple[BreakerData, Transition | None]
"""What an event makes of a breaker."""


def fresh(name: str, policy: BreakerPolicy) -> BreakerData:
    """A breaker of which nothing is known yet."""
    state = BreakerState.CLOSED if policy.enabled else BreakerState.DISABLED
    return BreakerData(name, state, 0, Permit(name, 0, probe=False, state=state))


def forgettable(data: BreakerData, policy: BreakerPolicy) -> bool:
    """Whether the breaker may be dropped: only in the state that a fresh one has (rule B5)."""
    return data.state is (BreakerState.CLOSED if policy.enabled else BreakerState.DISABLED)


def refuse(data: BreakerData, now: float) -> Refusal | None:
    """The refusal that a caller would get; ``None`` when it would get a permit."""
    state = data.state
    if state is BreakerState.OPEN:
        if data.probe_at <= now:
            return None
        return _refusal(data, now, data.probe_at - now)
    if state is BreakerState.HALF_OPEN:
        if data.lease_until <= now:
            return None
        return _refusal(data, now, None)
    if state is BreakerState.FORCED_OPEN:
        return Refusal(data.name, state, None, None)
    return None


def acquire(
    data: BreakerData, now: float, policy: BreakerPolicy
) -> tuple[BreakerData, Permit | Refusal, Transition | None]:
    """Ask for leave. A probe's leave is a lease: its place is free again when it lapses (B3)."""
    if data.permit is not None:
        return data, data.permit, None
    refusal = refuse(data, now)
    if refusal is not None:
        return data, refusal, None
    generation = data.generation + 1
    leased = replace(
        data,
        state=BreakerState.HALF_OPEN,
        generation=generation,
        lease_until=now + policy.probe_lease,
    )
    permit = Permit(data.name, generation, probe=True, state=BreakerState.HALF_OPEN)
    return leased, permit, _transition(data, leased, BreakerCause.PROBE_DUE, now)


def settle(
    data: BreakerData,
    permit: Permit,
    result: BreakerResult,
    now: float,
    policy: BreakerPolicy,
    *,
    random: float,
) -> Step:
    """Take the result of an attempt that was admitted. ``random`` is in [0, 1)."""
    if isinstance(result, MaintenanceFailure) and result.ends_in <= 0:
        result = Failed(0.0, result.hold)
    if permit.generation != data.generation:
        return _settle_late(data, result, now), None
    if data.state is BreakerState.CLOSED:
        return _settle_closed(data, result, now, policy, random=random)
    if data.state is BreakerState.HALF_OPEN:
        return _settle_probe(data, result, now, policy, random=random)
    return data, None


def count_successes(
    data: BreakerData, permit: Permit, times: Sequence[float], policy: BreakerPolicy
) -> BreakerData:
    """Count good calls that were noted under a permit, by the monotonic times of their ends.

    They must have left the breaker as it was: closed, without a run of failures, and not slow.
    """
    if permit.generation != data.generation:
        return replace(data, late=data.late + len(times))
    if data.state is not BreakerState.CLOSED:
        return data
    return replace(data, window=data.window.with_successes(times, policy.window))


def force(data: BreakerData, state: BreakerState, now: float) -> Step:
    """Put the breaker where an operator wants it: closed, disabled or forced open (rule B8).

    Closed is the ordinary state: it opens again by the ordinary rules. The other two stay.
    """
    if state in (BreakerState.OPEN, BreakerState.HALF_OPEN):
        raise ValueError(f"state is {state}, but must be closed, disabled or forced_open")
    return _moved(data, state, BreakerCause.OPERATOR, now)


def end_maintenance(data: BreakerData, ends_in: float, now: float, *, random: float) -> BreakerData:
    """The window that keeps it open is known to end sooner: probe soon after that (rule M5).

    Not at once, so that the clients of a fleet that have all heard of it do not come together;
    and not before the server wants to hear of anybody. ``ends_in`` is 0 for one that is over.
    """
    ends_at = now + ends_in
    if data.state is not BreakerState.OPEN or ends_at >= data.maintenance_until:
        return data
    soon = max(ends_at + SOON * random, data.held_until)
    return replace(data, probe_at=min(data.probe_at, soon), maintenance_until=ends_at)


def abandon_probe(data: BreakerData) -> BreakerData:
    """Free the place of a probe that is known never to report."""
    if data.state is not BreakerState.HALF_OPEN:
        return data
    # A new generation, so that the probe is late if it reports all the same.
    return replace(data, generation=data.generation + 1, lease_until=-math.inf)


def cooldown(policy: BreakerPolicy, served: int, random: float) -> float:
    """Seconds of the cool-down that follows ``served`` others: grown, jittered, capped (B2)."""
    try:
        grown = policy.cooldown * policy.cooldown_factor**served
    except OverflowError:
        return policy.max_cooldown
    return min(policy.max_cooldown, grown * (1 + policy.jitter * random))


def _settle_late(data: BreakerData, result: BreakerResult, now: float) -> BreakerData:
    """An outcome of another generation: it is counted, and moves nothing.

    One thing is still heard while open: a server that asks, now, to be left alone for longer.
    """
    late = replace(data, late=data.late + 1)
    if data.state is BreakerState.OPEN and isinstance(result, (Failed, MaintenanceFailure)):
        held = max(data.held_until, _held_until(result.hold, now))
        return replace(late, probe_at=max(data.probe_at, held), held_until=held)
    return late


def _settle_closed(
    data: BreakerData, result: BreakerResult, now: float, policy: BreakerPolicy, *, random: float
) -> Step:
    if isinstance(result, (Success, Failed)):
        failed = isinstance(result, Failed)
        slow = policy.slow_call is not None and result.duration >= policy.slow_call
        counted = replace(
            data,
            run=data.run + 1 if failed else 0,
            window=data.window.with_call(now, policy.window, failed=failed, slow=slow),
        )
        cause = _reason_to_open(counted, policy, failed=failed, slow=slow)
        if cause is None:
            return counted, None
        hold = result.hold if isinstance(result, Failed) else None
        return _cooling(counted, cause, now, policy, hold=hold, random=random)
    if isinstance(result, MaintenanceFailure):
        return _down_for_maintenance(data, result, now)
    if isinstance(result, Alive) and result.ends_run:
        return replace(data, run=0), None
    return data, None


def _settle_probe(
    data: BreakerData, result: BreakerResult, now: float, policy: BreakerPolicy, *, random: float
) -> Step:
    if isinstance(result, (Success, Alive)):
        return _moved(data, BreakerState.CLOSED, BreakerCause.PROBE_SUCCEEDED, now)
    if isinstance(result, Failed):
        cause = BreakerCause.PROBE_FAILED
        return _cooling(data, cause, now, policy, hold=result.hold, random=random)
    if isinstance(result, MaintenanceFailure):
        return _down_for_maintenance(data, result, now)
    return abandon_probe(data), None


def _reason_to_open(
    data: BreakerData, policy: BreakerPolicy, *, failed: bool, slow: bool
) -> BreakerCause | None:
    """Why a closed breaker must open after the call that was just counted, if it must (B1)."""
    if failed and data.run >= policy.consecutive_failures:
        return BreakerCause.CONSECUTIVE_FAILURES
    window = data.window
    calls = window.calls
    if calls < policy.minimum_calls:
        return None
    if (
        failed
        and policy.failure_rate is not None
        and window.failures / calls >= policy.failure_rate
    ):
        return BreakerCause.FAILURE_RATE
    if slow and window.slow / calls >= policy.slow_call_rate:
        return BreakerCause.SLOW_CALL_RATE
    return None


def _cooling(
    data: BreakerData,
    cause: BreakerCause,
    now: float,
    policy: BreakerPolicy,
    *,
    hold: float | None,
    random: float,
) -> Step:
    """Open, or reopen, by the ordinary rules."""
    until = now + cooldown(policy, data.cooldowns, random)
    opened = BreakerData(
        data.name,
        BreakerState.OPEN,
        data.generation + 1,
        permit=None,
        late=data.late,
        cooldowns=data.cooldowns + 1,
        probe_at=max(until, _held_until(hold, now)),
    )
    return opened, _transition(data, opened, cause, now)


def _down_for_maintenance(data: BreakerData, result: MaintenanceFailure, now: float) -> Step:
    """Open until the window's end, with a probe now and then; the cool-down does not grow."""
    ends_at = now + result.ends_in
    held = _held_until(result.hold, now)
    opened = BreakerData(
        data.name,
        BreakerState.OPEN,
        data.generation + 1,
        permit=None,
        late=data.late,
        cooldowns=data.cooldowns,
        probe_at=max(min(ends_at, now + result.probe_interval), held),
        maintenance=result.window,
        maintenance_until=ends_at,
        held_until=held,
    )
    return opened, _transition(data, opened, BreakerCause.MAINTENANCE, now)


def _moved(data: BreakerData, state: BreakerState, cause: BreakerCause, now: float) -> Step:
    """Begin a generation in a state that has nothing to remember of the ones before."""
    generation = data.generation + 1
    admits = state is not BreakerState.FORCED_OPEN
    permit = Permit(data.name, generation, probe=False, state=state) if admits else None
    moved = BreakerData(data.name, state, generation, permit, late=data.late)
    return moved, _transition(data, moved, cause, now)


def _transition(
    before: BreakerData, after: BreakerData, cause: BreakerCause, now: float
) -> Transition | None:
    if before.state is after.state:
        return None
    return Transition(before.name, before.state, after.state, cause, now, after.generation)


def _held_until(hold: float | None, now: float) -> float:
    return -math.inf if hold is None else now + min(hold, LONGEST_HOLD)


def _refusal(data: BreakerData, now: float, next_probe_in: float | None) -> Refusal:
    in_force = data.maintenance if now < data.maintenance_until else None
    opened = data.maintenance is not None
    return Refusal(data.name, data.state, next_probe_in, in_force, opened)
