"""Where a server says when to come back: the sources, in their order (rule A3).

Every source is read with :func:`weatherglass.diagnose.retry_after.understand`; this module only
knows names and conditions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from weatherglass.diagnose.headroom import COMMON, left_of
from weatherglass.diagnose.retry_after import (
    MAX_LENGTH,
    Clock,
    Reading,
    duration_seconds,
    recorded,
    understand,
)
from weatherglass.policy import LimitHeaders
from weatherglass.report import RetryAfter
from weatherglass.vocabulary import RetryAfterSource as Source
from weatherglass.vocabulary import RetryAfterVariant as Variant

_EXPECTED = frozenset({429, 503})

_MILLISECOND_HEADERS = ("retry-after-ms", "x-ms-retry-after-ms")

_NUMBER = re.compile(r"\d{1,15}(?:\.\d{0,9})?", re.ASCII)
_ZERO = re.compile(r"0+(?:\.0*)?", re.ASCII)
_QUOTED_NAME = re.compile(r'"[^"]*"')
_PARAMETER = re.compile(r"(?:^|[;,\s])(r|t|remaining|reset) ?= ?([^\s;,]{1,32})", re.ASCII)

# "Retry the request in [42] seconds", "Please try again in 1m30s", "available in 2 minutes".
_IN_TEXT = re.compile(
    r"\b(?:retry|try|available)\b[^.\d\[]{0,40}\b(?:in|after)\b:? ?\[?"
    r"(?P<number>\d{1,9}(?:\.\d{1,9})?)\]? ?(?P<unit>[a-z]{1,12})"
    r"(?P<more>(?:(?:,| and)? ?\d[\d.]{0,8} ?[a-z]{1,12}){0,3})",
    re.ASCII | re.IGNORECASE,
)
_MAX_MESSAGE = 2000
_SECONDS = frozenset({"s", "sec", "secs", "second", "seconds"})


def read(
    headers: Mapping[str, str],
    status: int,
    message: str,
    now: float | None,
    limit_headers: Sequence[LimitHeaders] = (),
) -> RetryAfter | None:
    """What the server asked for, with its source (rules A1, A3, A4 and A7).

    The first source that can be used wins. If none can, the first that is there is recorded, so
    that unusable values are counted by their variant. A 429 or 503 on which nothing is said is
    recorded as ``missing``; on other statuses silence is ``None``.

    Args:
        headers: The response's headers by lower-case name.
        status: The HTTP status; pass 429 for a rate limit that comes under another one.
        message: The body's message, bounded.
        now: The wall clock at the receipt, in seconds since the epoch; ``None`` if unknown.
        limit_headers: Families of rate limit headers that are asked before the common ones.
    """
    clock = Clock(now, headers.get("date"))
    first: RetryAfter | None = None
    for source, value, reading in _said(headers, status, message, clock, limit_headers):
        if reading.seconds is not None:
            return recorded(reading, value, clock, source)
        first = first or recorded(reading, value, clock, source)
    if first is None and status in _EXPECTED:
        return RetryAfter(Variant.MISSING, Source.NONE, None)
    return first


_Said = Iterator[tuple[Source, str, Reading]]


def _said(
    headers: Mapping[str, str],
    status: int,
    message: str,
    clock: Clock,
    limit_headers: Sequence[LimitHeaders],
) -> _Said:
    for name in _MILLISECOND_HEADERS:
        if name in headers:
            yield Source.RETRY_AFTER_MS, headers[name], _milliseconds(headers[name], clock)
    if "retry-after" in headers:
        value = headers["retry-after"]
        yield Source.RETRY_AFTER, value, understand(value, clock)
    yield from _said_by_quota(headers, status, clock, limit_headers)
    found = _IN_TEXT.search(message, 0, _MAX_MESSAGE)
    said = None if found is None else _said_in_text(found, clock)
    if found is not None and said is not None:
        yield Source.TEXT, found[0], said


def _said_by_quota(
    headers: Mapping[str, str],
    status: int,
    clock: Clock,
    limit_headers: Sequence[LimitHeaders],
) -> _Said:
    """Quotas tell when they are restored on every answer; it counts when one is used up."""
    if "ratelimit" in headers:
        value = headers["ratelimit"]
        for reading in _ratelimit(value, status, clock):
            yield Source.RATELIMIT, value, reading
    for family in (*limit_headers, *COMMON):
        value = headers.get(family.reset or "", "")
        if value and (status == 429 or left_of(family, headers) == 0):
            yield Source.RATELIMIT_RESET, value, understand(value, clock)


def _milliseconds(value: str, clock: Clock) -> Reading:
    if len(value) <= MAX_LENGTH and _NUMBER.fullmatch(value.strip()):
        seconds = float(value) / 1000
        if seconds < 1e9:
            return Reading(Variant.MILLISECONDS_HEADER, seconds)
        return Reading(Variant.OVERFLOW, None)
    reading = understand(value, clock)
    # A date or a duration has no place here: its unit would have to be guessed.
    return reading if reading.seconds is None else Reading(Variant.UNPARSEABLE, None)


def _ratelimit(value: str, status: int, clock: Clock) -> Iterator[Reading]:
    """The ``RateLimit`` field of draft-ietf-httpapi-ratelimit-headers, older forms included.

    Of several quotas the exhausted ones count, and of these the one that is restored last.
    """
    if len(value) > 4 * MAX_LENGTH:
        yield Reading(Variant.UNPARSEABLE, None)
        return
    plain = _QUOTED_NAME.sub("", value.lower())
    # Until draft 07 the field was one dictionary; since then it is a list of quotas.
    items = [plain] if "reset" in plain else plain.split(",")
    quotas: list[dict[str, str]] = [dict(_PARAMETER.findall(item)) for item in items]
    exhausted = [q for q in quotas if _ZERO.fullmatch(q.get("r", q.get("remaining", "")))]
    counted = exhausted or (quotas if status == 429 else [])
    said = [q.get("t", q.get("reset")) for q in counted]
    readings = [understand(text, clock) for text in said[:16] if text is not None]
    if readings:
        yield max(
            readings, key=lambda reading: -1.0 if reading.seconds is None else reading.seconds
        )


def _said_in_text(found: re.Match[str], clock: Clock) -> Reading | None:
    number, unit = found["number"], found["unit"].lower()
    more = found["more"].replace(" and ", " ")
    if unit in _SECONDS and not more:
        return understand(number, clock)
    seconds = duration_seconds(f"{number}{unit}{more}")
    return None if seconds is None else Reading(Variant.DURATION, seconds)
