"""Counts of calls over a sliding window."""

from __future__ import annotations

import pytest

from weatherglass.decide.sliding import EMPTY, SLICES, SlidingWindow


def with_calls(window: SlidingWindow, times: list[float]) -> SlidingWindow:
    for at in times:
        window = window.with_call(at, 60.0, failed=True, slow=False)
    return window


def test_calls_are_counted_by_what_they_were() -> None:
    """B1: failures and slow calls are counted among all calls."""
    window = EMPTY.with_call(0, 60.0, failed=True, slow=True)
    window = window.with_call(1, 60.0, failed=False, slow=True)
    window = window.with_call(2, 60.0, failed=False, slow=False)
    assert (window.calls, window.failures, window.slow) == (3, 1, 2)


def test_old_calls_are_dropped() -> None:
    """B1: a call that is a window old counts no more, one of nine tenths still does."""
    window = with_calls(EMPTY, [0.0, 6.0, 59.9])
    assert window.calls == 3
    assert with_calls(window, [60.0]).calls == 3
    assert with_calls(window, [66.0]).calls == 2
    assert with_calls(window, [1000.0]).calls == 1


def test_a_window_is_bounded() -> None:
    """B5: however many calls there are, a window keeps ten slices."""
    window = with_calls(EMPTY, [n * 0.7 for n in range(500)])
    assert len(window.slices) == SLICES


def test_a_call_that_comes_late_is_counted_in_its_own_time() -> None:
    """B1: threads may report out of order; what is too old by then is dropped."""
    window = with_calls(EMPTY, [100.0, 95.0])
    assert window.calls == 2
    assert with_calls(window, [1.0]).calls == 2
    assert with_calls(window, [150.0]).calls == 2


@pytest.mark.parametrize("times", [[], [5.0], [5.0, 5.5], [1.0, 30.0, 30.1, 55.0], [0.0, 100.0]])
def test_successes_counted_together_are_as_those_counted_one_by_one(times: list[float]) -> None:
    """B1: it does not matter when good calls are counted, only when they were."""
    one_by_one = EMPTY
    for at in times:
        one_by_one = one_by_one.with_call(at, 60.0, failed=False, slow=False)
    assert EMPTY.with_successes(times, 60.0) == one_by_one
