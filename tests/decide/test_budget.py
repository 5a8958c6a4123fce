"""The retry budget of an origin."""

from __future__ import annotations

import threading

import pytest

from weatherglass.decide.budget import Budget, BudgetState, deposit, refilled, withdraw
from weatherglass.policy import BudgetPolicy
from weatherglass.testing.clocks import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that a test moves by hand."""
    return VirtualClock()


BURST = BudgetPolicy(capacity=3, per_success=0.1, per_second=0)


def test_a_burst_is_paid_for_until_the_bucket_is_empty(clock: VirtualClock) -> None:
    """R4: each retry costs a token, and none is left after `capacity` of them."""
    budget = Budget(BURST, clock)
    assert [budget.withdraw("a") for _ in range(4)] == [True, True, True, False]


def test_origins_have_their_own_buckets(clock: VirtualClock) -> None:
    """R4: an origin that fails takes nothing from another."""
    budget = Budget(BURST, clock)
    while budget.withdraw("a"):
        pass
    assert budget.withdraw("b")


def test_ten_successes_pay_for_one_retry(clock: VirtualClock) -> None:
    """R4: each success pays back a tenth, and ten tenths are one, rounding or not."""
    budget = Budget(BURST, clock)
    while budget.withdraw("a"):
        pass
    for _ in range(9):
        budget.deposit("a")
    assert not budget.withdraw("a")
    budget.deposit("a")
    assert budget.withdraw("a")
    assert not budget.withdraw("a")


def test_time_pays_back_too(clock: VirtualClock) -> None:
    """R4: low traffic is not starved, because time alone fills the bucket."""
    budget = Budget(BudgetPolicy(capacity=3, per_second=0.1), clock)
    while budget.withdraw("a"):
        pass
    clock.advance(9.9)
    assert not budget.withdraw("a")
    clock.advance(0.1)
    assert budget.withdraw("a")


def test_the_bucket_never_holds_more_than_its_capacity(clock: VirtualClock) -> None:
    """R4: neither time nor successes save up more retries than the burst."""
    budget = Budget(BudgetPolicy(capacity=3, per_second=1), clock)
    budget.withdraw("a")
    clock.advance(1000)
    for _ in range(100):
        budget.deposit("a")
    assert budget.levels() == {"a": 3.0}


def test_a_retry_that_was_not_made_is_refunded(clock: VirtualClock) -> None:
    """R4: only retries that are made cost anything."""
    budget = Budget(BURST, clock)
    budget.withdraw("a", 2)
    budget.refund("a", 2)
    assert budget.levels() == {"a": 3.0}


def test_levels_are_those_of_now(clock: VirtualClock) -> None:
    """R4: the level that is shown counts what time has paid back since the last change."""
    budget = Budget(BudgetPolicy(capacity=3, per_second=0.5), clock)
    budget.withdraw("a", 2)
    clock.advance(2)
    assert budget.levels() == {"a": 2.0}


def test_successes_of_an_unknown_origin_leave_no_trace(clock: VirtualClock) -> None:
    """R4: while nothing is owed, a success costs and keeps nothing."""
    budget = Budget(BURST, clock)
    budget.deposit("a")
    budget.refund("a")
    assert budget.levels() == {}


def test_a_clock_read_out_of_order_takes_nothing_away() -> None:
    """R4: a thread that read the clock before another one cannot turn time back."""
    state = BudgetState(1.0, 100.0)
    policy = BudgetPolicy(capacity=3, per_second=1)
    assert refilled(state, 90.0, policy) == state
    assert deposit(state, 1.0, 90.0, policy) == BudgetState(2.0, 100.0)
    assert withdraw(state, 1.0, 90.0, policy) == (BudgetState(0.0, 100.0), True)


def test_threads_together_withdraw_no_more_than_there_is(clock: VirtualClock) -> None:
    """R4: the bound holds however many threads retry at once."""
    budget = Budget(BudgetPolicy(capacity=100, per_second=0), clock)
    start = threading.Barrier(8)
    granted: list[bool] = []

    def retry() -> None:
        start.wait(30)
        granted.extend([budget.withdraw("a") for _ in range(50)])

    threads = [threading.Thread(target=retry) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(granted) == 400
    assert sum(granted) == 100


@pytest.mark.parametrize("capacity", [1.0, 50.0])
def test_a_network_budget_is_the_same_bucket_with_other_numbers(
    clock: VirtualClock, capacity: float
) -> None:
    """N3: a long outage uses its budget up and is then refused at once."""
    budget = Budget(BudgetPolicy(capacity=capacity, per_second=0), clock)
    assert sum(budget.withdraw("a") for _ in range(200)) == capacity


def test_a_budget_works_after_a_fork(clock: VirtualClock) -> None:
    """D13: with its locks dropped, a child's budget goes on from the parent's level."""
    budget = Budget(BURST, clock)
    budget.withdraw("a")
    budget.reset_after_fork()
    assert budget.levels() == {"a": 2.0}
    assert budget.withdraw("a")
