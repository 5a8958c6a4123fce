"""Dates as servers write them: the three forms of RFC 9110 and those seen in the wild.

Only the texts are understood here; what a date means for a delay is decided in
:mod:`weatherglass.diagnose.retry_after`.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from weatherglass.vocabulary import RetryAfterVariant as Variant

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}

# The alphabetic zones that RFC 5322 section 4.3 defines, and the usual names of UTC; hours.
_ZONES = {
    "GMT": 0,
    "UTC": 0,
    "UT": 0,
    "Z": 0,
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
}

_TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d\d):(?P<second>\d\d)"
_ZONE = r"(?P<zone>[A-Z]{1,4}|[+-]\d\d:?\d\d)"
_FLAGS = re.ASCII | re.IGNORECASE

# Wed, 21 Oct 2015 07:28:00 GMT
_IMF_FIXDATE = re.compile(
    rf"(?:[A-Z]{{3,9}},? )?(?P<day>\d\d?) (?P<month>[A-Z]{{3}}) (?P<year>\d{{4}}) {_TIME} ?{_ZONE}",
    _FLAGS,
)
# Wednesday, 21-Oct-15 07:28:00 GMT; cookies made the four-digit year in it common.
_RFC850 = re.compile(
    rf"[A-Z]{{3,9}}, (?P<day>\d\d?)-(?P<month>[A-Z]{{3}})-(?P<year>\d{{4}}|\d\d) {_TIME} ?{_ZONE}",
    _FLAGS,
)
# Wed Oct 21 07:28:00 2015
_ASCTIME = re.compile(
    rf"[A-Z]{{3}} (?P<month>[A-Z]{{3}}) {{1,2}}(?P<day>\d\d?) {_TIME} (?P<year>\d{{4}})", _FLAGS
)
# 2015-10-21T07:28:00Z, 2015-10-21 07:28+02:00, 2015-10-21
_ISO8601 = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
    r"(?:[T ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?P<fraction>[.,]\d{1,9})?)?"
    r" ?(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?",
    _FLAGS,
)

_FORMS = (
    (Variant.IMF_FIXDATE, _IMF_FIXDATE),
    (Variant.RFC850, _RFC850),
    (Variant.ASCTIME, _ASCTIME),
    (Variant.ISO8601, _ISO8601),
)


def parse_date(text: str, now: float | None) -> tuple[Variant, float] | None:
    """The form of a date and its time in seconds since the epoch; ``None`` if it is no date.

    The name of the day is not checked against the date, and its case does not matter. A zone
    other than GMT makes the form ``date_other_zone``. ISO 8601 without a zone is taken as UTC.

    Args:
        text: The value, without white space around it.
        now: Seconds since the epoch, for the century of two-digit years (RFC 9110 section
            5.6.7); without it such years are not understood.
    """
    for variant, pattern in _FORMS:
        found = pattern.fullmatch(text)
        if found is not None:
            at = _timestamp(found.groupdict(), now)
            if at is None:
                return None
            zone = found.groupdict().get("zone")
            if variant is not Variant.ISO8601 and zone and zone.upper() != "GMT":
                variant = Variant.DATE_OTHER_ZONE  # noqa: PLW2901 - the form, once the zone is known
            return variant, at
    return None


def _timestamp(parts: dict[str, str | None], now: float | None) -> float | None:
    offset = _offset(parts.get("zone"))
    month = _month(parts["month"] or "")
    day, hour, minute, second = (
        int(parts[name] or 0) for name in ("day", "hour", "minute", "second")
    )
    year_text = parts["year"] or ""
    year: int | None = int(year_text)
    if len(year_text) == 2:
        year = _full_year(int(year_text), (month, day, hour, minute, second), now)
    if offset is None or year is None or second > 60:
        return None
    # A leap second is the first moment of the next minute as far as POSIX time goes.
    leap = second == 60
    try:
        moment = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=_UTC)
        at = (moment - _EPOCH).total_seconds() - offset
    except (ValueError, OverflowError):
        return None
    fraction = parts.get("fraction")
    return at + leap + (float("0." + fraction[1:]) if fraction else 0.0)


_UTC = timezone.utc
_EPOCH = datetime(1970, 1, 1, tzinfo=_UTC)


def _month(text: str) -> int:
    # 0 is no month, which the calendar then refuses.
    return int(text) if text.isdigit() else _MONTHS.get(text.lower(), 0)


def _offset(zone: str | None) -> int | None:
    """Seconds east of Greenwich; ``None`` for a zone that nobody defined."""
    if zone is None:
        return 0
    if zone[0] not in "+-":
        hours = _ZONES.get(zone.upper())
        return None if hours is None else hours * 3600
    digits = zone[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if hours > 23 or minutes > 59:
        return None
    seconds = hours * 3600 + minutes * 60
    return -seconds if zone[0] == "-" else seconds


def _full_year(last_digits: int, rest: tuple[int, ...], now: float | None) -> int | None:
    """The year of RFC 850's two digits: not more than 50 years ahead (RFC 9110 section 5.6.7)."""
    if now is None:
        return None
    today = _EPOCH + timedelta(seconds=now)
    present = (today.year, today.month, today.day, today.hour, today.minute, today.second)
    year = today.year - today.year % 100 + last_digits
    if year < today.year:
        year += 100
    return year - 100 if (year - 50, *rest) > present else year
