"""What servers say of their rate limits."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import format_datetime

import pytest

from weatherglass.diagnose.headroom import COMMON, Headroom, read_headroom, remaining_requests
from weatherglass.policy import LimitHeaders

VENDOR = LimitHeaders(name="vendor", limit="X-Allowed", used="X-Count", reset="X-Until")
FAMILIES = (VENDOR, *COMMON)
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-ratelimit-remaining": "7"}, Headroom(7, None, None)),
        (
            {"x-ratelimit-remaining": "7", "x-ratelimit-limit": "10", "x-ratelimit-reset": "30"},
            Headroom(7, 10, 30.0),
        ),
        # GitHub: the reset in seconds since the epoch.
        (
            {"x-ratelimit-remaining": "7", "x-ratelimit-reset": f"{NOW + 90:.0f}"},
            Headroom(7, None, 90.0),
        ),
        # The server's own clock counts, where it says what time it has.
        (
            {
                "x-ratelimit-remaining": "7",
                "x-ratelimit-reset": f"{NOW + 90:.0f}",
                "date": format_datetime(datetime.fromtimestamp(NOW + 60, tz=timezone.utc), True),
            },
            Headroom(7, None, 30.0),
        ),
        # Drafts of the IETF: policies after the limit.
        (
            {
                "ratelimit-limit": "100, 100;w=60",
                "ratelimit-remaining": "50",
                "ratelimit-reset": "5",
            },
            Headroom(50, 100, 5.0),
        ),
        ({"x-count": "12", "x-allowed": "300", "x-until": "60"}, Headroom(288, 300, 60.0)),
        ({"x-count": "301", "x-allowed": "300", "x-until": "6m0s"}, Headroom(0, 300, 360.0)),
        ({"x-count": "12", "x-allowed": "300", "x-until": "soon"}, Headroom(288, 300, None)),
        # The policy's families before the common ones; what says nothing is passed over.
        ({"x-count": "1", "x-allowed": "3", "x-ratelimit-remaining": "9"}, Headroom(2, 3, None)),
        ({"x-count": "many", "x-ratelimit-remaining": "9"}, Headroom(9, None, None)),
        ({"x-count": "1"}, None),
        ({"x-ratelimit-remaining": "-1"}, None),
        ({"x-ratelimit-remaining": "9" * 20}, None),
        ({"x-ratelimit-remaining": "٣"}, None),
        ({}, None),
    ],
)
def test_families_of_headers(headers: dict[str, str], expected: Headroom | None) -> None:
    """G4: the first family that says how much is left decides, and gives limit and reset."""
    assert read_headroom(headers, FAMILIES, NOW) == expected
    left = remaining_requests(headers, FAMILIES)
    assert left == (None if expected is None else expected.remaining)


def test_the_core_knows_no_vendor() -> None:
    """G4: without a policy's families only the common ones are read."""
    assert remaining_requests({"x-count": "12", "x-allowed": "300"}) is None
    assert remaining_requests({"ratelimit-remaining": "3"}) == 3
