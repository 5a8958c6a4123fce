"""The breakers of a session: shell, threads and watchers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from weatherglass.decide.breaker import (
    Alive,
    BreakerData,
    BreakerResult,
    Failed,
    Ignored,
    Permit,
    Refusal,
    Success,
    Transition,
    forgettable,
)
from weatherglass.decide.breakers import Breakers
from weatherglass.decide.store import MemoryStore
from weatherglass.policy import BreakerPolicy
from weatherglass.testing.clocks import VirtualClock
from weatherglass.vocabulary import BreakerCause, BreakerState

POLICY = BreakerPolicy(jitter=0)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that a test moves by hand."""
    return VirtualClock()


def permit(breakers: Breakers, name: str) -> Permit:
    answer = breakers.acquire(name)
    assert isinstance(answer, Permit)
    return answer


def calls(breakers: Breakers, name: str, *results: BreakerResult) -> None:
    for result in results:
        breakers.settle(permit(breakers, name), result)


def fail(breakers: Breakers, name: str, times: int = 5) -> None:
    calls(breakers, name, *[Failed(0.1)] * times)


def together(count: int, work: Callable[[], None]) -> None:
    """Run the same work in many threads that begin at the same moment."""
    start = threading.Barrier(count)

    def run() -> None:
        start.wait(30)
        work()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_each_name_has_its_own_breaker(clock: VirtualClock) -> None:
    """B5: an origin that fails closes no way to another."""
    breakers = Breakers(POLICY, clock)
    fail(breakers, "a")
    assert isinstance(breakers.acquire("a"), Refusal)
    permit(breakers, "b")
    assert breakers.states() == {"a": OPEN, "b": CLOSED}


def test_a_closed_breaker_gives_the_same_permit_to_all(clock: VirtualClock) -> None:
    """B3: admission to a closed breaker makes nothing anew."""
    breakers = Breakers(POLICY, clock)
    assert breakers.acquire("a") is breakers.acquire("a")


def test_a_refusal_says_when_the_next_probe_is_due(clock: VirtualClock) -> None:
    """B6: the seconds until the next probe go down as time passes."""
    breakers = Breakers(POLICY, clock)
    fail(breakers, "a")
    clock.advance(20)
    assert breakers.acquire("a") == Refusal("a", OPEN, 40.0, None)
    assert breakers.refusal("a") == Refusal("a", OPEN, 40.0, None)


def test_looking_for_a_refusal_takes_no_probe(clock: VirtualClock) -> None:
    """B6: `refusal` changes nothing: the probe is left to who acquires it."""
    breakers = Breakers(POLICY, clock)
    assert breakers.refusal("a") is None
    assert breakers.states() == {}
    fail(breakers, "a")
    clock.advance(60)
    assert breakers.refusal("a") is None
    assert breakers.state("a") is OPEN
    assert permit(breakers, "a").probe
    assert breakers.refusal("a") == Refusal("a", HALF_OPEN, None, None)


def test_good_calls_are_counted_when_a_failure_needs_them(clock: VirtualClock) -> None:
    """B1: successes weigh against failures, although they cost no lock when they come in."""
    breakers = Breakers(BreakerPolicy(consecutive_failures=1000), clock)
    for _ in range(21):
        calls(breakers, "a", Success(0.1))
    fail(breakers, "a", 20)
    assert breakers.state("a") is CLOSED
    assert breakers.data("a").window.calls == 41
    fail(breakers, "a", 1)
    assert breakers.state("a") is OPEN


def test_good_calls_of_long_ago_are_not_counted(clock: VirtualClock) -> None:
    """B1: successes count in the window in which they ended, not in that of the failure."""
    breakers = Breakers(BreakerPolicy(consecutive_failures=1000), clock)
    for _ in range(100):
        calls(breakers, "a", Success(0.1))
    clock.advance(61)
    fail(breakers, "a", 20)
    assert breakers.state("a") is OPEN


def test_notes_of_good_calls_are_bounded(clock: VirtualClock) -> None:
    """B5: a million good calls leave a handful of numbers behind, and all are counted."""
    breakers = Breakers(POLICY, clock)
    shared = permit(breakers, "a")
    for _ in range(1000):
        breakers.succeeded(shared, 0.1)
    assert len(shared.noted) < 200
    assert breakers.data("a").window.calls + len(shared.noted) == 1000


def test_a_success_ends_a_run_of_failures(clock: VirtualClock) -> None:
    """B1: the fast way out is not taken while there are failures to forget."""
    breakers = Breakers(POLICY, clock)
    fail(breakers, "a", 4)
    calls(breakers, "a", Success(0.1))
    fail(breakers, "a", 4)
    assert breakers.state("a") is CLOSED


def test_slow_successes_are_judged(clock: VirtualClock) -> None:
    """B1: a success that is slow does not take the fast way out."""
    breakers = Breakers(BreakerPolicy(slow_call=2, slow_call_rate=0.5, minimum_calls=10), clock)
    for _ in range(5):
        calls(breakers, "a", Success(1.9), Success(2.0))
    assert breakers.state("a") is OPEN


