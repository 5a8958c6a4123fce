"""Virtual and scaled time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.runtime import Runtime
from weatherglass.testing import ScaledClock, VirtualClock

NEVER = threading.Event()
SET = threading.Event()
SET.set()


def test_clocks_are_runtimes() -> None:
    """R7: both clocks can be given wherever a runtime is asked for."""
    runtimes: list[Runtime] = [VirtualClock(), ScaledClock(2)]
    assert all(0 <= runtime.random() < 1 for runtime in runtimes)


def test_virtual_wait_passes_at_once() -> None:
    """A wait of an hour advances both clocks by an hour and takes no time."""
    clock = VirtualClock(start=1000.0)
    assert (clock.monotonic(), clock.time()) == (0.0, 1000.0)
    assert clock.wait(NEVER, 3600) is False
    assert (clock.monotonic(), clock.time()) == (3600.0, 4600.0)
    assert clock.waits == [3600]


def test_wait_that_is_over_takes_no_virtual_time() -> None:
    """With its event set, or nothing to wait for, a wait advances nothing."""
    clock = VirtualClock()
    assert clock.wait(SET, 10) is True
    assert clock.wait(NEVER, 0) is False
    assert clock.wait(NEVER, -1) is False
    assert (clock.monotonic(), clock.waits) == (0.0, [])


def test_virtual_time_does_not_go_back() -> None:
    """Time can be advanced from outside, forwards only."""
    clock = VirtualClock()
    clock.advance(5)
    assert clock.monotonic() == 5
    with pytest.raises(ValueError, match="does not go back: -1"):
        clock.advance(-1)


def test_chance_comes_from_the_seed() -> None:
    """Two clocks with one seed draw the same numbers."""
    for make in (lambda seed: VirtualClock(seed=seed), lambda seed: ScaledClock(9, seed)):
        first, second, other = make(1), make(1), make(2)
        drawn = [first.random() for _ in range(5)]
        assert drawn == [second.random() for _ in range(5)]
        assert drawn != [other.random() for _ in range(5)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(1, 20), max_size=4), min_size=1, max_size=4))
def test_threads_share_one_time(plans: list[list[int]]) -> None:
    """Threads that wait side by side see each wait take exactly its time, no more and no less."""
    clock = VirtualClock()

    def follow(waits: list[int]) -> Callable[[], list[float]]:
        def run() -> list[float]:
            seen = []
            for seconds in waits:
                clock.wait(NEVER, seconds)
                seen.append(clock.monotonic())
            return seen

        return run

    seen = clock.run_together([follow(waits) for waits in plans])
    assert seen == [[float(sum(w[: i + 1])) for i in range(len(w))] for w in plans]
    assert clock.monotonic() == max(map(sum, plans))


def test_woken_thread_goes_on_before_time_does() -> None:
    """A thread whose event is set goes on at that moment, though others wait for longer."""
    clock = VirtualClock()
    event = threading.Event()

    def sleeper() -> tuple[bool, float]:
        return clock.wait(event, 100), clock.monotonic()

    def waker() -> float:
        clock.wait(NEVER, 10)
        event.set()
        clock.wait(NEVER, 50)
        return clock.monotonic()

    assert clock.run_together([sleeper, waker]) == [(True, 10.0), 60.0]


def test_thread_that_works_holds_time_up() -> None:
    """Time stands still as long as one of the threads does something other than wait."""
    clock = VirtualClock()
    done = threading.Event()

    def worker() -> float:
        assert not done.wait(0.05)
        began = clock.monotonic()
        clock.wait(NEVER, 1)
        return began

    def sleeper() -> float:
        clock.wait(NEVER, 1000)
        return clock.monotonic()

    assert clock.run_together([worker, sleeper]) == [0.0, 1000.0]


def test_wait_from_outside_advances_at_once() -> None:
    """A thread that is not of the company, such as a server's, lets its own time pass at once."""
    clock = VirtualClock()

    def client() -> list[float]:
        outsider = threading.Thread(target=clock.wait, args=(NEVER, 30))
        outsider.start()
        outsider.join()
        after_work = clock.monotonic()
        clock.wait(NEVER, 1)
        return [after_work, clock.monotonic()]

    def other() -> list[float]:
        clock.wait(NEVER, 20)
        return [clock.monotonic()]

    told, (woken,) = clock.run_together([client, other])
    assert told == [30.0, 31.0]
    assert woken >= 20.0


def test_errors_of_threads_come_back() -> None:
    """The first function's error is raised where they were started; the others still end."""
    clock = VirtualClock()
    ended = []

    def good() -> None:
        clock.wait(NEVER, 10)
        ended.append(clock.monotonic())

    def bad() -> None:
        clock.wait(NEVER, 5)
        raise LookupError("bad")

    with pytest.raises(LookupError, match="bad"):
        clock.run_together([bad, good])
    assert ended == [10.0]


def test_threads_that_block_each_other_are_given_up() -> None:
    """A function that never ends, nor waits on the clock, ends in a TimeoutError."""
    clock = VirtualClock()
    let_go = threading.Event()
    with pytest.raises(TimeoutError, match="have not ended"):
        clock.run_together([lambda: let_go.wait(20)], timeout=0.01)
    let_go.set()


def test_clock_can_be_shared_again() -> None:
    """After a common run the clock serves a single thread, and another run."""
    clock = VirtualClock()
    clock.run_together([lambda: clock.wait(NEVER, 1)])
    clock.wait(NEVER, 1)
    clock.run_together([lambda: clock.wait(NEVER, 1), lambda: clock.wait(NEVER, 2)])
    assert clock.monotonic() == 4


def test_scaled_time_runs_faster() -> None:
    """R7: a scaled wait is never shorter than asked on its clock, and shorter in real time."""
    clock = ScaledClock(1000)
    real, scaled = time.monotonic(), clock.monotonic()
    assert clock.wait(NEVER, 50) is False
    assert clock.monotonic() - scaled >= 50
    assert time.monotonic() - real >= 0.05
    assert abs(clock.time() - time.time()) < 1e6


def test_scaled_wait_ends_with_its_event() -> None:
    """A scaled wait returns as soon as its event is set."""
    clock = ScaledClock(2)
    event = threading.Event()
    setter = threading.Thread(target=event.set)
    setter.start()
    assert clock.wait(event, 1000) is True
    assert clock.wait(event, 0) is True
    setter.join()


def test_scale_must_go_forwards() -> None:
    """A factor that would stop or turn time is refused."""
    with pytest.raises(ValueError, match="factor is 0, but must be above 0"):
        ScaledClock(0)
