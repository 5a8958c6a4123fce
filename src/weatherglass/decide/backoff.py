"""How long to wait before a retry: computed backoff, and the delay that a server asked for.

Pure arithmetic. Whether to retry at all is decided in :mod:`weatherglass.decide.retry`, which
also starts the count of backoffs anew after a delay that the server gave (rule A9).
"""

from __future__ import annotations

import math

from weatherglass.policy import RetryAfterPolicy, RetryPolicy
from weatherglass.vocabulary import Disposition


def full_jitter(retry_number: int, policy: RetryPolicy, random: float) -> float:
    """Seconds to wait before a retry: anything up to a bound that doubles each time (rule R1).

    ``retry_number`` counts from 0; ``random`` is in [0, 1). The formula is the "full jitter" of
    M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    try:
        bound = math.ldexp(policy.base_delay, retry_number)
    except OverflowError:
        return random * policy.max_delay
    return random * min(policy.max_delay, bound)


def server_delay(
    asked: float, policy: RetryAfterPolicy, random: float
) -> tuple[float, Disposition]:
    """Seconds to wait after a server has asked for ``asked`` of them, and what was done with it.

    Never less than the server said, and never less than the floor (rule A5); a random share is
    added above. What is above the ceiling is refused: it is returned as it was asked, and is
    not to be waited for (rule A6). ``random`` is in [0, 1).
    """
    if not asked <= policy.ceiling:  # so written, what is not a number is refused as well
        return asked, Disposition.REFUSED
    delay = max(asked, policy.floor)
    disposition = Disposition.HONOURED if delay == asked else Disposition.FLOORED
    return delay + random * spread(delay, policy), disposition


def after_window(ends_in: float, policy: RetryAfterPolicy, random: float) -> float:
    """Seconds until a call comes back that waits for a maintenance window's end (rule M3).

    Those who wait do not come back at the same moment. ``random`` is in [0, 1).
    """
    return ends_in + random * spread(ends_in, policy)


def spread(delay: float, policy: RetryAfterPolicy) -> float:
    """Seconds over which those who wait for the same delay are spread out (rules A5 and A8)."""
    return min(policy.max_jitter, policy.jitter * delay)
