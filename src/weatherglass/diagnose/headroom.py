"""How much of a rate limit a server says is left, and until when (rule G4).

Families of headers are data: those of a policy are asked first, then :data:`COMMON`. When calls
are to come back after a limit was hit is the business of
:mod:`weatherglass.diagnose.delay_sources`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weatherglass.diagnose.retry_after import Clock, understand
from weatherglass.policy import LimitHeaders

COMMON = (
    LimitHeaders(
        name="x-ratelimit",
        limit="x-ratelimit-limit",
        remaining="x-ratelimit-remaining",
        reset="x-ratelimit-reset",
    ),
    # Drafts 00 to 06 of draft-ietf-httpapi-ratelimit-headers.
    LimitHeaders(
        name="ratelimit",
        limit="ratelimit-limit",
        remaining="ratelimit-remaining",
        reset="ratelimit-reset",
    ),
)
"""The families that many servers have; those of a policy are put before them."""

# More digits than any limit has; int() alone would take time for a megabyte of them.
_NUMBER = re.compile(r"(\d{1,12})(?:\.\d{0,9})?", re.ASCII)
# Older drafts let the limit's policies follow: "100, 100;w=60".
_LIMIT = re.compile(r"(\d{1,12})(?:\.\d{0,9})?\s*(?:[,;]|$)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Headroom:
    """What one answer says about the rate limit that it was counted under."""

    remaining: int
    """Requests left."""
    allowed: int | None
    """Requests that the limit allows; ``None`` if the server does not say."""
    reset_in: float | None
    """Seconds from the receipt until more are allowed; ``None`` if the server does not say."""


def remaining_requests(
    headers: Mapping[str, str], families: Sequence[LimitHeaders] = COMMON
) -> int | None:
    """Requests left in the current window, or ``None`` where the server does not say.

    ``headers`` must ignore case, or have names in lower case.
    """
    for family in families:
        left = left_of(family, headers)
        if left is not None:
            return left
    return None


def read_headroom(
    headers: Mapping[str, str],
    families: Sequence[LimitHeaders] = COMMON,
    now: float | None = None,
) -> Headroom | None:
    """The rate limit as the server tells of it, or ``None`` where it does not.

    Args:
        headers: The response's headers; they must ignore case, or have names in lower case.
        families: Asked in their order; the first that says something decides.
        now: The wall clock at the receipt, for resets that are given as times; without it they
            are measured against ``Date`` alone.
    """
    for family in families:
        left = left_of(family, headers)
        if left is not None:
            allowed = None if family.limit is None else _limit(headers.get(family.limit))
            reset = None if family.reset is None else headers.get(family.reset)
            if reset is None:
                return Headroom(left, allowed, None)
            clock = Clock(now, headers.get("date"))
            return Headroom(left, allowed, understand(reset, clock).seconds)
    return None


def left_of(family: LimitHeaders, headers: Mapping[str, str]) -> int | None:
    """Requests left as one family says, ``None`` if it does not."""
    if family.remaining is not None:
        return _whole(headers.get(family.remaining))
    assert family.limit is not None  # noqa: S101 - a family has one or the other
    assert family.used is not None  # noqa: S101 - likewise
    used = _whole(headers.get(family.used))
    if used is None:
        return None
    allowed = _limit(headers.get(family.limit))
    return None if allowed is None else max(0, allowed - used)


def _whole(text: str | None) -> int | None:
    found = None if text is None else _NUMBER.fullmatch(text.strip())
    return None if found is None else int(found[1])


def _limit(text: str | None) -> int | None:
    found = None if text is None else _LIMIT.match(text.strip())
    return None if found is None else int(found[1])
