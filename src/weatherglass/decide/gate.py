"""The gate: a rate limit that one call met holds back all calls of its origin and credential.

Without it, each of a hundred threads would find out for itself (rule A8). A gate opens by time
alone. Whoever comes while it is closed gets a release time of their own, a little after the
opening, so that the waiters do not fall upon the server together; the waiting itself is the
caller's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from weatherglass.decide.backoff import spread
from weatherglass.decide.store import MemoryStore, Store
from weatherglass.policy import RetryAfterPolicy
from weatherglass.runtime import Runtime


@dataclass(frozen=True, slots=True)
class GateState:
    """A gate that was closed."""

    until: float
    """Monotonic seconds at which it opens."""
    spread: float
    """Seconds over which the waiters are let through after that."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the gate tells one call."""

    seconds: float
    """To wait from now; 0 to go through."""
    release_at: float
    """Monotonic seconds at which this call is let through."""


PASS = Entry(0.0, -math.inf)
"""The entry of a call that may go through at once."""


def held(
    state: GateState | None, delay: float, now: float, policy: RetryAfterPolicy
) -> GateState | None:
    """The gate after a server has asked for ``delay`` seconds: it is never shortened by that.

    Delays above the ceiling hold nothing: one route's daily quota must not stop a whole origin
    for hours (the call that met it gives up, rule A6).
    """
    if not policy.gate or not delay <= policy.ceiling:
        return state
    delay = max(delay, policy.floor)
    until = now + delay
    if state is not None and state.until >= until:
        return state
    return GateState(until, spread(delay, policy))


def enter(state: GateState, now: float, random: float, earlier: Entry | None = None) -> Entry:
    """What a call is told that comes now, or that comes back with an ``earlier`` entry.

    A release time is kept as long as the gate is not held for longer than that meanwhile.
    """
    if earlier is not None and earlier.release_at >= state.until:
        release_at = earlier.release_at
    elif state.until <= now:
        return PASS
    else:
        release_at = state.until + random * state.spread
    return _release(release_at, now)


def _release(release_at: float, now: float) -> Entry:
    if release_at <= now:
        return PASS
    seconds = release_at - now
    if now + seconds < release_at:
        # Rounded down; whoever waited for that would have to wait for a hair more.
        seconds = math.nextafter(seconds, math.inf)
    return Entry(seconds, release_at)


class Gates:
    """The gates of all pairs of origin and credential, safe for threads.

    A wait looks so, ``key`` being ``"<origin>|<credential>"``::

        entry = gates.entry(key)
        while entry.seconds > 0:
            ...  # wait for entry.seconds
            entry = gates.entry(key, entry)
    """

    def __init__(
        self, policy: RetryAfterPolicy, runtime: Runtime, store: Store[GateState] | None = None
    ) -> None:
        self._policy = policy
        self._monotonic = monotonic = runtime.monotonic
        self._random = runtime.random
        self._store: Store[GateState] = (
            MemoryStore(forgettable=lambda state: state.until <= monotonic())
            if store is None
            else store
        )
        self._read = self._store.read

    def entry(self, key: str, earlier: Entry | None = None) -> Entry:
        """How long a call has to wait; a single read while the gate was never closed."""
        state = self._read(key)
        if state is None:
            # A waiter's own release time holds, though the gate was opened and forgotten.
            return PASS if earlier is None else _release(earlier.release_at, self._monotonic())
        now = self._monotonic()
        if state.until <= now:
            self._forget(key, now)
        return enter(state, now, self._random(), earlier)

    def hold(self, key: str, delay: float) -> bool:
        """Close a gate for as long as a server has asked for, in seconds.

        Returns whether it is closed by that or for longer: not when gates are off, nor when the
        delay is above the ceiling.
        """
        now, policy = self._monotonic(), self._policy

        def transition(state: GateState | None) -> tuple[GateState | None, bool]:
            after = held(state, delay, now, policy)
            return after, after is not None and after.until >= now + delay

        return self._store.update(key, transition)

    def closed(self) -> Mapping[str, float]:
        """The keys of all closed gates with the seconds until they open."""
        now = self._monotonic()
        return {key: s.until - now for key, s in self._store.items() if s.until > now}

    def reset_after_fork(self) -> None:
        """Drop inherited locks (rule D13)."""
        self._store.reset_after_fork()

    def _forget(self, key: str, now: float) -> None:
        """Drop a gate that has opened, so that later calls pay for a single read again."""

        def transition(state: GateState | None) -> tuple[GateState | None, None]:
            return None if state is None or state.until <= now else state, None

        self._store.update(key, transition)
