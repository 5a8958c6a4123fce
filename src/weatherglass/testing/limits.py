"""Rate limiting as the server does it: pure counting, a locked shell, and what clients are told."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from weatherglass.testing.bodies import Refused, rate_limit_message
from weatherglass.testing.plan import Limiting, RateLimit, Telling


@dataclass(frozen=True, slots=True)
class Level:
    """What one token has used, at a moment."""

    used: float
    at: float
    """When ``used`` held; for fixed windows, when the window began."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a request is told of its limit."""

    allowed: bool
    count: int
    """Requests used, this one included if it was allowed."""
    reset_in: float
    """Seconds until nothing is used any more."""
    retry_in: float
    """Seconds until the next request is allowed; 0 if it is already."""


def take(limit: RateLimit, level: Level | None, now: float) -> tuple[Level, Reading]:
    """Count one request at ``now`` (seconds on a monotonic clock)."""
    if limit.algorithm is Limiting.WINDOW:
        return _take_from_window(limit, level, now)
    return _take_from_bucket(limit, level, now)


def _take_from_bucket(limit: RateLimit, level: Level | None, now: float) -> tuple[Level, Reading]:
    per_second = limit.limit / limit.window
    used = 0.0 if level is None else max(0.0, level.used - (now - level.at) * per_second)
    # Whoever waits exactly as long as told must be let in, in spite of rounding.
    allowed = used + 1 <= limit.limit + 1e-6
    if allowed:
        used += 1
    missing = max(0.0, used + 1 - limit.limit)
    reading = Reading(allowed, math.ceil(used - 1e-6), used / per_second, missing / per_second)
    return Level(used, now), reading


def _take_from_window(limit: RateLimit, level: Level | None, now: float) -> tuple[Level, Reading]:
    if level is None or now >= level.at + limit.window:
        level = Level(0.0, now)
    left = level.at + limit.window - now
    allowed = level.used < limit.limit
    used = level.used + 1 if allowed else level.used
    retry_in = left if used >= limit.limit else 0.0
    return Level(used, level.at), Reading(allowed, int(used), left, retry_in)


class Limiter:
    """The levels of all tokens under one limit."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._levels: dict[str, Level] = {}

    def take(self, token: str, now: float) -> Reading:
        """Count one request of this token."""
        with self._lock:
            self._levels[token], reading = take(self.limit, self._levels.get(token), now)
        return reading


Headers = list[tuple[str, str]]


def told(limit: RateLimit, reading: Reading, now: float) -> Headers:
    """The headers that tell a client of its limit; ``now`` is in seconds since the epoch.

    Raises:
        Refused: when the limit is used up.
    """
    if limit.telling is Telling.GITHUB:
        return _told_as_github_does(limit, reading, now)
    headers = [
        ("inin-ratelimit-count", str(reading.count)),
        ("inin-ratelimit-allowed", str(limit.limit)),
        ("inin-ratelimit-reset", str(math.ceil(reading.reset_in))),
    ]
    if not reading.allowed:
        seconds = max(1, math.ceil(reading.retry_in))
        headers.append(("Retry-After", str(seconds)))
        message = rate_limit_message(seconds)
        raise Refused(429, "too.many.requests.retry.after", message, tuple(headers))
    return headers


def _told_as_github_does(limit: RateLimit, reading: Reading, now: float) -> Headers:
    # Whoever is refused comes back at the reset, so by then a request must be allowed.
    left = max(0, limit.limit - reading.count)
    seconds = reading.reset_in if reading.allowed else max(1.0, reading.retry_in)
    headers = [
        ("X-RateLimit-Limit", str(limit.limit)),
        ("X-RateLimit-Remaining", str(left if reading.allowed else 0)),
        ("X-RateLimit-Used", str(reading.count)),
        ("X-RateLimit-Reset", str(math.ceil(now + seconds))),
    ]
    if not reading.allowed:
        raise Refused(403, "", "API rate limit exceeded for user ID 1.", tuple(headers))
    return headers
