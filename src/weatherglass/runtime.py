"""Time, waiting and chance: the one object through which they reach weatherglass.

Nothing else in the package reads a clock, sleeps or draws a random number, so every rule can be
tested without waiting, and a fleet of clients can be simulated on the real decision code.
"""

from __future__ import annotations

import random as _random
import time as _time
from typing import Protocol

__all__ = ["SYSTEM", "Runtime", "SystemRuntime", "Wakeable"]


class Wakeable(Protocol):
    """What a wait can be ended by: a :class:`threading.Event` or its like."""

    def wait(self, timeout: float | None = None) -> bool: ...

    def is_set(self) -> bool: ...


class Runtime(Protocol):
    """Clock, sleep and random, injected everywhere."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; for all waiting and all state machines."""
        ...

    def time(self) -> float:
        """Seconds since the epoch; only for HTTP dates, token expiry and maintenance windows."""
        ...

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        """Wait until ``wake`` is set, for at most ``seconds``, and never less without it (R7).

        Returns whether ``wake`` was set.
        """
        ...


class SystemRuntime:
    """The machine's own clocks and randomness."""

    monotonic = staticmethod(_time.monotonic)
    time = staticmethod(_time.time)
    random = staticmethod(_random.random)

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        until = _time.monotonic() + seconds
        # Event.wait may return a little early on some platforms; a delay that a server asked
        # for must not be cut short by that.
        while (left := until - _time.monotonic()) > 0:
            # A window may end in centuries, for which Event.wait would raise OverflowError.
            if wake.wait(min(left, _LONGEST_WAIT)):
                return True
        return wake.is_set()


_LONGEST_WAIT = 86400.0

SYSTEM = SystemRuntime()
"""The runtime of every session that is not given another."""
