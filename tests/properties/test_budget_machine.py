"""The retry budget against a model of it, and under simulated outages."""

from __future__ import annotations

import heapq
import random
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from weatherglass.decide.backoff import full_jitter
from weatherglass.decide.budget import Budget
from weatherglass.policy import BudgetPolicy, RetryPolicy
from weatherglass.testing.clocks import VirtualClock

ORIGINS = st.sampled_from(["a", "b"])


class BudgetMachine(RuleBasedStateMachine):
    """Levels kept in exact fractions say what the real buckets must say."""

    policy = BudgetPolicy(capacity=4, per_success=0.25, per_second=0.5)

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.budget = Budget(self.policy, self.clock)
        self.levels: dict[str, Fraction] = {}

    def add(self, origin: str, amount: Fraction) -> None:
        if origin in self.levels:
            self.levels[origin] = min(Fraction(4), self.levels[origin] + amount)

    @rule(origin=ORIGINS, cost=st.sampled_from([1, 2]))
    def withdraw(self, origin: str, cost: int) -> None:
        level = self.levels.setdefault(origin, Fraction(4))
        assert self.budget.withdraw(origin, cost) == (level >= cost)
        if level >= cost:
            self.levels[origin] = level - cost

    @rule(origin=ORIGINS, times=st.integers(min_value=1, max_value=5))
    def succeed(self, origin: str, times: int) -> None:
        for _ in range(times):
            self.budget.deposit(origin)
            self.add(origin, Fraction(1, 4))

    @rule(origin=ORIGINS)
    def refund(self, origin: str) -> None:
        self.budget.refund(origin)
        self.add(origin, Fraction(1))

    @rule(eighths=st.integers(min_value=0, max_value=40))
    def let_time_pass(self, eighths: int) -> None:
        self.clock.advance(eighths / 8)
        for origin in self.levels:
            self.add(origin, Fraction(eighths, 16))

    @invariant()
    def levels_agree(self) -> None:
        """R4: every level is what withdrawals, successes and time have made it."""
        assert self.budget.levels() == self.levels


BudgetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBudgetMachine = BudgetMachine.TestCase


class Outage:
    """Calls that come in evenly, to an origin that fails a share of all attempts.

    The decisions are the real ones: full jitter, up to five retries, each paid for.
    """

    def __init__(self, *, calls: int, per_second: float, failing: float, seed: int) -> None:
        self.clock = VirtualClock(seed=seed)
        self.budget = Budget(BudgetPolicy(), self.clock)
        self.retry = RetryPolicy()
        self.load = 0
        self.refused = 0
        self._failing = failing
        self._chance = random.Random(seed)
        # (when, order of arrival, number of the attempt)
        self._due = [(n / per_second, n, 0) for n in range(calls)]

    def run(self) -> None:
        heapq.heapify(self._due)
        while self._due:
            at, call, attempt = heapq.heappop(self._due)
            self.clock.advance(max(0.0, at - self.clock.monotonic()))
            self.load += 1
            if self._chance.random() >= self._failing:
                self.budget.deposit("origin")
            elif attempt < self.retry.max_retries:
                self._try_again(call, attempt)

    def _try_again(self, call: int, attempt: int) -> None:
        if not self.budget.withdraw("origin"):
            self.refused += 1
            return
        delay = full_jitter(attempt, self.retry, self.clock.random())
        heapq.heappush(self._due, (self.clock.monotonic() + delay, call, attempt + 1))


@settings(max_examples=12, deadline=None)
@given(
    failing=st.floats(min_value=0, max_value=1),
    per_second=st.floats(min_value=20, max_value=2000),
    seed=st.integers(min_value=0, max_value=10**6),
)
def test_a_failing_origin_sees_little_more_than_the_calls(
    failing: float, per_second: float, seed: int
) -> None:
    """R4: at any failure rate the load stays below 1.2 times the calls, the floor being small."""
    outage = Outage(calls=3000, per_second=per_second, failing=failing, seed=seed)
    outage.run()
    assert 3000 <= outage.load < 1.2 * 3000


def test_the_simulated_outage_needs_a_bound() -> None:
    """R4: with every attempt failing, nearly all retries that are wanted are refused."""
    outage = Outage(calls=3000, per_second=100, failing=1.0, seed=1)
    outage.run()
    assert outage.refused > 2500


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(min_value=0, max_value=10**6))
def test_low_traffic_is_never_starved(seed: int) -> None:
    """R4: at one call a minute, a day-long outage leaves every call all of its retries."""
    outage = Outage(calls=24 * 60, per_second=1 / 60, failing=1.0, seed=seed)
    outage.run()
    assert outage.refused == 0
    assert outage.load == 24 * 60 * 6
