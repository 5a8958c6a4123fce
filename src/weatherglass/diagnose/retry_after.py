"""What one value in the style of ``Retry-After`` says: exactly one variant, in bounded time.

:func:`parse` is total (rule A2): no text raises, and a text that is longer than any sane value
is not looked at beyond its first characters. Where values are looked for, and which of them
counts, is the business of :mod:`weatherglass.diagnose.delay_sources`; what is then done with a
delay (floor, ceiling, jitter) is decided in :mod:`weatherglass.decide`.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from weatherglass.diagnose.dates import parse_date
from weatherglass.diagnose.foreign import printable
from weatherglass.report import RetryAfter
from weatherglass.vocabulary import RetryAfterSource
from weatherglass.vocabulary import RetryAfterVariant as Variant

MAX_LENGTH = 256
"""Characters of a value; a longer one says nothing that could be meant."""

MAX_VALUES = 8
"""Values in one header, separated by commas; more of them say nothing."""

MAX_RAW = 64
"""Characters of a value that are kept for the report."""

PLAUSIBLE_SKEW = 86_400.0
"""Seconds between our clock and the server's ``Date`` up to which the latter is believed (A4).

A day covers every wrong time zone; beyond it one of the clocks is not set at all, or the date
was kept by a cache or written by hand.
"""

# Up to here a number is a delay, from there on it may be a time. 10^9 seconds are 31 years,
# and as a time they are the year 2001; 10^10 is the year 2286.
_FIRST_EPOCH = 1e9
_LAST_EPOCH = 1e10

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
_NON_FINITE = frozenset({"nan", "inf", "infinity"})
_QUOTES = ('"', "'")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# One amount of a duration. The word forms are those of log lines and error messages.
_AMOUNT = re.compile(
    r"(\d+(?:\.\d*)?|\.\d+) ?(?:"
    r"(ms|milliseconds?|millis)|(s|seconds?|secs?)|(m|minutes?|mins?)|(h|hours?|hrs?)|(d|days?)"
    r")(?![a-z])[ ,]*",
    re.ASCII | re.IGNORECASE,
)
_UNITS = ("ms", "s", "m", "h", "d")
_MAX_AMOUNTS = 5
# PT1M30S, the time part of ISO 8601 durations.
_ISO_DURATION = re.compile(
    r"PT(?=\d)(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?", re.ASCII | re.IGNORECASE
)
_DAY_NAME = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6}", re.ASCII | re.IGNORECASE)


class Reading(NamedTuple):
    """What a value was understood as."""

    variant: Variant
    seconds: float | None
    """From the receipt of the answer; ``None`` if the value cannot be used."""


class Clock:
    """The time against which a server's times are measured (rule A4).

    The response's own ``Date`` is taken when it parses and differs from our clock by at most
    :data:`PLAUSIBLE_SKEW`, so that a wrong clock on either side does no harm; otherwise our
    clock. It is only parsed when a value needs it.
    """

    __slots__ = ("_asked", "_reference", "_server_date", "_skew", "now")

    def __init__(self, now: float | None, server_date: str | None) -> None:
        self.now = now
        self._server_date = server_date
        self._asked = False
        self._reference = now
        self._skew: float | None = None

    @property
    def skew(self) -> float | None:
        """Our clock minus the server's, once a value needed it and both are known."""
        return self._skew

    def reference(self) -> float | None:
        """Seconds since the epoch; ``None`` if neither clock is known."""
        if not self._asked:
            self._asked = True
            date = self._server_time()
            if self.now is None:
                self._reference = date
            elif date is not None:
                self._skew = self.now - date
                if abs(self._skew) <= PLAUSIBLE_SKEW:
                    self._reference = date
        return self._reference

    def _server_time(self) -> float | None:
        text = self._server_date
        if text is None or len(text) > MAX_LENGTH:
            return None
        found = parse_date(" ".join(text.split()), self.now)
        return None if found is None else found[1]

    def until(self, at: float, variant: Variant) -> Reading:
        """The delay until a time; one that is over asks for no delay at all."""
        reference = self.reference()
        if reference is None:
            return Reading(variant, None)
        seconds = at - reference
        return Reading(Variant.DATE_PAST, 0.0) if seconds < 0 else Reading(variant, seconds)


def parse(
    value: str | bytes,
    *,
    now: float | None,
    server_date: str | None = None,
    source: RetryAfterSource = RetryAfterSource.RETRY_AFTER,
) -> RetryAfter:
    """What a ``Retry-After`` value means; never raises (rules A1, A2, A4 and A7).

    Standard forms are those of RFC 9110 sections 5.6.7 and 10.2.3. Beyond them: a time that is
    over is ``date_past`` with 0 seconds; of several values the longest delay counts, since no
    less than any of them may be waited for; a quoted value counts as what is in the quotes.
    Numbers from 10^9 are times (in milliseconds from 10^12), and what is no plausible time is
    ``overflow``. Negative, non-finite, overflowing and non-ASCII numbers have no seconds.

    Args:
        value: The header's value.
        now: The wall clock at the receipt, in seconds since the epoch; ``None`` if unknown.
        server_date: The response's ``Date`` header.
        source: Where the value stood; only recorded.
    """
    clock = Clock(now, server_date)
    return recorded(understand(value, clock), value, clock, source)