def test_results_that_say_nothing_leave_a_breaker_alone(clock: VirtualClock) -> None:
    """B4: a 401, a 429 and a 4xx change no state and no count."""
    breakers = Breakers(POLICY, clock)
    fail(breakers, "a", 4)
    before = breakers.data("a")
    calls(breakers, "a", Ignored(), Alive())
    assert breakers.data("a") is before
    calls(breakers, "a", Alive(ends_run=True))
    assert breakers.data("a").run == 0


def test_twenty_callers_at_half_open_get_one_probe(clock: VirtualClock) -> None:
    """B2, B9: when the cool-down is over, exactly one of twenty threads is let through."""
    breakers = Breakers(POLICY, clock)
    fail(breakers, "a")
    clock.advance(60)
    answers: list[Permit | Refusal] = []
    together(20, lambda: answers.append(breakers.acquire("a")))
    probes = [answer for answer in answers if isinstance(answer, Permit)]
    assert len(probes) == 1
    assert probes[0].probe
    assert len(answers) == 20
    breakers.settle(probes[0], Success(0.1))
    together(20, lambda: answers.append(breakers.acquire("a")))
    assert all(isinstance(answer, Permit) for answer in answers[20:])


def test_a_lapsed_lease_goes_to_one_of_many(clock: VirtualClock) -> None:
    """B3, B9: of twenty threads that find a dead probe's place free, one takes it."""
    breakers = Breakers(POLICY, clock)
    fail(breakers, "a")
    clock.advance(60)
    permit(breakers, "a")
    clock.advance(60)
    answers: list[Permit | Refusal] = []
    together(20, lambda: answers.append(breakers.acquire("a")))
    assert sum(isinstance(answer, Permit) for answer in answers) == 1


def test_no_outcome_is_lost_between_threads(clock: VirtualClock) -> None:
    """B9: failures and successes of many threads are all counted, each once."""
    breakers = Breakers(BreakerPolicy(consecutive_failures=10**6, failure_rate=None), clock)

    def work() -> None:
        for _ in range(100):
            calls(breakers, "a", Success(0.1), Failed(0.1), Success(0.1))

    together(8, work)
    calls(breakers, "a", Failed(0.1))
    window = breakers.data("a").window
    assert (window.calls, window.failures) == (2401, 801)


def test_many_threads_open_a_breaker_once(clock: VirtualClock) -> None:
    """B3, B9: however many calls fail together, there is one transition, and the rest are late."""
    told: list[Transition] = []
    breakers = Breakers(POLICY, clock, on_transition=told.append)
    shared = permit(breakers, "a")
    together(20, lambda: breakers.settle(shared, Failed(0.1)))
    assert [t.state for t in told] == [OPEN]
    assert breakers.data("a").late == 15


def test_transitions_are_told_in_order(clock: VirtualClock) -> None:
    """B8: a watcher sees the whole story, each transition beginning where the last one ended."""
    told: list[Transition] = []
    breakers = Breakers(POLICY, clock, on_transition=told.append)
    fail(breakers, "a")
    clock.advance(60)
    calls(breakers, "a", Failed(0.1))
    clock.advance(120)
    calls(breakers, "a", Success(0.1))
    assert [(t.previous, t.state, t.cause) for t in told] == [
        (CLOSED, OPEN, BreakerCause.CONSECUTIVE_FAILURES),
        (OPEN, HALF_OPEN, BreakerCause.PROBE_DUE),
        (HALF_OPEN, OPEN, BreakerCause.PROBE_FAILED),
        (OPEN, HALF_OPEN, BreakerCause.PROBE_DUE),
        (HALF_OPEN, CLOSED, BreakerCause.PROBE_SUCCEEDED),
    ]
    assert [t.at for t in told] == [0, 60, 60, 180, 180]
    assert sorted({t.generation for t in told}) == [t.generation for t in told]


def test_transitions_of_many_threads_are_told_in_order(clock: VirtualClock) -> None:
    """B8, B9: with threads moving a breaker at once, news form an unbroken chain."""
    told: list[Transition] = []
    breakers = Breakers(POLICY, clock, on_transition=told.append)

    def work() -> None:
        for _ in range(50):
            breakers.force_open("a")
            breakers.disable("a")
            breakers.force_closed("a")

    together(8, work)
    assert len(told) > 100
    assert [t.previous for t in told[1:]] == [t.state for t in told[:-1]]
    assert [t.generation for t in told] == sorted(t.generation for t in told)
    assert told[-1].state is breakers.state("a")


def test_no_lock_is_held_while_a_watcher_is_told(clock: VirtualClock) -> None:
    """B8, D13: while a watcher works, other threads get permits and settle them."""
    watching, finish = threading.Event(), threading.Event()

    def watch(_: Transition) -> None:
        watching.set()
        finish.wait(30)

    breakers = Breakers(POLICY, clock, on_transition=watch)
    teller = threading.Thread(target=fail, args=(breakers, "a"))
    teller.start()
    try:
        assert watching.wait(30)
        calls(breakers, "b", Failed(0.1), Success(0.1))
        breakers.force_open("c")
        assert isinstance(breakers.acquire("a"), Refusal)
    finally:
        finish.set()
        teller.join(30)
    assert not teller.is_alive()


