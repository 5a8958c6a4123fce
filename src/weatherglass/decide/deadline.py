"""The total time that one call may take, waits included (rule D9): arithmetic only."""

from __future__ import annotations

import math
from dataclasses import dataclass

_SHORTEST_TIMEOUT = 0.001
"""Seconds: a timeout must be above zero; who has no time left should not have begun."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock after which a call must have ended."""

    at: float
    """Monotonic seconds; infinite without a bound."""

    @classmethod
    def after(cls, seconds: float | None, now: float) -> Deadline:
        """The deadline of a call that begins now; :data:`NEVER` without a bound."""
        return NEVER if seconds is None else cls(now + seconds)

    def remaining(self, now: float) -> float:
        """Seconds that are left; 0 when it has passed."""
        return max(0.0, self.at - now)

    def clamp(self, timeout: float | None, now: float) -> float | None:
        """A timeout in seconds, cut down to what is left; ``None`` waits for ever."""
        if self.at == math.inf:
            return timeout
        left = max(_SHORTEST_TIMEOUT, self.remaining(now))
        return left if timeout is None else min(timeout, left)


NEVER = Deadline(math.inf)
"""The deadline of a call without one."""
