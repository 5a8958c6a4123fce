"""A token bucket per origin that bounds the extra load which retries put on it (rule R4).

The same bucket with another policy bounds network retries (rule N3). A withdrawal pays for one
retry; each success pays a part back, and so does time, so that low traffic is not starved. With
``p`` paid back per success, ``n`` calls in ``t`` seconds lead to at most
``capacity + p * n + per_second * t`` retries, whatever the number of threads.

The idea is that of the retry tokens in Finagle's ``RetryBudget`` and of the retry quota in the
AWS SDKs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from weatherglass.decide.store import MemoryStore, Store
from weatherglass.policy import BudgetPolicy
from weatherglass.runtime import Runtime

_ROUNDING = 1e-9
"""Ten deposits of a tenth must pay for one retry, whatever binary fractions say."""


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A bucket as it was at its last change."""

    level: float
    """Tokens."""
    updated_at: float
    """Seconds on the monotonic clock."""


def full(now: float, policy: BudgetPolicy) -> BudgetState:
    """A bucket from which nothing was withdrawn yet."""
    return BudgetState(policy.capacity, now)


def refilled(state: BudgetState, now: float, policy: BudgetPolicy) -> BudgetState:
    """The bucket with what time alone has paid back until ``now``."""
    # Threads read the clock before they get here in some order: time must not run back.
    elapsed = max(0.0, now - state.updated_at)
    return _at(state.level + elapsed * policy.per_second, state, now, policy)


def withdraw(
    state: BudgetState, cost: float, now: float, policy: BudgetPolicy
) -> tuple[BudgetState, bool]:
    """Take ``cost`` tokens if they are there; whether they were."""
    current = refilled(state, now, policy)
    if current.level + _ROUNDING < cost:
        return current, False
    return _at(current.level - cost, current, now, policy), True


def deposit(state: BudgetState, amount: float, now: float, policy: BudgetPolicy) -> BudgetState:
    """Pay ``amount`` tokens back, up to the capacity."""
    current = refilled(state, now, policy)
    return _at(current.level + amount, current, now, policy)


def _at(level: float, state: BudgetState, now: float, policy: BudgetPolicy) -> BudgetState:
    return BudgetState(min(policy.capacity, max(0.0, level)), max(now, state.updated_at))


class Budget:
    """The buckets of all origins, safe for threads.

    An origin is unknown, and its bucket full, until its first withdrawal.
    """

    def __init__(
        self, policy: BudgetPolicy, runtime: Runtime, store: Store[BudgetState] | None = None
    ) -> None:
        self._policy = policy
        self._capacity = policy.capacity
        self._monotonic = runtime.monotonic
        self._store: Store[BudgetState] = MemoryStore() if store is None else store
        self._read = self._store.read

    def withdraw(self, origin: str, cost: float = 1.0) -> bool:
        """Whether the origin's budget allows a retry; if so, it is paid for."""
        now, policy = self._monotonic(), self._policy

        def transition(state: BudgetState | None) -> tuple[BudgetState, bool]:
            return withdraw(full(now, policy) if state is None else state, cost, now, policy)

        return self._store.update(origin, transition)

    def deposit(self, origin: str) -> None:
        """Pay back for a success: next to free while nothing is owed."""
        state = self._read(origin)
        if state is None or state.level >= self._capacity:
            return
        self._pay(origin, self._policy.per_success)

    def refund(self, origin: str, cost: float = 1.0) -> None:
        """Pay back a withdrawal whose retry was not made after all."""
        self._pay(origin, cost)

    def levels(self) -> Mapping[str, float]:
        """The tokens of every origin that is known, now."""
        now = self._monotonic()
        return {
            origin: refilled(state, now, self._policy).level
            for origin, state in self._store.items()
        }

    def reset_after_fork(self) -> None:
        """Drop inherited locks (rule D13)."""
        self._store.reset_after_fork()

    def _pay(self, origin: str, amount: float) -> None:
        now, policy = self._monotonic(), self._policy

        def transition(state: BudgetState | None) -> tuple[BudgetState | None, None]:
            return None if state is None else deposit(state, amount, now, policy), None

        self._store.update(origin, transition)
