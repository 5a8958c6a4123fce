"""The arithmetic of deadlines."""

from __future__ import annotations

import math

import pytest

from weatherglass.decide.deadline import NEVER, Deadline


def test_time_runs_out() -> None:
    """D9: what remains goes down to nothing, and no further."""
    deadline = Deadline.after(10, now=100)
    assert deadline.remaining(104) == 6
    assert deadline.remaining(110) == 0
    assert deadline.remaining(200) == 0


@pytest.mark.parametrize(("timeout", "clamped"), [(2.0, 2.0), (30.0, 6.0), (None, 6.0), (6.0, 6.0)])
def test_timeouts_are_cut_down_to_it(timeout: float | None, clamped: float) -> None:
    """D9: an attempt may take no longer than what is left, even one without a timeout."""
    assert Deadline.after(10, now=100).clamp(timeout, now=104) == clamped


def test_a_timeout_is_never_nothing() -> None:
    """D9: when time ran out just now, the timeout is still one that sockets accept."""
    clamped = Deadline.after(10, now=100).clamp(30.0, now=120)
    assert clamped is not None
    assert 0 < clamped <= 0.01


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_without_a_deadline_nothing_is_cut(timeout: float | None) -> None:
    """D9: no deadline bounds nothing."""
    assert Deadline.after(None, now=100) is NEVER
    assert NEVER.clamp(timeout, now=1e12) == timeout
    assert NEVER.remaining(1e12) == math.inf
