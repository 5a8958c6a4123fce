"""Where a server says when to come back."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from weatherglass.diagnose.delay_sources import read
from weatherglass.diagnose.foreign import lowered
from weatherglass.policy import LimitHeaders
from weatherglass.report import RetryAfter
from weatherglass.vocabulary import RetryAfterSource as Source
from weatherglass.vocabulary import RetryAfterVariant as Variant

NOW = 1_800_000_000.0
VENDOR = LimitHeaders(
    name="vendor", limit="X-Vendor-Allowed", used="X-Vendor-Count", reset="X-Vendor-Reset"
)


def _read(headers: dict[str, str], status: int = 429, message: str = "") -> RetryAfter:
    found = read(lowered(headers), status, message, NOW, (VENDOR,))
    assert found is not None
    return found


def _told(found: RetryAfter) -> tuple[Source, Variant, float | None]:
    return found.source, found.variant, found.seconds


def test_order_of_sources() -> None:
    """A3: each source is read before all that follow it."""
    said = {
        "retry-after-ms": "1000",
        "x-ms-retry-after-ms": "2000",
        "Retry-After": "3",
        "RateLimit": '"default";r=0;t=4',
        "X-Vendor-Reset": "5",
        "X-RateLimit-Reset": "6",
        "RateLimit-Reset": "7",
    }
    message = "Retry the request in [8] seconds"
    seconds: list[float | None] = []
    sources: list[Source] = []
    while True:
        found = _read(said, message=message)
        seconds.append(found.seconds)
        sources.append(found.source)
        if not said:
            break
        said.pop(next(iter(said)))
    assert seconds == [1, 2, 3, 4, 5, 6, 7, 8]
    assert sources == [
        Source.RETRY_AFTER_MS,
        Source.RETRY_AFTER_MS,
        Source.RETRY_AFTER,
        Source.RATELIMIT,
        Source.RATELIMIT_RESET,
        Source.RATELIMIT_RESET,
        Source.RATELIMIT_RESET,
        Source.TEXT,
    ]


def test_unusable_source_does_not_hide_a_usable_one() -> None:
    """A3, A7: garbage in one source leaves the word to the next."""
    found = _read({"Retry-After": "soon", "X-RateLimit-Reset": "30"})
    assert _told(found) == (Source.RATELIMIT_RESET, Variant.DELTA_SECONDS, 30)


def test_first_unusable_source_is_recorded() -> None:
    """A7: when nothing can be used, the first source that is there is counted by its variant."""
    found = _read({"Retry-After": "-3", "X-RateLimit-Reset": "soon"})
    assert _told(found) == (Source.RETRY_AFTER, Variant.NEGATIVE, None)


@pytest.mark.parametrize("status", [429, 503])
def test_silence_is_recorded_where_a_delay_is_expected(status: int) -> None:
    """A1: a 429 or 503 without a word about time is recorded as missing."""
    assert _told(_read({}, status)) == (Source.NONE, Variant.MISSING, None)


def test_silence_elsewhere_is_nothing() -> None:
    """A1: on other statuses nothing is expected, so nothing is recorded."""
    assert read({}, 500, "", NOW) is None


def test_retry_after_is_read_on_any_status() -> None:
    """A3: Retry-After itself is read whatever the status."""
    assert _told(_read({"Retry-After": "7"}, 500)) == (
        Source.RETRY_AFTER,
        Variant.DELTA_SECONDS,
        7,
    )


@pytest.mark.parametrize(
    ("value", "variant", "seconds"),
    [
        ("1500", Variant.MILLISECONDS_HEADER, 1.5),
        ("0", Variant.MILLISECONDS_HEADER, 0.0),
        ("12.5", Variant.MILLISECONDS_HEADER, 0.0125),
        ("-5", Variant.NEGATIVE, None),
        ("nan", Variant.NON_FINITE, None),
        ("", Variant.EMPTY, None),
        ("30s", Variant.UNPARSEABLE, None),
        (formatdate(NOW + 60, usegmt=True), Variant.UNPARSEABLE, None),
        ("9" * 15, Variant.OVERFLOW, None),
        ("9" * 1000, Variant.OVERFLOW, None),
    ],
)
def test_milliseconds(value: str, variant: Variant, seconds: float | None) -> None:
    """A1, A3: the millisecond headers hold numbers alone."""
    found = _read({"Retry-After-Ms": value})
    assert _told(found) == (Source.RETRY_AFTER_MS, variant, seconds)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ('"default";r=0;t=30', 30),
        ('"burst";r=0;t=10, "daily";r=5000;t=80000', 10),
        ('"a";r=0;t=10, "b";r=0;t=20', 20),
        ('"we;r=9;t=9, ird";r=0;t=12', 12),
        ("default;r=0;t=30", 30),
        ("limit=100, remaining=0, reset=40", 40),
        ("limit=100;remaining=0;reset=40", 40),
    ],
)
def test_ratelimit_field(value: str, seconds: float) -> None:
    """A3: RateLimit is read in its present and older forms when a quota is used up."""
    for status in (429, 503):
        found = _read({"RateLimit": value}, status)
        assert _told(found) == (Source.RATELIMIT, Variant.DELTA_SECONDS, seconds)


@pytest.mark.parametrize("value", ['"default";r=5;t=30', "limit=100, remaining=5, reset=30"])
def test_ratelimit_with_requests_left(value: str) -> None:
    """A3: quotas that are not used up count on a 429 only, for there is no other reason."""
    assert _read({"RateLimit": value}, 429).seconds == 30
    assert _read({"RateLimit": value}, 503).source is Source.NONE


@pytest.mark.parametrize("value", ["", "r", "rubbish", '"x', '"default";r=0'])
def test_ratelimit_without_a_time(value: str) -> None:
    """A3: a RateLimit that names no time is no source."""
    assert _read({"RateLimit": value}).source is Source.NONE


@pytest.mark.timeout(10)
def test_long_ratelimit() -> None:
    """A2: an absurdly long RateLimit is unparseable at once."""
    found = _read({"RateLimit": '"' * 1_000_001})
    assert _told(found) == (Source.RATELIMIT, Variant.UNPARSEABLE, None)


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        ({"X-RateLimit-Reset": "30", "X-RateLimit-Remaining": "0"}, True),
        ({"X-RateLimit-Reset": "30", "X-RateLimit-Remaining": "1"}, False),
        ({"X-RateLimit-Reset": "30", "RateLimit-Remaining": "0"}, False),
        ({"X-RateLimit-Reset": "30"}, False),
        ({"RateLimit-Reset": "30", "RateLimit-Remaining": " 0 "}, True),
        ({"x-vendor-reset": "30", "x-vendor-count": "300"}, False),
        (
            {
                "x-vendor-reset": "30",
                "x-vendor-count": "300",
                "x-vendor-allowed": "300",
            },
            True,
        ),
        (
            {
                "x-vendor-reset": "30",
                "x-vendor-count": "299",
                "x-vendor-allowed": "300",
            },
            False,
        ),
        (
            {
                "x-vendor-reset": "30",
                "x-vendor-count": "many",
                "x-vendor-allowed": "300",
            },
            False,
        ),
    ],
)
def test_reset_counts_when_nothing_is_left(headers: dict[str, str], counts: bool) -> None:
    """A3: reset headers count off a 429 only if their own family says that nothing is left."""
    found = read(lowered(headers), 403, "", NOW, (VENDOR,))
    assert (found is not None) is counts
    assert _read(headers, 429).seconds == 30


def test_families_are_data() -> None:
    """A3, G4: headers that no policy names are no source, and the core knows no vendor's."""
    headers = {"x-vendor-reset": "30", "x-vendor-count": "300", "x-vendor-allowed": "300"}
    assert read(headers, 403, "", NOW) is None
    found = read(headers, 429, "", NOW)
    assert found is not None
    assert found.source is Source.NONE