def recorded(
    reading: Reading, value: str | bytes, clock: Clock, source: RetryAfterSource
) -> RetryAfter:
    """The record of a reading: the raw value is cut and made printable."""
    head = value[: 2 * MAX_RAW]
    text = head.decode("latin-1") if isinstance(head, bytes) else head
    raw = printable(text, MAX_RAW)
    return RetryAfter(reading.variant, source, reading.seconds, raw, clock.skew)


def understand(value: str | bytes, clock: Clock) -> Reading:
    """The variant and the seconds of a value."""
    if len(value) > MAX_LENGTH:
        head = value[:MAX_LENGTH].strip()
        ascii_digits = head.isascii() and head.isdigit()
        return Reading(Variant.OVERFLOW if ascii_digits else Variant.UNPARSEABLE, None)
    text = " ".join(_decoded(value).split())
    if not text:
        return Reading(Variant.EMPTY, None)
    if not text.isascii():
        return Reading(_foreign_variant(text), None)
    return _single(text, clock) or _quoted(text, clock) or _multiple(text, clock) or _UNPARSEABLE


_UNPARSEABLE = Reading(Variant.UNPARSEABLE, None)


def _decoded(value: str | bytes) -> str:
    """The text; what a header parser turned from UTF-8 into Latin-1 is turned back."""
    if isinstance(value, bytes):
        return _utf8(value) or value.decode("latin-1")
    if value.isascii():
        return value
    try:
        return _utf8(value.encode("latin-1")) or value
    except UnicodeEncodeError:
        return value


def _utf8(value: bytes) -> str:
    """The text, or nothing if the bytes are not UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _foreign_variant(text: str) -> Variant:
    digits = text.lstrip("+-").replace(".", "", 1).replace(" ", "")
    return Variant.NON_ASCII_DIGITS if digits.isdecimal() else Variant.UNPARSEABLE


def _single(text: str, clock: Clock) -> Reading | None:
    """A value that says one thing; ``None`` if it does not."""
    if _NUMBER.fullmatch(text):
        return _number(text, clock)
    if text.lower().lstrip("+-") in _NON_FINITE:
        return Reading(Variant.NON_FINITE, None)
    date = parse_date(text, clock.now)
    if date is not None:
        return clock.until(date[1], date[0])
    return _duration(text)


def _number(text: str, clock: Clock) -> Reading:
    number = float(text)
    if text.startswith("-"):
        return Reading(Variant.NEGATIVE, None)
    if number == 0:
        return Reading(Variant.DELTA_ZERO, 0.0)
    if number < _FIRST_EPOCH:
        whole = text.lstrip("+").isdigit()
        return Reading(Variant.DELTA_SECONDS if whole else Variant.DELTA_FLOAT, number)
    if number < _LAST_EPOCH:
        return clock.until(number, Variant.EPOCH_SECONDS)
    if _FIRST_EPOCH <= number / 1000 < _LAST_EPOCH:
        return clock.until(number / 1000, Variant.EPOCH_MILLIS)
    return Reading(Variant.OVERFLOW, None)


def _duration(text: str) -> Reading | None:
    amounts = duration_seconds(text.removeprefix("-"))
    if amounts is None:
        return None
    if text.startswith("-"):
        return Reading(Variant.NEGATIVE, None)
    if amounts >= _FIRST_EPOCH:
        return Reading(Variant.OVERFLOW, None)
    return Reading(Variant.DURATION, amounts)


def duration_seconds(text: str) -> float | None:
    """The seconds of ``1m0s``, ``30s``, ``1h 2m``, ``90 seconds`` or ``PT1M30S``."""
    iso = _ISO_DURATION.fullmatch(text)
    if iso is not None:
        parts = iso.groupdict()
        return sum(float(parts[unit] or 0) * _UNIT_SECONDS[unit] for unit in ("h", "m", "s"))
    total = 0.0
    at = 0
    for _ in range(_MAX_AMOUNTS):
        found = _AMOUNT.match(text, at)
        if found is None:
            return None
        total += float(found[1]) * _UNIT_SECONDS[_UNITS[(found.lastindex or 2) - 2]]
        at = found.end()
        if at == len(text):
            return total if math.isfinite(total) else math.inf
    return None


def _quoted(text: str, clock: Clock) -> Reading | None:
    """A value in quotes; if what is in them cannot be used, its own variant says why."""
    if len(text) < 2 or text[0] not in _QUOTES or text[-1] != text[0]:
        return None
    inner = text[1:-1].strip()
    if not inner:
        return Reading(Variant.EMPTY, None)
    reading = _single(inner, clock)
    if reading is None or reading.seconds is None:
        return reading
    return Reading(Variant.QUOTED, reading.seconds)


def _multiple(text: str, clock: Clock) -> Reading | None:
    """Several values: the longest delay, so that none of them is cut short (rule A5)."""
    if "," not in text or text.count(",") >= 2 * MAX_VALUES:
        return None
    values = _values(text)
    if len(values) > MAX_VALUES:
        return None
    readings = [_single(value, clock) or _quoted(value, clock) for value in values]
    known = [reading for reading in readings if reading is not None]
    if not known:
        return None
    usable = [reading.seconds for reading in known if reading.seconds is not None]
    return Reading(Variant.MULTIPLE, max(usable, default=None))


def _values(text: str) -> list[str]:
    """The values between commas; the comma of a date does not part it."""
    values: list[str] = []
    day = ""
    for part in (piece.strip() for piece in text.split(",")):
        if day:
            values.append(f"{day}, {part}")
            day = ""
        elif _DAY_NAME.fullmatch(part):
            day = part
        elif part:
            values.append(part)
    if day:
        values.append(day)
    return values
