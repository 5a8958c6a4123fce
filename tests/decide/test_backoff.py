"""Delays: computed ones, and those that a server asked for."""

from __future__ import annotations

import math

import pytest

from weatherglass.decide.backoff import full_jitter, server_delay
from weatherglass.policy import RetryAfterPolicy, RetryPolicy
from weatherglass.vocabulary import Disposition


@pytest.mark.parametrize(
    ("retry_number", "bound"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (6, 30)]
)
def test_the_bound_doubles_up_to_the_cap(retry_number: int, bound: float) -> None:
    """R1: the delay is random() times min(30 s, 1 s times 2 to the n)."""
    assert full_jitter(retry_number, RetryPolicy(), 0.5) == 0.5 * bound


def test_the_delay_begins_at_nothing() -> None:
    """R1: full jitter means that a delay can be as short as chance makes it."""
    assert full_jitter(3, RetryPolicy(), 0.0) == 0.0


def test_all_three_numbers_are_policy() -> None:
    """R1: base and cap are the policy's."""
    policy = RetryPolicy(base_delay=0.25, max_delay=0.75)
    assert [full_jitter(n, policy, 1.0) for n in range(4)] == [0.25, 0.5, 0.75, 0.75]


@pytest.mark.parametrize("retry_number", [1023, 1024, 10**6, 10**30])
def test_no_retry_number_overflows(retry_number: int) -> None:
    """R1: however late the retry, its bound is the cap."""
    assert full_jitter(retry_number, RetryPolicy(), 1.0) == 30.0


def test_what_the_server_asked_for_is_honoured() -> None:
    """A5: the wait is what the server said, with a little jitter above it."""
    policy = RetryAfterPolicy()
    assert server_delay(42.0, policy, 0.0) == (42.0, Disposition.HONOURED)
    delay, _ = server_delay(42.0, policy, 0.5)
    assert delay == pytest.approx(42.0 + 0.5 * 4.2)


def test_the_jitter_is_bounded() -> None:
    """A5: for long delays the jitter is at most `max_jitter` seconds."""
    assert server_delay(100.0, RetryAfterPolicy(max_jitter=2.0), 1.0)[0] == 102.0


@pytest.mark.parametrize("asked", [0.0, 0.3, 0.999])
def test_short_delays_are_raised_to_the_floor(asked: float) -> None:
    """A5: a delay is clamped to at least a second, and said to be."""
    assert server_delay(asked, RetryAfterPolicy(), 0.0) == (1.0, Disposition.FLOORED)


def test_the_floor_itself_is_honoured() -> None:
    """A5: a server that asks for exactly the floor gets what it asked for."""
    assert server_delay(1.0, RetryAfterPolicy(), 0.0) == (1.0, Disposition.HONOURED)


def test_the_ceiling_is_compared_without_jitter() -> None:
    """A6: a delay of exactly the ceiling is waited for, whatever the jitter adds."""
    delay, disposition = server_delay(180.0, RetryAfterPolicy(), 1.0)
    assert (delay, disposition) == (185.0, Disposition.HONOURED)


@pytest.mark.parametrize("asked", [180.1, 7200.0, math.inf, math.nan])
def test_delays_above_the_ceiling_are_refused(asked: float) -> None:
    """A6: above the ceiling there is no wait; the value is handed back as it was."""
    delay, disposition = server_delay(asked, RetryAfterPolicy(), 0.5)
    assert disposition is Disposition.REFUSED
    assert delay == asked or math.isnan(asked)
