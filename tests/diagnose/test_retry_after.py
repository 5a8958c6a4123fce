"""What one Retry-After value says."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from weatherglass.diagnose.retry_after import (
    MAX_LENGTH,
    MAX_RAW,
    MAX_VALUES,
    PLAUSIBLE_SKEW,
    parse,
)
from weatherglass.vocabulary import RetryAfterSource
from weatherglass.vocabulary import RetryAfterVariant as Variant

NOW = 1_800_000_000.0


def _date(at: float) -> str:
    return formatdate(at, usegmt=True)


@pytest.mark.parametrize(
    ("value", "variant", "seconds"),
    [
        ("", Variant.EMPTY, None),
        ("   ", Variant.EMPTY, None),
        ('""', Variant.EMPTY, None),
        ("42", Variant.DELTA_SECONDS, 42.0),
        ("  42\t", Variant.DELTA_SECONDS, 42.0),
        ("+42", Variant.DELTA_SECONDS, 42.0),
        ("0042", Variant.DELTA_SECONDS, 42.0),
        ("86400", Variant.DELTA_SECONDS, 86400.0),
        ("999999999", Variant.DELTA_SECONDS, 999_999_999.0),
        ("0", Variant.DELTA_ZERO, 0.0),
        ("000", Variant.DELTA_ZERO, 0.0),
        ("0.0", Variant.DELTA_ZERO, 0.0),
        ("1.5", Variant.DELTA_FLOAT, 1.5),
        (".5", Variant.DELTA_FLOAT, 0.5),
        ("1e3", Variant.DELTA_FLOAT, 1000.0),
        ("-3", Variant.NEGATIVE, None),
        ("-0", Variant.NEGATIVE, None),
        ("-1.5", Variant.NEGATIVE, None),
        ("-30s", Variant.NEGATIVE, None),
        ("1800000060", Variant.EPOCH_SECONDS, 60.0),
        ("1800000060.5", Variant.EPOCH_SECONDS, 60.5),
        ("1800000060000", Variant.EPOCH_MILLIS, 60.0),
        ("1700000000", Variant.DATE_PAST, 0.0),
        ("2027-01-15T08:01:00Z", Variant.ISO8601, 60.0),
        ("1m0s", Variant.DURATION, 60.0),
        ("30s", Variant.DURATION, 30.0),
        ("1h2m", Variant.DURATION, 3720.0),
        ("1h 2m 3.5s", Variant.DURATION, 3723.5),
        ("500ms", Variant.DURATION, 0.5),
        ("2d", Variant.DURATION, 172_800.0),
        ("90 seconds", Variant.DURATION, 90.0),
        ("5 minutes", Variant.DURATION, 300.0),
        ("1 hour, 30 minutes", Variant.DURATION, 5400.0),
        ("PT1M30S", Variant.DURATION, 90.0),
        ("0s", Variant.DURATION, 0.0),
        ("9999999999999s", Variant.OVERFLOW, None),
        ("5, 10", Variant.MULTIPLE, 10.0),
        ("10,5", Variant.MULTIPLE, 10.0),
        ("120, 120", Variant.MULTIPLE, 120.0),
        ("5,", Variant.MULTIPLE, 5.0),
        ("soon, 5", Variant.MULTIPLE, 5.0),
        ("-5, nan", Variant.MULTIPLE, None),
        ('"42"', Variant.QUOTED, 42.0),
        ("'42'", Variant.QUOTED, 42.0),
        ('"1m"', Variant.QUOTED, 60.0),
        ('"-42"', Variant.NEGATIVE, None),
        ('"soon"', Variant.UNPARSEABLE, None),
        ('"', Variant.UNPARSEABLE, None),
        ('""42""', Variant.UNPARSEABLE, None),
        ("nan", Variant.NON_FINITE, None),
        ("inf", Variant.NON_FINITE, None),
        ("-Infinity", Variant.NON_FINITE, None),
        ("99999999999", Variant.OVERFLOW, None),
        ("99999999999999", Variant.OVERFLOW, None),
        ("1e400", Variant.OVERFLOW, None),
        ("9" * 200, Variant.OVERFLOW, None),
        ("٤٢", Variant.NON_ASCII_DIGITS, None),
        ("\uff14\uff12", Variant.NON_ASCII_DIGITS, None),
        ("soon", Variant.UNPARSEABLE, None),
        ("1_000", Variant.UNPARSEABLE, None),
        ("0x10", Variant.UNPARSEABLE, None),
        ("5 parsecs", Variant.UNPARSEABLE, None),
        ("Hello, world", Variant.UNPARSEABLE, None),
        ("5, Wed", Variant.MULTIPLE, 5.0),
        (",,", Variant.UNPARSEABLE, None),
        ("42\x00", Variant.UNPARSEABLE, None),
        ("4²", Variant.UNPARSEABLE, None),
        ("\ud800", Variant.UNPARSEABLE, None),
    ],
)
def test_variants(value: str, variant: Variant, seconds: float | None) -> None:
    """A1, A7: each value has exactly one variant, and unusable ones have no seconds."""
    found = parse(value, now=NOW)
    assert (found.variant, found.seconds) == (variant, seconds)


@pytest.mark.parametrize(
    ("value", "variant"),
    [
        ("Fri, 15 Jan 2027 08:01:00 GMT", Variant.IMF_FIXDATE),
        ("Friday, 15-Jan-27 08:01:00 GMT", Variant.RFC850),
        ("Fri Jan 15 08:01:00 2027", Variant.ASCTIME),
        ("Fri, 15 Jan 2027 09:01:00 +0100", Variant.DATE_OTHER_ZONE),
        ("Fri, 15 Jan 2027 03:01:00 EST", Variant.DATE_OTHER_ZONE),
    ],
)
def test_dates(value: str, variant: Variant) -> None:
    """A1: a date asks for the time until then."""
    found = parse(value, now=NOW)
    assert (found.variant, found.seconds) == (variant, 60.0)


def test_past_date_asks_for_nothing() -> None:
    """A1, A7: a date that is over is its own variant and asks for 0 seconds, not for backoff."""
    found = parse(_date(NOW - 10), now=NOW)
    assert (found.variant, found.seconds) == (Variant.DATE_PAST, 0.0)


def test_present_moment_is_not_past() -> None:
    """A1: a date that is right now keeps its form."""
    found = parse(_date(NOW), now=NOW)
    assert (found.variant, found.seconds) == (Variant.IMF_FIXDATE, 0.0)


def test_several_dates() -> None:
    """A1, A5: of several dates the latest counts; their own commas do not part them."""
    found = parse(f"{_date(NOW + 60)}, {_date(NOW + 90)}, 5", now=NOW)
    assert (found.variant, found.seconds) == (Variant.MULTIPLE, 90.0)


def test_quoted_date() -> None:
    """A1: quotes around a date are seen through."""
    found = parse(f'"{_date(NOW + 60)}"', now=NOW)
    assert (found.variant, found.seconds) == (Variant.QUOTED, 60.0)


@pytest.mark.parametrize("value", [b"42", b" 42 "])
def test_bytes(value: bytes) -> None:
    """A2: bytes are understood like text."""
    assert parse(value, now=NOW).variant is Variant.DELTA_SECONDS


@pytest.mark.parametrize(
    "value", ["٤٢".encode(), "٤٢".encode().decode("latin-1"), "٤٢"], ids=["bytes", "latin-1", "str"]
)
def test_digits_of_other_scripts_however_decoded(value: str | bytes) -> None:
    """A1: non-ASCII digits are recognised through http.client's Latin-1 decoding, and not used."""
    found = parse(value, now=NOW)
    assert (found.variant, found.seconds) == (Variant.NON_ASCII_DIGITS, None)


