"""When a feed is read again: a pure state machine (rule M2).

Every ``ttl`` seconds, spread so that a fleet does not read at once; sooner after failures, and
less soon the more there were; and shortly before a window's end, since an end that was moved is
worth most to know while the window is still in force. Times are monotonic seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

JITTER: Final = 0.1
"""The share of the time between two readings by which it is shorter or longer."""

FIRST_RETRY: Final = 5.0
"""Seconds after the first failure in which it is tried again, at most; doubled by each other."""

LEAD: Final = 30.0
"""Seconds before a window's end from which it is asked whether the end was moved."""

_MOST_DOUBLINGS: Final = 20


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is known of the readings of one feed."""

    due_at: float = -math.inf
    """From when on it is to be read."""
    failures: int = 0
    """Failed readings in a row."""
    tried_at: float | None = None
    """When it was first tried."""
    read_at: float | None = None
    """When it was last read well."""

    def due(self, now: float) -> bool:
        """Whether it is to be read."""
        return now >= self.due_at

    def age(self, now: float) -> float | None:
        """Seconds since it was last read well, or first tried; ``None`` if it never was."""
        since = self.tried_at if self.read_at is None else self.read_at
        return None if since is None else max(0.0, now - since)


def tried(before: Schedule, now: float) -> Schedule:
    """At the beginning of a reading."""
    return replace(before, tried_at=now) if before.tried_at is None else before


def succeeded(
    before: Schedule, now: float, ttl: float, *, ends_in: float = math.inf, random: float
) -> Schedule:
    """After a good reading. ``ends_in`` are the seconds to the next end of one of its windows."""
    wait = ttl * (1 - JITTER + 2 * JITTER * random)
    if ends_in > 0:
        lead = min(LEAD, ttl / 2)
        # With a bound below, or what is over in a moment would be read again and again.
        wait = min(wait, max(ends_in - lead * (0.5 + 0.5 * random), lead / 2))
    return Schedule(now + wait, 0, before.tried_at, now)


def failed(before: Schedule, now: float, ttl: float, *, random: float) -> Schedule:
    """After a failed reading. ``random`` is in [0, 1)."""
    grown = FIRST_RETRY * 2 ** min(before.failures, _MOST_DOUBLINGS)
    wait = min(ttl, grown) * (0.5 + 0.5 * random)
    return replace(before, due_at=now + wait, failures=before.failures + 1)
