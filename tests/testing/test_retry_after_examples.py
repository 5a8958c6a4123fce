"""The walk through every form of Retry-After."""

from __future__ import annotations

import pytest
import requests

from weatherglass.diagnose import retry_after
from weatherglass.testing import FakeServer, FaultPlan, faults, retry_after_example
from weatherglass.vocabulary import RetryAfterVariant

TIMEOUT = 20
NOW = 1_767_225_600.0
SAYS_A_TIME = {
    RetryAfterVariant.DELTA_SECONDS,
    RetryAfterVariant.DELTA_FLOAT,
    RetryAfterVariant.IMF_FIXDATE,
    RetryAfterVariant.RFC850,
    RetryAfterVariant.ASCTIME,
    RetryAfterVariant.DATE_OTHER_ZONE,
    RetryAfterVariant.ISO8601,
    RetryAfterVariant.DURATION,
    RetryAfterVariant.EPOCH_SECONDS,
    RetryAfterVariant.EPOCH_MILLIS,
    RetryAfterVariant.QUOTED,
}


@pytest.mark.parametrize("variant", RetryAfterVariant)
def test_every_variant_has_an_example(variant: RetryAfterVariant) -> None:
    """A1: there is an example of each variant, and only `missing` is no header at all."""
    lines = retry_after_example(variant, 42, NOW)
    assert bool(lines) == (variant is not RetryAfterVariant.MISSING)
    assert len(lines) == (2 if variant is RetryAfterVariant.MULTIPLE else bool(lines))


@pytest.mark.parametrize("variant", sorted(SAYS_A_TIME))
def test_example_says_the_time_that_it_was_given(variant: RetryAfterVariant) -> None:
    """A1: an example is read as its own variant, and as the seconds that it was made of."""
    ((_, value),) = retry_after_example(variant, 42, NOW)
    read = retry_after.parse(value, now=NOW, server_date=None)
    assert read.variant is variant
    assert read.seconds == pytest.approx(42)


@pytest.mark.parametrize("variant", RetryAfterVariant)
def test_server_sends_the_variant(variant: RetryAfterVariant) -> None:
    """A1: a plan names the variant, and the header lines arrive as they are."""
    fault = faults.answer(429, retry_after=variant, retry_after_seconds=42)
    with FakeServer(FaultPlan.script(fault)) as server:
        answer = requests.get(f"{server.url}/echo", timeout=TIMEOUT)
        now = server.clock.time()
    if variant is RetryAfterVariant.MISSING:
        assert "Retry-After" not in answer.headers
    elif variant is RetryAfterVariant.MILLISECONDS_HEADER:
        assert answer.headers["retry-after-ms"] == "42000"
    else:
        received = answer.headers["Retry-After"]
        read = retry_after.parse(received, now=now, server_date=answer.headers["Date"])
        assert read.variant is variant
        if variant in SAYS_A_TIME:
            assert read.seconds is not None
            assert 41 <= read.seconds <= 45
