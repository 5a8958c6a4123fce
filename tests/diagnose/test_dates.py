"""Dates as servers write them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from weatherglass.diagnose.dates import parse_date
from weatherglass.vocabulary import RetryAfterVariant as Variant


def _at(*parts: int) -> float:
    return datetime(*parts, tzinfo=timezone.utc).timestamp()  # type: ignore[misc,arg-type] # variable length


NOW = _at(2026, 5, 17, 12, 0, 0)
SAMPLE = _at(1994, 11, 6, 8, 49, 37)


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Variant.IMF_FIXDATE),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Variant.RFC850),
        ("Sun Nov  6 08:49:37 1994", Variant.ASCTIME),
    ],
)
def test_standard_forms(text: str, variant: Variant) -> None:
    """A1: the three forms of RFC 9110 section 5.6.7 are the same moment in three variants."""
    assert parse_date(text, NOW) == (variant, SAMPLE)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("Sun, 06 Nov 1994 08:49:37 +0100", SAMPLE - 3600),
        ("Sun, 06 Nov 1994 08:49:37 -05:30", SAMPLE + 5.5 * 3600),
        ("Sun, 06 Nov 1994 08:49:37 EST", SAMPLE + 5 * 3600),
        ("Sun, 06 Nov 1994 08:49:37 PDT", SAMPLE + 7 * 3600),
        ("Sun, 06 Nov 1994 08:49:37 UTC", SAMPLE),
        ("Sunday, 06-Nov-94 08:49:37 EST", SAMPLE + 5 * 3600),
    ],
)
def test_other_zones(text: str, at: float) -> None:
    """A1: a zone other than GMT is understood and makes the date a variant of its own."""
    assert parse_date(text, NOW) == (Variant.DATE_OTHER_ZONE, at)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1994-11-06T08:49:37Z", SAMPLE),
        ("1994-11-06t08:49:37z", SAMPLE),
        ("1994-11-06 08:49:37", SAMPLE),
        ("1994-11-06T08:49:37.250Z", SAMPLE + 0.25),
        ("1994-11-06T10:49:37+02:00", SAMPLE),
        ("1994-11-06T08:49Z", SAMPLE - 37),
        ("1994-11-06", _at(1994, 11, 6)),
    ],
)
def test_iso8601(text: str, at: float) -> None:
    """A1: ISO 8601 is understood with and without fraction, zone and time of day."""
    assert parse_date(text, NOW) == (Variant.ISO8601, at)


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("06 Nov 1994 08:49:37 GMT", Variant.IMF_FIXDATE),
        ("sun, 06 nov 1994 08:49:37 gmt", Variant.IMF_FIXDATE),
        ("Mon, 06 Nov 1994 08:49:37 GMT", Variant.IMF_FIXDATE),
        ("Sun, 06-Nov-1994 08:49:37 GMT", Variant.RFC850),
        ("Sun Nov 6 08:49:37 1994", Variant.ASCTIME),
    ],
)
def test_sloppy_forms(text: str, variant: Variant) -> None:
    """A1: case, a wrong or missing day name and a cookie's year do not hide a date."""
    assert parse_date(text, NOW) == (variant, SAMPLE)


@pytest.mark.parametrize(
    ("digits", "year"),
    [("26", 2026), ("75", 2075), ("76", 2076), ("77", 1977), ("94", 1994), ("00", 2100 - 100)],
)
def test_two_digit_years(digits: str, year: int) -> None:
    """A1: a two-digit year is at most 50 years ahead, else in the past (RFC 9110 5.6.7)."""
    found = parse_date(f"Sunday, 06-Jan-{digits} 00:00:00 GMT", NOW)
    assert found == (Variant.RFC850, _at(year, 1, 6))


def test_fifty_years_are_counted_to_the_second() -> None:
    """A1: exactly 50 years ahead is still the future, one second more is the past."""
    exactly = parse_date("Sunday, 17-May-76 12:00:00 GMT", NOW)
    one_more = parse_date("Sunday, 17-May-76 12:00:01 GMT", NOW)
    assert exactly == (Variant.RFC850, _at(2076, 5, 17, 12))
    assert one_more == (Variant.RFC850, _at(1976, 5, 17, 12, 0, 1))


def test_two_digit_years_over_the_turn_of_a_century() -> None:
    """A1: near the end of a century the next one's first years are ahead, not 90 years ago."""
    found = parse_date("Friday, 01-Jan-05 00:00:00 GMT", _at(2098, 6, 1))
    assert found == (Variant.RFC850, _at(2105, 1, 1))


def test_two_digit_years_need_a_clock() -> None:
    """A1: without a clock the century of a two-digit year is not guessed."""
    assert parse_date("Sunday, 06-Nov-94 08:49:37 GMT", None) is None


def test_leap_second() -> None:
    """A1: the leap second that RFC 9110 allows is the first moment of the next minute."""
    found = parse_date("Sat, 31 Dec 2016 23:59:60 GMT", NOW)
    assert found == (Variant.IMF_FIXDATE, _at(2017, 1, 1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Abc 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 XYZ",
        "Sun, 06 Nov 1994 08:49:37 +2500",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994",
        "Sun Nov  6 08:49:37 GMT 1994",
        "1994-13-06T08:49:37Z",
        "1994-11-06T",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
    ],
)
def test_no_dates(text: str) -> None:
    """A2: impossible dates and zones that nobody defined are refused without raising."""
    assert parse_date(text, NOW) is None