@pytest.mark.parametrize("value", [b"\xff\xfe", "\xff", "ÿ42"])
def test_undecodable_values(value: str | bytes) -> None:
    """A2: bytes that are no UTF-8 are unparseable."""
    assert parse(value, now=NOW).variant is Variant.UNPARSEABLE


# --- A4: the server's own clock ---


@pytest.mark.parametrize("skew", [0.0, 5.0, -3600.0, PLAUSIBLE_SKEW])
def test_date_header_is_the_reference(skew: float) -> None:
    """A4: a date is measured against the response's Date, and the skew is recorded."""
    server_now = NOW - skew
    found = parse(_date(server_now + 60), now=NOW, server_date=_date(server_now))
    assert (found.seconds, found.skew) == (60.0, skew)


def test_epoch_is_measured_against_the_date_header_too() -> None:
    """A4: numbers that are times are times of the server's clock."""
    found = parse(str(int(NOW) + 60), now=NOW, server_date=_date(NOW + 10))
    assert (found.variant, found.seconds, found.skew) == (Variant.EPOCH_SECONDS, 50.0, -10.0)


def test_implausible_date_header() -> None:
    """A4: a Date more than a day from our clock is not believed, but its skew is recorded."""
    found = parse(_date(NOW + 60), now=NOW, server_date=_date(NOW - PLAUSIBLE_SKEW - 1))
    assert (found.seconds, found.skew) == (60.0, PLAUSIBLE_SKEW + 1)


