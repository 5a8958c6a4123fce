"""Delays, for all numbers that a policy allows."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from weatherglass.decide.backoff import full_jitter, server_delay
from weatherglass.policy import RetryAfterPolicy, RetryPolicy
from weatherglass.vocabulary import Disposition

CHANCES = st.floats(min_value=0, max_value=1, exclude_max=True)


@st.composite
def retry_policies(draw: st.DrawFn) -> RetryPolicy:
    base = draw(st.floats(min_value=0, max_value=3600, exclude_min=True))
    cap = draw(st.floats(min_value=base, max_value=86400))
    return RetryPolicy(base_delay=base, max_delay=cap)


@st.composite
def retry_after_policies(draw: st.DrawFn) -> RetryAfterPolicy:
    floor = draw(st.floats(min_value=0, max_value=3600))
    ceiling = draw(st.floats(min_value=floor, max_value=86400))
    jitter = draw(st.floats(min_value=0, max_value=1))
    most = draw(st.floats(min_value=0, max_value=3600))
    return RetryAfterPolicy(floor=floor, ceiling=ceiling, jitter=jitter, max_jitter=most)


@given(st.integers(min_value=0, max_value=3000), retry_policies(), CHANCES)
def test_full_jitter_is_the_formula(n: int, policy: RetryPolicy, chance: float) -> None:
    """R1: random() times min(cap, base times 2 to the n), computed here without rounding."""
    exact = min(Fraction(policy.max_delay), Fraction(policy.base_delay) * 2**n)
    assert full_jitter(n, policy, chance) == chance * float(exact)


@given(st.integers(min_value=0), retry_policies(), CHANCES)
def test_full_jitter_is_total_and_bounded(n: int, policy: RetryPolicy, chance: float) -> None:
    """R1: no retry number overflows, and no delay leaves [0, cap]."""
    assert 0 <= full_jitter(n, policy, chance) <= policy.max_delay


@given(st.floats(min_value=0), retry_after_policies(), CHANCES)
def test_a_server_is_never_asked_again_too_early(
    asked: float, policy: RetryAfterPolicy, chance: float
) -> None:
    """A5, A6: either refused, or at least what was asked and the floor, with bounded jitter."""
    delay, disposition = server_delay(asked, policy, chance)
    if asked > policy.ceiling:
        assert (delay, disposition) == (asked, Disposition.REFUSED)
        return
    least = max(asked, policy.floor)
    assert least <= delay <= least + policy.max_jitter
    assert (disposition is Disposition.FLOORED) == (asked < policy.floor)


@given(st.floats(), retry_after_policies(), CHANCES)
def test_any_number_at_all_is_taken(asked: float, policy: RetryAfterPolicy, chance: float) -> None:
    """A2, A5: no float raises, and what is not refused is a usable wait."""
    delay, disposition = server_delay(asked, policy, chance)
    if disposition is not Disposition.REFUSED:
        assert policy.floor <= delay <= policy.ceiling + policy.max_jitter
