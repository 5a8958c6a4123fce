"""The gate, whatever comes in whatever order, and with threads that wait at it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.decide.gate import PASS, Entry, Gates, enter, held
from weatherglass.policy import RetryAfterPolicy
from weatherglass.testing.clocks import VirtualClock

POLICY = RetryAfterPolicy()
CHANCES = st.floats(min_value=0, max_value=1, exclude_max=True)
DELAYS = st.floats(min_value=0, max_value=400)


@given(st.lists(st.tuples(st.floats(min_value=0, max_value=50), DELAYS), max_size=10))
def test_a_gate_opens_when_the_last_delay_is_over(holds: list[tuple[float, float]]) -> None:
    """A8: the gate is closed exactly until the latest end of all delays within the ceiling."""
    now, state, latest = 0.0, None, 0.0
    for step, delay in holds:
        now += step
        state = held(state, delay, now, POLICY)
        if delay <= POLICY.ceiling:
            latest = max(latest, now + max(delay, POLICY.floor))
    assert (0.0 if state is None else state.until) == latest


@given(
    st.floats(min_value=0, max_value=POLICY.ceiling),
    CHANCES,
    CHANCES,
    st.floats(min_value=0, max_value=10),
    DELAYS,
)
def test_a_waiter_is_never_released_early_nor_redrawn(
    delay: float, chance: float, again: float, extension_after: float, extension: float
) -> None:
    """A8: a release lies between opening and opening plus spread, and moves only with the gate."""
    state = held(None, delay, 0.0, POLICY)
    assert state is not None
    entry = enter(state, 0.0, chance)
    assert state.until <= entry.release_at <= state.until + state.spread
    at = min(extension_after, entry.release_at)
    extended = held(state, extension, at, POLICY) or state
    second = enter(extended, at, again, entry)
    if extended.until <= entry.release_at:
        assert second == PASS or second.release_at == entry.release_at
    else:
        assert extended.until <= second.release_at <= extended.until + extended.spread


@given(
    st.floats(min_value=0, max_value=1e7),
    st.floats(min_value=0, max_value=POLICY.ceiling),
    CHANCES,
)
def test_one_wait_is_enough(now: float, delay: float, chance: float) -> None:
    """A8: rounding never leaves a waiter a hair before its release time."""
    state = held(None, delay, now, POLICY)
    assert state is not None
    entry = enter(state, now, chance)
    assert now + entry.seconds >= entry.release_at
    assert enter(state, now + entry.seconds, chance, entry) is PASS


class Waiter:
    """A call that waits at a gate as the attempt loop does."""

    def __init__(self, gates: Gates, clock: VirtualClock) -> None:
        self._gates = gates
        self._clock = clock
        self._closed = threading.Event()

    def __call__(self) -> tuple[float, int]:
        """When it was let through, in monotonic seconds, and after how many waits."""
        waits = 0
        entry: Entry = self._gates.entry("key")
        while entry.seconds > 0:
            waits += 1
            self._clock.wait(self._closed, entry.seconds)
            entry = self._gates.entry("key", entry)
        return self._clock.monotonic(), waits


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(min_value=0, max_value=10**6), delay=st.floats(min_value=1, max_value=180))
def test_threads_are_released_one_by_one(seed: int, delay: float) -> None:
    """A8: of many threads that wait, none goes early, all go within the spread, after one wait."""
    clock = VirtualClock(seed=seed)
    gates = Gates(POLICY, clock)
    gates.hold("key", delay)
    released = clock.run_together([Waiter(gates, clock) for _ in range(12)])
    spread = min(POLICY.max_jitter, POLICY.jitter * delay)
    assert all(delay <= at <= delay + spread + 1e-6 for at, _ in released)
    assert len({at for at, _ in released}) == len(released)
    assert all(waits == 1 for _, waits in released)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(min_value=0, max_value=10**6))
def test_threads_wait_on_when_the_gate_is_held_anew(seed: int) -> None:
    """A8: a second rate limit that comes while they wait holds back every thread again."""
    clock = VirtualClock(seed=seed)
    gates = Gates(POLICY, clock)
    gates.hold("key", 10.0)

    def hold_anew() -> tuple[float, int]:
        clock.wait(threading.Event(), 9.0)
        gates.hold("key", 20.0)
        return clock.monotonic(), 0

    waiters: list[Callable[[], tuple[float, int]]] = [Waiter(gates, clock) for _ in range(8)]
    released = clock.run_together([*waiters, hold_anew])[:8]
    assert all(29 <= at <= 31 + 1e-6 for at, _ in released)
    assert all(waits == 2 for _, waits in released)
