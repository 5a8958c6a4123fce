"""Pacing: calls are spread out before a rate limit is reached, so that it never is (rule G4).

Up to a share of the limit calls go at full speed. From there on the requests that are left are
spread evenly over the time to the reset, and when none is left, calls wait for it. What others
use of the same limit shows in the next answer, and makes the steps wider. In a limit that is
restored little by little, some of that is taken even if others leave nothing: who waited until
enough is left would wait for ever.

Whoever has to wait gets a place in a queue, so that no thread overtakes another. As in
:mod:`weatherglass.decide.gate`, the waiting itself is the caller's business; and so is what
happens after a 429 in spite of all this: that is the gate's. What is known of a limit stands in
:mod:`weatherglass.decide.limits`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from weatherglass.decide.limits import (
    ROUNDING,
    Allowance,
    LimitReading,
    LimitState,
    Place,
    is_idle,
    learned,
    rate_of_others,
    reading_of,
    refill,
    rolled,
    used,
)
from weatherglass.decide.store import MemoryStore, Store
from weatherglass.policy import PacingPolicy
from weatherglass.runtime import Runtime

_MOST_SHARERS = 4
"""In a limit that is restored little by little, and is used up, one in so many is still taken."""

_MOST_GIVEN = 0.9
"""The share of what is left of a fixed window that is given up to others at most."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What pacing tells one call."""

    seconds: float
    """To wait from now; 0 to go."""
    release_at: float
    """Monotonic seconds at which this call asks again."""
    place: Place | None = None
    """Of an attempt that may be made."""
    queued: bool = False
    """Whether a place in the queue was given, which is kept when its time has come."""
    exhausted: bool = False
    """Whether nothing was left of the limit."""


_Answer = tuple[LimitState, Ticket]


def take(
    state: LimitState,
    now: float,
    policy: PacingPolicy,
    earlier: Ticket | None = None,
    patience: float = math.inf,
) -> _Answer:
    """Let an attempt through, or tell it when to ask again, with the ticket that it then has.

    Who has to wait for ``patience`` seconds or longer, and so will not, takes no place.
    """
    state = rolled(state, now)
    if state.reading is None:
        return let_through(state, now)
    after, ticket = _take(state, state.reading, now, policy, earlier)
    return (state if ticket.seconds >= patience else after), ticket


def _take(
    state: LimitState,
    reading: LimitReading,
    now: float,
    policy: PacingPolicy,
    earlier: Ticket | None,
) -> _Answer:
    most = used(state, now)
    left = reading.allowed - most
    # What others have used since the last answer, at half of what is left at most.
    left -= max(0.0, min(left / 2, rate_of_others(state) * (now - reading.at)))
    queue_at = min(max(now, state.next_at), now + policy.max_wait)
    if left < 1:
        return _exhausted(state, reading, now, queue_at)
    its_turn = earlier is not None and earlier.queued and earlier.release_at <= now
    if its_turn or most < policy.start * reading.allowed:
        return let_through(state, now)
    if state.moving is False and queue_at > max(now, reading.late):
        # No place is free before the reset; after it everything begins anew.
        return state, _waiting(now, reading.late + ROUNDING)
    step = min(_step(state, reading, now, left), policy.max_wait)
    state = replace(state, next_at=queue_at + step)
    if queue_at <= now:
        return let_through(state, now)
    return state, _waiting(now, queue_at, queued=True)


def _step(state: LimitState, reading: LimitReading, now: float, left: float) -> float:
    """Seconds between two places in the queue."""
    to_reset = max(0.0, reading.late - now)
    if state.moving:
        return min(to_reset / left, _MOST_SHARERS * refill(reading))
    # Others go on as they did; but no more is given up to them than half of what is left, or
    # than makes half of the limit with what they had, and never all.
    granted = max(left / 2, reading.allowed / 2 - (state.base - state.first_base))
    theirs = min(rate_of_others(state) * to_reset, granted, _MOST_GIVEN * left)
    return to_reset / (left - theirs)


def _exhausted(state: LimitState, reading: LimitReading, now: float, queue_at: float) -> _Answer:
    """Nothing is left: until the reset, or until it can be that something was restored."""
    reset = reading.late + ROUNDING
    if state.moving is False:
        return state, _waiting(now, reset, exhausted=True)
    release_at = min(queue_at + _MOST_SHARERS * refill(reading), reset)
    state = replace(state, next_at=release_at)
    return state, _waiting(now, release_at, queued=True, exhausted=True)


def let_through(state: LimitState, now: float) -> _Answer:
    """Count an attempt that is made at once, whatever is left."""
    state = replace(state, sent=state.sent + 1)
    return state, Ticket(0.0, now, Place(state.sent, state.settled))


def _waiting(
    now: float, release_at: float, *, queued: bool = False, exhausted: bool = False
) -> Ticket:
    seconds = release_at - now
    if now + seconds < release_at:
        # Rounded down; whoever waited for that would come back too early.
        seconds = math.nextafter(seconds, math.inf)
    return Ticket(seconds, release_at, queued=queued, exhausted=exhausted)


class Paces:
    """The limits of all pairs of origin and credential, safe for threads.

    ``key`` being ``"<origin>|<credential>"``::

        ticket = paces.take(key)
        while ticket.seconds > 0:
            ...  # wait for ticket.seconds
            ticket = paces.take(key, ticket)
        ...  # make the attempt
        paces.settle(key, ticket, allowance)
    """

    def __init__(
        self, policy: PacingPolicy, runtime: Runtime, store: Store[LimitState] | None = None
    ) -> None:
        self._policy = policy
        self._monotonic = monotonic = runtime.monotonic
        self._store: Store[LimitState] = (
            MemoryStore(forgettable=lambda state: is_idle(state, monotonic()))
            if store is None
            else store
        )

    def take(self, key: str, earlier: Ticket | None = None, patience: float = math.inf) -> Ticket:
        """A ticket for one attempt; when it says so, wait and come back with it.

        Who gets one without seconds must settle it. Who gets one with ``patience`` seconds or
        more has no place, and should give up.
        """
        now, policy = self._monotonic(), self._policy

        def transition(state: LimitState | None) -> _Answer:
            return take(state or LimitState(), now, policy, earlier, patience)

        return self._store.update(key, transition)

    def pass_by(self, key: str) -> Ticket:
        """A ticket for an attempt that does not wait; it must be settled like any other."""
        now = self._monotonic()
        return self._store.update(key, lambda state: let_through(state or LimitState(), now))

    def settle(self, key: str, ticket: Ticket, said: Allowance | None = None) -> None:
        """An attempt is over, or was not made; ``said`` is what its answer said of the limit."""
        now, place, full_speed = self._monotonic(), ticket.place, self._policy.start
        if place is None:
            return

        def transition(state: LimitState | None) -> tuple[LimitState | None, None]:
            if state is None:
                return None, None
            reading = None if said is None else reading_of(state, said, now)
            return learned(state, place, reading, full_speed), None

        self._store.update(key, transition)

    def states(self) -> dict[str, LimitState]:
        """What is known of every limit."""
        return dict(self._store.items())

    def reset_after_fork(self) -> None:
        """Drop inherited locks (rule D13)."""
        self._store.reset_after_fork()
