"""How many requests a server says are left before its rate limit (the input of rule G4)."""

from __future__ import annotations

from collections.abc import Mapping

_REMAINING = ("x-ratelimit-remaining", "ratelimit-remaining")


def remaining_requests(headers: Mapping[str, str]) -> int | None:
    """Requests left in the current window, or ``None`` where the server does not say.

    Read from ``X-RateLimit-Remaining``, ``RateLimit-Remaining``, or from the pair of
    ``inin-ratelimit-count`` and ``inin-ratelimit-allowed``. ``headers`` must ignore case.
    """
    for name in _REMAINING:
        found = headers.get(name)
        if found is not None:
            return _whole(found)
    used = headers.get("inin-ratelimit-count")
    if used is None:
        return None
    allowed, count = _whole(headers.get("inin-ratelimit-allowed", "")), _whole(used)
    return None if allowed is None or count is None else max(0, allowed - count)


def _whole(text: str) -> int | None:
    text = text.strip()
    # More digits than any limit has; int() alone would take time for a megabyte of them.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None
