"""Retry-After parsing, whatever a server sends."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from weatherglass.diagnose.dates import parse_date
from weatherglass.diagnose.delay_sources import read
from weatherglass.diagnose.retry_after import MAX_RAW, MAX_VALUES, parse
from weatherglass.policy import LimitHeaders
from weatherglass.report import RetryAfter
from weatherglass.vocabulary import RetryAfterVariant as Variant

NOW = 1_800_000_000.0
VENDOR = LimitHeaders(
    name="vendor", limit="x-vendor-allowed", used="x-vendor-count", reset="x-vendor-reset"
)
MOMENT = datetime.fromtimestamp(NOW, tz=timezone.utc)

# Texts that look like something, so that every branch is met, beside texts of any kind.
PIECES = st.sampled_from(
    [*"0123456789", "٤", *"+-.,:;[]\"' \t\r\n\x00eEsmhdTZ", "Wed", "Oct", "GMT", "nan", "inf", "PT"]
)
VALUES = st.one_of(
    st.text(max_size=300),
    st.binary(max_size=300),
    st.lists(PIECES, max_size=60).map("".join),
    st.text(alphabet=st.characters(codec="latin-1"), max_size=40),
)
DELAYS = st.integers(1, 999_999_999)
MOMENTS = st.datetimes(
    datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2090, 1, 1),  # noqa: DTZ001 - likewise
    timezones=st.just(timezone.utc),
).map(lambda moment: moment.replace(microsecond=0))


def _check(found: RetryAfter) -> None:
    assert found.variant in Variant
    assert found.seconds is None or (math.isfinite(found.seconds) and found.seconds >= 0)
    assert found.raw is None or (found.raw.isprintable() and len(found.raw) <= MAX_RAW)


@given(VALUES, st.one_of(st.none(), st.text(max_size=40)), st.sampled_from([NOW, None]))
def test_parser_is_total(value: str | bytes, date: str | None, now: float | None) -> None:
    """A1, A2, A7: any value has one variant, its seconds none, or finite and not negative."""
    _check(parse(value, now=now, server_date=date))


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "retry-after-ms",
                "x-ms-retry-after-ms",
                "retry-after",
                "ratelimit",
                "x-ratelimit-reset",
                "x-ratelimit-remaining",
                "ratelimit-reset",
                "ratelimit-remaining",
                "x-vendor-reset",
                "x-vendor-count",
                "x-vendor-allowed",
                "date",
            ]
        ),
        st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=20).map("".join)),
    ),
    st.integers(400, 599),
    st.text(max_size=60).map(lambda text: "retry in " + text),
)
def test_sources_are_total(headers: dict[str, str], status: int, message: str) -> None:
    """A2, A3: no headers, status or message make the reading of all sources fail."""
    found = read(headers, status, message, NOW, (VENDOR,))
    assert found is not None or status not in (429, 503)
    if found is not None:
        _check(found)


@given(DELAYS, st.sampled_from(["", " ", "\t"]), st.integers(0, 5))
def test_whole_seconds(seconds: int, space: str, zeros: int) -> None:
    """A1: whole seconds are read as they are, with white space and leading zeros."""
    found = parse(f"{space}{'0' * zeros}{seconds}{space}", now=NOW)
    assert (found.variant, found.seconds) == (Variant.DELTA_SECONDS, float(seconds))


@given(st.floats(1e-3, 1e8))
def test_fractions(seconds: float) -> None:
    """A1: fractions of seconds are read as they are."""
    found = parse(repr(seconds), now=NOW)
    assert (found.variant, found.seconds) == (Variant.DELTA_FLOAT, seconds)


@given(MOMENTS, MOMENTS)
def test_dates_in_all_forms(moment: datetime, now: datetime) -> None:
    """A1: the same moment asks for the same delay in all three forms of RFC 9110 and ISO 8601."""
    at = moment.timestamp()
    delay = at - now.timestamp()
    forms = {
        Variant.IMF_FIXDATE: format_datetime(moment, usegmt=True),
        Variant.ASCTIME: moment.strftime("%a %b ") + f"{moment.day:2d}" + moment.strftime(" %X %Y"),
        Variant.ISO8601: moment.isoformat(),
    }
    if -timedelta(days=365 * 49) < moment - now < timedelta(days=365 * 49):
        forms[Variant.RFC850] = moment.strftime("%A, %d-%b-%y %X GMT")
    for variant, text in forms.items():
        found = parse(text, now=now.timestamp())
        expected = (variant, delay) if delay >= 0 else (Variant.DATE_PAST, 0.0)
        assert (found.variant, found.seconds) == expected


@given(MOMENTS, st.integers(-23 * 60, 23 * 60))
def test_other_zones(moment: datetime, minutes: int) -> None:
    """A1: a date in any zone is the same moment."""
    local = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_date(format_datetime(local), None) == (
        Variant.DATE_OTHER_ZONE,
        moment.timestamp(),
    )


@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 28), MOMENTS)
def test_two_digit_years(digits: int, month: int, day: int, now: datetime) -> None:
    """A1: a two-digit year is never more than 50 years ahead, and in the past only if it must."""
    name = datetime(2000, month, 1, tzinfo=timezone.utc).strftime("%b")
    text = f"Sunday, {day:02d}-{name}-{digits:02d} 00:00:00 GMT"
    found = parse_date(text, now.timestamp())
    assert found is not None
    moment = datetime.fromtimestamp(found[1], tz=timezone.utc)
    assert moment.year % 100 == digits
    ahead = now.replace(year=now.year + 50, day=min(now.day, 28))
    behind = now.replace(year=now.year - 51, day=min(now.day, 28))
    assert behind <= moment <= ahead + timedelta(days=3)


@given(st.floats(-80_000, 80_000), DELAYS)
def test_skew_does_not_matter(skew: float, delay: int) -> None:
    """A4: however wrong our clock is within the bound, the delay is the one the server meant."""
    server_now = MOMENT - timedelta(seconds=int(skew))
    text = format_datetime(server_now + timedelta(seconds=delay), usegmt=True)
    date = format_datetime(server_now, usegmt=True)
    found = parse(text, now=NOW, server_date=date)
    assert (found.seconds, found.skew) == (float(delay), float(int(skew)))


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.sampled_from(["", " ", ", "]))
def test_durations(hours: int, minutes: int, seconds: int, between: str) -> None:
    """A1: durations of several units are their sum."""
    found = parse(f"{hours}h{between}{minutes}m{between}{seconds}s", now=NOW)
    total = float(hours * 3600 + minutes * 60 + seconds)
    assert (found.variant, found.seconds) == (Variant.DURATION, total)


@given(st.lists(DELAYS, min_size=2, max_size=MAX_VALUES), st.sampled_from([",", ", ", " , "]))
def test_several_values(delays: list[int], comma: str) -> None:
    """A1, A5: of several values the longest counts, so no less than any of them is waited for."""
    found = parse(comma.join(map(str, delays)), now=NOW)
    assert (found.variant, found.seconds) == (Variant.MULTIPLE, float(max(delays)))


@given(
    st.lists(PIECES, max_size=20).map("".join).filter(lambda text: not set(text) & set("\"',")),
    st.sampled_from(['"', "'"]),
)
def test_quotes_change_no_seconds(value: str, quote: str) -> None:
    """A1: a value that says one thing says the same in quotes."""
    plain = parse(value, now=NOW)
    assert parse(f"{quote}{value}{quote}", now=NOW).seconds == plain.seconds


@given(st.text(min_size=1, max_size=30), st.integers(300, 3000))
def test_length_is_bounded(unit: str, length: int) -> None:
    """A2: a value longer than the bound is judged by its beginning, whatever follows."""
    long = (unit * length)[:length]
    first, second = parse(long, now=NOW), parse(long + unit * 1000, now=NOW)
    assert first == second
    assert first.seconds is None