def test_reset_as_a_time() -> None:
    """A3: a reset that is a time by its magnitude is measured as one."""
    found = _read({"X-RateLimit-Reset": str(int(NOW) + 90)})
    assert _told(found) == (Source.RATELIMIT_RESET, Variant.EPOCH_SECONDS, 90)


@pytest.mark.parametrize(
    ("message", "variant", "seconds"),
    [
        (
            "Rate limit exceeded the maximum. Retry the request in [42] seconds",
            Variant.DELTA_SECONDS,
            42,
        ),
        ("Please try again in 6.5s.", Variant.DELTA_FLOAT, 6.5),
        ("Please try again in 1m30s.", Variant.DURATION, 90),
        ("try again after 5 minutes", Variant.DURATION, 300),
        ("Try again in 1 minute and 20 seconds", Variant.DURATION, 80),
        ("Request was throttled. Expected available in 25 seconds.", Variant.DELTA_SECONDS, 25),
        ("retry in 250ms", Variant.DURATION, 0.25),
    ],
)
def test_text(message: str, variant: Variant, seconds: float) -> None:
    """A3: a delay in the error's own words is the last source."""
    assert _told(_read({}, message=message)) == (Source.TEXT, variant, seconds)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Retry later",
        "42 seconds",
        "The country has 42 seconds",
        "retry in 5 parsecs",
        "retry in 5",
        "x" * 5000 + " retry in 5 seconds",
    ],
)
def test_text_without_a_delay(message: str) -> None:
    """A3: text that names no delay is no source, and it is not searched without end."""
    assert _read({}, message=message).source is Source.NONE


def test_skew_is_recorded_from_the_date_header() -> None:
    """A4: the response's Date is the reference for whatever source names a time."""
    headers = {"date": formatdate(NOW - 5, usegmt=True), "x-ratelimit-reset": str(int(NOW) + 5)}
    found = _read(headers)
    assert (found.seconds, found.skew) == (10, 5)
