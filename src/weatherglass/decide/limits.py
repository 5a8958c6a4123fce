"""What is known of one rate limit, from what its server says on every answer (rule G4).

Two kinds of limits are told apart by how their reset behaves. Fixed windows are restored all at
once, at the reset. In token buckets, and in windows that slide, the reset moves on while requests
are made: a part is restored all the time, and by the reset all of it. No header says which kind a
limit is; two answers do.

Pure values and transitions. When the next attempt may be made is the business of
:mod:`weatherglass.decide.pacing`. All times are monotonic seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

ROUNDING = 1.0
"""Seconds by which a reset in whole seconds may be off; some servers round it up, some down."""

COMPARED = 3.0
"""Seconds between two answers after which rounding no longer hides what has changed."""

_FARTHEST = 86_400.0
"""Seconds to a reset that is believed: nothing is sent before it when nothing is left."""

_MOVED = 1.5
"""Seconds by which a reset must have moved to be another one: more than rounding can do."""

_SAME_WINDOW = 0.25
"""The share of a limit that is used without any move of the reset in fixed windows alone."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an answer said of its limit, as far as it said anything."""

    remaining: int
    """Requests left."""
    allowed: int | None
    """Requests that the limit allows, if the server says so."""
    reset_in: float
    """Seconds from the receipt."""
    duration: float
    """Seconds between the sending and the receipt."""


@dataclass(frozen=True, slots=True)
class LimitReading:
    """The same in our own time."""

    used: int
    """Requests that were counted, the answered one included."""
    allowed: int
    at: float
    """When the answer came."""
    early: float
    """The reset, if the server reckoned it when the request was sent."""
    late: float
    """The reset, if the server reckoned it when the answer came."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt stands among all that were let through."""

    sequence: int
    settled: int
    """The attempts that were over by then: a server has counted all of them before this one."""


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit as it is known, and the attempts under it."""

    sent: int = 0
    """Attempts that were let through."""
    settled: int = 0
    """Those of them that have been answered, have failed, or were not made after all."""
    reading: LimitReading | None = None
    """What is believed; ``None`` before the first answer that says anything."""
    sequence: int = 0
    """The number of the attempt by which ``reading`` came."""
    base: int = 0
    """With ``sent`` it makes the requests that are used: what ``reading`` counted beyond ours."""
    first: LimitReading | None = None
    """This window's last reading at full speed."""
    first_base: int = 0
    """What ``base`` was then; that it grows is the work of others."""
    anchor: LimitReading | None = None
    """An earlier reading: by what has changed since, the kinds of limits are told apart."""
    moving: bool | None = None
    """Whether the reset moves on while requests are made; ``None`` until that can be told."""
    span: float = 0.0
    """Seconds: the longest time to a reset that was seen."""
    next_at: float = -math.inf
    """The first place in the queue that is free."""

    @property
    def in_flight(self) -> int:
        return self.sent - self.settled


def reading_of(state: LimitState, said: Allowance, now: float) -> LimitReading | None:
    """What an answer said, in our own time; ``None`` if nothing can be made of it."""
    allowed = said.allowed
    if allowed is None:
        # The server says only what is left: the most that was ever seen of that is the limit.
        known = 0 if state.reading is None else state.reading.allowed
        allowed = max(known, said.remaining + 1)
    if allowed < 1 or said.reset_in > _FARTHEST:
        return None
    late = now + said.reset_in
    counted = max(0, allowed - said.remaining)
    return LimitReading(counted, allowed, now, late - said.duration, late)


def used(state: LimitState, now: float) -> float:
    """The most of the limit that we and others can have used, as far as we know.

    All of ours that were not over when the attempt of the reading was let through count on top
    of it, though the server may have counted some of them already.
    """
    reading = state.reading
    if reading is None:
        return float(state.in_flight)
    reckoned = float(state.base + state.sent)
    if state.moving is not False:
        reckoned -= (now - reading.at) / refill(reading)
    return max(reckoned, float(state.in_flight))


def refill(reading: LimitReading) -> float:
    """Seconds in which a moving limit restores one request, rather too many than too few."""
    return (max(0.0, reading.late - reading.at) + ROUNDING) / max(1, reading.used)


def rate_of_others(state: LimitState) -> float:
    """Requests a second that others make in a fixed window; elsewhere it is not reckoned."""
    reading, first = state.reading, state.first
    if state.moving is not False or reading is None or first is None:
        return 0.0
    passed = reading.at - first.at
    return 0.0 if passed < COMPARED else max(0, state.base - state.first_base) / passed


def rolled(state: LimitState, now: float) -> LimitState:
    """The state once the reset has passed: only what is under way can have been counted since."""
    reading = state.reading
    if reading is None or now < reading.late + ROUNDING:
        return state
    # Until an answer says more, the new window is taken to be as long as the longest one seen.
    reset = now + state.span
    return replace(
        state,
        reading=LimitReading(0, reading.allowed, now, reset, reset),
        base=-state.settled,
        first=None,
        anchor=None,
        next_at=now,
    )


def learned(
    state: LimitState, place: Place, reading: LimitReading | None, full_speed: float
) -> LimitState:
    """The state after an attempt is over, with what its answer said, if it said anything.

    Of two answers the one to the attempt that was let through later is believed, unless the other
    shows that it was given later. ``full_speed`` is the share of the limit up to which nobody is
    held back.
    """
    state = replace(state, settled=state.settled + 1)
    if reading is None:
        return state
    if place.sequence < state.sequence and not _given_later(state, reading):
        return state
    anchor, moving = _compared(state, reading)
    base = reading.used - place.settled - 1
    first, first_base = state.first, state.first_base
    unhurried = reading.used < full_speed * reading.allowed
    if first is None or unhurried or abs(reading.late - first.late) > _MOVED:
        first, first_base = reading, base
    return replace(
        state,
        reading=reading,
        sequence=max(state.sequence, place.sequence),
        base=base,
        first=first,
        first_base=first_base,
        anchor=anchor,
        moving=moving,
        span=max(state.span, reading.late - reading.at),
    )


def _given_later(state: LimitState, new: LimitReading) -> bool:
    """Whether requests overtook each other, and the server gave this answer after the one believed.

    Every request moves the reset of a moving limit on, so a later reset is a later answer. Where
    the earlier one was believed, what came after it would seem to be restored by its reset.
    """
    believed = state.reading
    return state.moving is True and believed is not None and new.early > believed.late + ROUNDING


def _compared(state: LimitState, new: LimitReading) -> tuple[LimitReading, bool | None]:
    """Against which reading to compare the next, and whether the reset moves on.

    In a fixed window it stands still. In a bucket each request moves it on, and time as well, as
    long as no less is used than before.
    """
    old = state.anchor
    if old is None or new.at >= old.early - ROUNDING:
        # Perhaps of another window.
        return new, state.moving
    passed, more = new.at - old.at, new.used - old.used
    if new.early > old.late + max(_MOVED, passed / 2):
        return new, True
    if more >= max(2.0, _SAME_WINDOW * new.allowed) and new.late <= old.late + _MOVED:
        return new, False
    if passed >= COMPARED and more >= 0 and new.late < old.early + passed / 2:
        return new, False
    if passed >= COMPARED and more + state.in_flight < 0:
        return new, True
    return old, state.moving


def is_idle(state: LimitState, now: float) -> bool:
    """Whether nothing is lost when the state is forgotten."""
    reading = state.reading
    return state.in_flight <= 0 and (reading is None or now >= reading.late + ROUNDING)
