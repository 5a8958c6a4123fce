"""When a feed is read again."""

from __future__ import annotations

import math

import pytest

from weatherglass.feeds.schedule import (
    FIRST_RETRY,
    JITTER,
    LEAD,
    Schedule,
    failed,
    succeeded,
    tried,
)

TTL = 300.0


def test_a_feed_that_was_never_read_is_due() -> None:
    """M2: the first call has it read, and until then it has no age."""
    assert Schedule().due(0)
    assert Schedule().age(100) is None


@pytest.mark.parametrize("random", [0.0, 0.5, 0.999])
def test_a_good_feed_is_read_once_per_ttl(random: float) -> None:
    """M2: the next reading comes after the TTL, spread to both sides."""
    after = succeeded(Schedule(), 1000, TTL, random=random)

    assert not after.due(1000 + TTL * (1 - JITTER) - 1)
    assert after.due(1000 + TTL * (1 + JITTER))
    assert after.age(1040) == 40


def test_a_fleet_does_not_read_at_once() -> None:
    """M2: chance alone decides when within the spread a feed is read again, well or not."""
    after = [succeeded(Schedule(), 0, TTL, random=random) for random in (0.0, 0.5, 0.999)]
    assert [round(schedule.due_at) for schedule in after] == [270, 300, 330]
    after = [failed(Schedule(), 0, TTL, random=random) for random in (0.0, 0.999)]
    assert after[0].due_at == FIRST_RETRY / 2 < after[1].due_at < FIRST_RETRY


def test_failures_are_tried_again_sooner_and_less_and_less_often() -> None:
    """M2: after a failure it is tried again in seconds, then less and less often, up to the TTL."""
    schedule, now, waits = Schedule(), 0.0, []
    for _ in range(60):
        schedule = failed(tried(schedule, now), now, TTL, random=1.0)
        waits.append(schedule.due_at - now)
        now = schedule.due_at

    assert waits[:4] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY, 8 * FIRST_RETRY]
    assert max(waits) == waits[-1] == TTL
    assert succeeded(schedule, now, TTL, random=0.5).failures == 0


def test_a_failing_feed_ages_from_its_last_good_reading_or_its_first_try() -> None:
    """M2: the age says for how long nothing has been known of the page."""
    never = failed(tried(Schedule(), 10), 11, TTL, random=0.5)
    assert failed(tried(never, 50), 51, TTL, random=0.5).age(60) == 50
    once = failed(succeeded(never, 100, TTL, random=0.5), 400, TTL, random=0.5)
    assert once.age(460) == 360


def test_the_end_of_a_window_is_asked_for_before_it_comes() -> None:
    """M5: an end that was moved is learned of while the window is still in force."""
    after = succeeded(Schedule(), 0, TTL, ends_in=100, random=0.5)
    assert 100 - LEAD <= after.due_at < 100
    near = succeeded(Schedule(), 0, TTL, ends_in=0.1, random=0.5)
    assert near.due_at >= LEAD / 2, "it would be read again and again"
    assert succeeded(Schedule(), 0, TTL, ends_in=math.inf, random=0.5).due_at == TTL