@pytest.mark.parametrize("date", ["", "yesterday", "x" * 10_000, "Fri, 32 Jan 2027 08:00:00 GMT"])
def test_unreadable_date_header(date: str) -> None:
    """A4: an unreadable Date leaves the wall clock as the reference."""
    found = parse(_date(NOW + 60), now=NOW, server_date=date)
    assert (found.seconds, found.skew) == (60.0, None)


def test_delta_needs_no_clock() -> None:
    """A4: seconds are seconds, whatever the clocks say; no skew is made up for them."""
    found = parse("60", now=NOW, server_date=_date(NOW - 5))
    assert (found.seconds, found.skew) == (60.0, None)


def test_without_any_clock() -> None:
    """A4: without a clock a time has a form but no seconds; with a Date alone it has both."""
    alone = parse(_date(NOW + 60), now=None)
    with_date = parse(_date(NOW + 60), now=None, server_date=_date(NOW))
    assert (alone.variant, alone.seconds) == (Variant.IMF_FIXDATE, None)
    assert (with_date.seconds, with_date.skew) == (60.0, None)


# --- A2: bounds ---


def test_long_digits_overflow() -> None:
    """A2: a number longer than any value is an overflow, judged by its beginning alone."""
    at_bound = parse("9" * (MAX_LENGTH + 1), now=NOW)
    huge = parse("9" * 1_000_000, now=NOW)
    assert at_bound.variant is huge.variant is Variant.OVERFLOW
    assert huge.seconds is None


@pytest.mark.parametrize(
    "unit", ["x", "5,", " ", '"', "1h", "Mon, ", "-", "٤", "\x00", "9 ", "1e", "PT1", "'5',"]
)
@pytest.mark.timeout(10)
def test_long_rubbish(unit: str) -> None:
    """A2: a megabyte of anything else is unparseable at once."""
    found = parse(unit * (1_000_000 // len(unit)), now=NOW)
    assert (found.variant, found.seconds) == (Variant.UNPARSEABLE, None)


def test_too_many_values() -> None:
    """A2: more values than anybody would send say nothing."""
    accepted = parse(", ".join(["5"] * MAX_VALUES), now=NOW)
    refused = parse(", ".join(["5"] * (MAX_VALUES + 1)), now=NOW)
    assert (accepted.variant, refused.variant) == (Variant.MULTIPLE, Variant.UNPARSEABLE)


def test_too_many_amounts() -> None:
    """A2: a duration of more amounts than there are units is none."""
    assert parse("1s" * 6, now=NOW).variant is Variant.UNPARSEABLE


def test_raw_value_is_kept_short_and_printable() -> None:
    """C10: the raw value is on one line and at most 64 characters long."""
    found = parse("a\r\nb\x1b[31m" + "c" * 200, now=NOW)
    assert found.raw is not None
    assert found.raw.startswith("a b [31mccc")
    assert len(found.raw) == MAX_RAW
    assert found.raw.isprintable()


def test_source_is_recorded() -> None:
    """A3: the source is what the caller says it is, Retry-After by default."""
    assert parse("1", now=NOW).source is RetryAfterSource.RETRY_AFTER
    assert parse("1", now=NOW, source=RetryAfterSource.TEXT).source is RetryAfterSource.TEXT
