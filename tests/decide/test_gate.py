"""The gate in front of an origin that has limited its rate."""

from __future__ import annotations

import math
import threading

import pytest

from weatherglass.decide.gate import PASS, Entry, Gates, GateState, enter, held
from weatherglass.policy import RetryAfterPolicy
from weatherglass.testing.clocks import VirtualClock


class ChosenChance(VirtualClock):
    """A clock that a test moves by hand, and on which it chooses the random numbers."""

    chance = 0.0

    def random(self) -> float:
        return self.chance


@pytest.fixture
def clock() -> ChosenChance:
    """A clock on which waiters are released at once at the opening, unless told otherwise."""
    return ChosenChance()


KEY = "https://api.example.com:443|app"


def test_an_open_gate_lets_everybody_through(clock: ChosenChance) -> None:
    """A8: without a rate limit nobody waits, and nothing is made for them."""
    gates = Gates(RetryAfterPolicy(), clock)
    assert gates.entry(KEY) is PASS
    assert PASS.seconds == 0


def test_one_rate_limit_holds_everybody_back(clock: ChosenChance) -> None:
    """A8: after one 429, every call of the same origin and credential waits out its delay."""
    gates = Gates(RetryAfterPolicy(), clock)
    assert gates.hold(KEY, 10.0)
    clock.advance(4)
    assert gates.entry(KEY).seconds == 6.0
    assert gates.closed() == {KEY: 6.0}


def test_other_credentials_go_on(clock: ChosenChance) -> None:
    """A8: a limit on one credential holds back no other."""
    gates = Gates(RetryAfterPolicy(), clock)
    gates.hold(KEY, 10.0)
    assert gates.entry("https://api.example.com:443|batch") is PASS


def test_waiters_are_released_spread_out(clock: ChosenChance) -> None:
    """A8: each waiter has a release time of its own, in the tenth above the delay."""
    gates = Gates(RetryAfterPolicy(), clock)
    gates.hold(KEY, 10.0)
    releases = []
    for chance in (0.0, 0.25, 0.5, 0.75):
        clock.chance = chance
        releases.append(gates.entry(KEY).seconds)
    assert releases == [10.0, 10.25, 10.5, 10.75]


def test_the_spread_is_bounded(clock: ChosenChance) -> None:
    """A8: the last waiter comes at most `max_jitter` seconds after the opening."""
    gates = Gates(RetryAfterPolicy(max_jitter=2), clock)
    gates.hold(KEY, 100.0)
    clock.chance = 1.0
    assert gates.entry(KEY).seconds == 102.0


def test_a_waiter_keeps_its_release_time(clock: ChosenChance) -> None:
    """A8: a waiter that asks again is not given another time, earlier or later."""
    gates = Gates(RetryAfterPolicy(), clock)
    gates.hold(KEY, 10.0)
    clock.chance = 0.5
    entry = gates.entry(KEY)
    clock.chance = 0.9
    clock.advance(3)
    assert gates.entry(KEY, entry) == Entry(7.5, entry.release_at)


def test_a_waiter_keeps_its_time_when_the_gate_has_opened(clock: ChosenChance) -> None:
    """A8: the opening alone does not release the waiters: it would release them together."""
    gates = Gates(RetryAfterPolicy(), clock)
    gates.hold(KEY, 10.0)
    clock.chance = 0.8
    entry = gates.entry(KEY)
    clock.advance(10.3)
    assert gates.entry(KEY) is PASS
    assert gates.entry(KEY, entry).seconds == pytest.approx(0.5)
    clock.advance(0.5 + 1e-9)
    assert gates.entry(KEY, entry) is PASS


def test_a_gate_that_is_held_for_longer_holds_its_waiters_too(clock: ChosenChance) -> None:
    """A8: who wakes up and finds the gate held anew waits again, with a new release time."""
    gates = Gates(RetryAfterPolicy(), clock)
    gates.hold(KEY, 10.0)
    clock.chance = 0.5
    entry = gates.entry(KEY)
    clock.advance(entry.seconds)
    gates.hold(KEY, 20.0)
    assert gates.entry(KEY, entry).seconds == 21.0


def test_a_shorter_delay_does_not_open_the_gate_earlier(clock: ChosenChance) -> None:
    """A8: the longest delay that was asked for counts."""
    gates = Gates(RetryAfterPolicy(), clock)
    gates.hold(KEY, 10.0)
    assert not gates.hold(KEY, math.nan)
    gates.hold(KEY, 2.0)
    assert gates.entry(KEY).seconds == 10.0


@pytest.mark.parametrize("delay", [180.1, 7200.0, math.inf, math.nan])
def test_delays_above_the_ceiling_hold_nothing(clock: ChosenChance, delay: float) -> None:
    """A6, A8: one route's daily quota does not stop the whole origin for hours."""
    gates = Gates(RetryAfterPolicy(), clock)
    assert not gates.hold(KEY, delay)
    assert gates.entry(KEY) is PASS


def test_short_delays_hold_for_the_floor(clock: ChosenChance) -> None:
    """A5, A8: the gate is closed for at least the floor."""
    gates = Gates(RetryAfterPolicy(), clock)
    assert gates.hold(KEY, 0.0)
    assert gates.entry(KEY).seconds == 1.0


def test_a_policy_without_gates_has_none(clock: ChosenChance) -> None:
    """A8: with `gate` off, every call finds out for itself."""
    gates = Gates(RetryAfterPolicy(gate=False), clock)
    assert not gates.hold(KEY, 10.0)
    assert gates.entry(KEY) is PASS


def test_a_gate_that_has_opened_is_forgotten(clock: ChosenChance) -> None:
    """A8: once the limit is over, calls pay for nothing but a look again."""
    gates = Gates(RetryAfterPolicy(), clock)
    gates.hold(KEY, 10.0)
    clock.advance(10)
    assert gates.entry(KEY) is PASS
    assert gates.closed() == {}
    gates.hold(KEY, 5.0)
    assert gates.entry(KEY).seconds == 5.0


def test_the_transitions_are_pure() -> None:
    """A8: holding and entering depend on nothing but their arguments."""
    policy = RetryAfterPolicy()
    state = held(None, 10.0, 100.0, policy)
    assert state == GateState(110.0, 1.0)
    assert enter(state, 100.0, 0.5) == Entry(10.5, 110.5)
    assert held(state, 9.0, 100.0, policy) is state


def test_threads_that_hold_a_gate_at_once_leave_the_longest_hold(clock: ChosenChance) -> None:
    """A8: of many 429s at once, the longest delay wins, in whatever order they come."""
    gates = Gates(RetryAfterPolicy(), clock)
    start = threading.Barrier(10)

    def hold(delay: float) -> None:
        start.wait(30)
        gates.hold(KEY, delay)

    threads = [threading.Thread(target=hold, args=(float(n),)) for n in range(1, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert gates.entry(KEY).seconds == 10.0


def test_gates_work_after_a_fork(clock: ChosenChance) -> None:
    """D13: with its locks dropped, a child knows of the rate limit and can hold gates."""
    gates = Gates(RetryAfterPolicy(), clock)
    gates.hold(KEY, 10.0)
    gates.reset_after_fork()
    assert gates.entry(KEY).seconds == 10.0
    assert gates.hold(KEY, 20.0)
