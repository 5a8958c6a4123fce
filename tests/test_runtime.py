"""Waiting is never early, ends when it is told to, and is the system's own otherwise."""

from __future__ import annotations

import random
import threading
import time

import pytest

from weatherglass.runtime import SYSTEM, Runtime

SHORT = 0.05


class EarlyBird:
    """A :class:`~weatherglass.runtime.Wakeable` whose waits return long before their time."""

    def __init__(self, wakes_at: int | None = None) -> None:
        self.waits: list[float] = []
        self._wakes_at = wakes_at
        self._never = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self._never.wait(min(timeout, SHORT / 10))
        return self.is_set()

    def is_set(self) -> bool:
        return self._wakes_at is not None and len(self.waits) >= self._wakes_at


def test_a_wait_is_never_early() -> None:
    """R7: a wait whose event returns too soon is taken up again until the time has passed."""
    bird = EarlyBird()
    before = SYSTEM.monotonic()
    woken = SYSTEM.wait(bird, SHORT)

    assert SYSTEM.monotonic() - before >= SHORT
    assert not woken
    assert len(bird.waits) > 1


def test_a_wait_asks_only_for_what_is_left() -> None:
    """R7: after an early return, the rest of the time is waited for and not the whole again."""
    bird = EarlyBird()
    SYSTEM.wait(bird, SHORT)

    assert bird.waits == sorted(bird.waits, reverse=True)
    assert 0 < bird.waits[-1] < SHORT


def test_a_wait_ends_when_it_is_woken() -> None:
    """D14: a set event ends a wait of an hour at once, and the waiter is told."""
    bird = EarlyBird(wakes_at=2)

    assert SYSTEM.wait(bird, 3600)
    assert len(bird.waits) == 2


def test_another_thread_can_end_a_wait() -> None:
    """D14: setting the event from another thread wakes the sleeper."""
    wake, woken = threading.Event(), threading.Event()

    def sleeper() -> None:
        if SYSTEM.wait(wake, 3600):
            woken.set()

    thread = threading.Thread(target=sleeper)
    thread.start()
    wake.set()
    thread.join(30)

    assert woken.is_set()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
@pytest.mark.parametrize("is_set", [True, False])
def test_no_time_is_no_wait(seconds: float, is_set: bool) -> None:
    """R7: nothing is waited for when the time is over, and the event is still looked at."""
    bird = EarlyBird(wakes_at=0 if is_set else None)

    assert SYSTEM.wait(bird, seconds) is is_set
    assert bird.waits == []


def test_the_system_is_a_runtime_of_real_clocks() -> None:
    """R7: the runtime that sessions get by default is the machine's clocks and randomness."""
    runtime: Runtime = SYSTEM

    assert runtime.monotonic is time.monotonic
    assert runtime.time is time.time
    assert runtime.random == random.random
    assert 0 <= runtime.random() < 1
