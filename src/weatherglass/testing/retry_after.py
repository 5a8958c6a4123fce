"""One example of every form in which servers say when to come back (rule A1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

from weatherglass.vocabulary import RetryAfterVariant as V

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ARABIC = {ord("0") + digit: 0x660 + digit for digit in range(10)}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def retry_after_example(variant: V, seconds: float, now: float) -> tuple[tuple[str, str], ...]:
    """The header lines, if any, by which a server says ``seconds`` in this variant.

    ``now`` is the server's clock in seconds since the epoch; whole seconds are rounded up.
    Variants that cannot say a time (``negative``, ``unparseable`` …) say none.
    """
    if variant is V.MISSING:
        return ()
    if variant is V.MILLISECONDS_HEADER:
        return (("retry-after-ms", str(math.ceil(seconds * 1000))),)
    if variant is V.MULTIPLE:
        whole = math.ceil(seconds)
        return (("Retry-After", str(whole)), ("Retry-After", str(whole + 1)))
    return (("Retry-After", _VALUES[variant](seconds, now)),)


def _moment(seconds: float, now: float) -> datetime:
    return datetime.fromtimestamp(math.ceil(now + seconds), tz=timezone.utc)


def _imf_fixdate(seconds: float, now: float) -> str:
    return format_datetime(_moment(seconds, now), usegmt=True)


def _rfc850(seconds: float, now: float) -> str:
    at = _moment(seconds, now)
    return f"{_WEEKDAYS[at.weekday()]}, {at:%d}-{_MONTHS[at.month - 1]}-{at:%y %H:%M:%S} GMT"


def _asctime(seconds: float, now: float) -> str:
    at = _moment(seconds, now)
    day = _WEEKDAYS[at.weekday()][:3]
    return f"{day} {_MONTHS[at.month - 1]} {at.day:2d} {at:%H:%M:%S %Y}"


def _other_zone(seconds: float, now: float) -> str:
    return format_datetime(_moment(seconds, now).astimezone(timezone(timedelta(hours=2))))


def _duration(seconds: float, _now: float) -> str:
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s"


_VALUES: dict[V, Callable[[float, float], str]] = {
    V.EMPTY: lambda _seconds, _now: "",
    V.DELTA_SECONDS: lambda seconds, _now: str(math.ceil(seconds)),
    V.DELTA_ZERO: lambda _seconds, _now: "0",
    V.DELTA_FLOAT: lambda seconds, _now: f"{float(seconds):.1f}",
    V.NEGATIVE: lambda seconds, _now: f"-{math.ceil(seconds)}",
    V.IMF_FIXDATE: _imf_fixdate,
    V.RFC850: _rfc850,
    V.ASCTIME: _asctime,
    V.DATE_OTHER_ZONE: _other_zone,
    V.DATE_PAST: lambda _seconds, now: _imf_fixdate(-3600, now),
    V.ISO8601: lambda seconds, now: f"{_moment(seconds, now):%Y-%m-%dT%H:%M:%SZ}",
    V.DURATION: _duration,
    V.EPOCH_SECONDS: lambda seconds, now: str(math.ceil(now + seconds)),
    V.EPOCH_MILLIS: lambda seconds, now: str(math.ceil((now + seconds) * 1000)),
    V.QUOTED: lambda seconds, _now: f'"{math.ceil(seconds)}"',
    V.NON_FINITE: lambda _seconds, _now: "inf",
    V.OVERFLOW: lambda _seconds, _now: "9" * 40,
    V.NON_ASCII_DIGITS: lambda seconds, _now: str(math.ceil(seconds)).translate(_ARABIC),
    V.UNPARSEABLE: lambda _seconds, _now: "soon",
}