def test_a_watcher_that_raises_changes_nothing(
    clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """B8, R6: its error is logged, the call goes on, and the next transition is told."""
    told: list[Transition] = []

    def watch(transition: Transition) -> None:
        told.append(transition)
        raise LookupError("no such dashboard")

    breakers = Breakers(POLICY, clock, on_transition=watch)
    with caplog.at_level(logging.ERROR, logger="weatherglass"):
        fail(breakers, "a")
        breakers.force_closed("a")
    assert [t.state for t in told] == [OPEN, CLOSED]
    assert len(caplog.records) == 2


def test_a_watcher_may_use_the_breakers(clock: VirtualClock) -> None:
    """B8: a watcher that moves a breaker is told of that, too, after what it is being told."""
    told: list[BreakerState] = []

    def watch(transition: Transition) -> None:
        if transition.state is OPEN:
            breakers.disable("a")
        told.append(transition.state)

    breakers = Breakers(POLICY, clock, on_transition=watch)
    fail(breakers, "a")
    assert told == [OPEN, BreakerState.DISABLED]


def test_an_interrupted_watcher_does_not_silence_the_next(clock: VirtualClock) -> None:
    """B8: an interrupt passes through, and later transitions are told all the same."""
    told: list[BreakerState] = []

    def watch(transition: Transition) -> None:
        told.append(transition.state)
        if transition.state is OPEN:
            raise KeyboardInterrupt

    breakers = Breakers(POLICY, clock, on_transition=watch)
    with pytest.raises(KeyboardInterrupt):
        fail(breakers, "a")
    breakers.force_closed("a")
    assert told == [OPEN, CLOSED]


def test_an_operator_has_the_last_word(clock: VirtualClock) -> None:
    """B8: breakers can be forced open and closed, disabled and reset, and their state read."""
    breakers = Breakers(POLICY, clock)
    assert breakers.state("a") is CLOSED
    breakers.force_open("a")
    assert breakers.acquire("a") == Refusal("a", BreakerState.FORCED_OPEN, None, None)
    breakers.disable("a")
    fail(breakers, "a", 50)
    assert breakers.state("a") is BreakerState.DISABLED
    breakers.reset("a")
    fail(breakers, "a")
    assert breakers.state("a") is OPEN
    breakers.force_closed("a")
    assert breakers.state("a") is CLOSED


def test_reset_goes_back_to_what_the_policy_says(clock: VirtualClock) -> None:
    """B8: where the policy has no breakers, a reset one is disabled again."""
    breakers = Breakers(BreakerPolicy(enabled=False), clock)
    breakers.force_open("a")
    assert isinstance(breakers.acquire("a"), Refusal)
    breakers.reset("a")
    fail(breakers, "a", 50)
    assert breakers.state("a") is BreakerState.DISABLED


def store(limit: int) -> MemoryStore[BreakerData]:
    return MemoryStore(limit=limit, forgettable=lambda data: forgettable(data, POLICY))


def test_open_breakers_are_never_forgotten(clock: VirtualClock) -> None:
    """B5: whatever number of other origins comes along, an open breaker stays open."""
    breakers = Breakers(POLICY, clock, store=store(3))
    fail(breakers, "a")
    breakers.disable("b")
    for n in range(20):
        calls(breakers, f"other {n}", Success(0.1))
    assert len(breakers.states()) == 3
    assert breakers.state("a") is OPEN
    assert breakers.state("b") is BreakerState.DISABLED


def test_a_map_full_of_open_breakers_fails_open(clock: VirtualClock) -> None:
    """B5: when none may be forgotten, new origins go unguarded, and nobody is told otherwise."""
    told: list[str] = []
    breakers = Breakers(
        POLICY, clock, store=store(2), on_transition=lambda transition: told.append(transition.name)
    )
    fail(breakers, "a")
    fail(breakers, "b")
    fail(breakers, "c", 20)
    permit(breakers, "c")
    assert told == ["a", "b"]


def test_a_child_process_waits_for_no_probe_of_its_parent(clock: VirtualClock) -> None:
    """D13: after a fork, an open breaker is still known, and the parent's probe is not awaited."""
    told: list[str] = []
    breakers = Breakers(POLICY, clock, on_transition=lambda t: told.append(t.name))
    fail(breakers, "a")
    fail(breakers, "b")
    clock.advance(60)
    parents = permit(breakers, "a")
    breakers.reset_after_fork()
    childs = permit(breakers, "a")
    assert childs.probe
    breakers.settle(parents, Success(0.1))
    assert breakers.state("a") is HALF_OPEN
    breakers.settle(childs, Success(0.1))
    assert breakers.states() == {"b": OPEN, "a": CLOSED}
