"""Schedules of feeds over any course of good and bad readings."""

from __future__ import annotations

import math

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from weatherglass.feeds.schedule import FIRST_RETRY, JITTER, Schedule, failed, succeeded, tried

TTL = 60.0
RANDOMS = st.floats(min_value=0, max_value=1, exclude_max=True)
ENDS = st.floats(min_value=0.001, max_value=1000) | st.just(math.inf)


class ScheduleMachine(RuleBasedStateMachine):
    """M2: never read again at once, never forgotten, and the age is that of what is known."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.schedule = Schedule()
        self.changed_at = -math.inf
        self.since: float | None = None

    @rule(seconds=st.floats(min_value=0, max_value=200))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @rule(random=RANDOMS, ends_in=ENDS)
    def read_well(self, random: float, ends_in: float) -> None:
        self.schedule = tried(self.schedule, self.now)
        self.schedule = succeeded(self.schedule, self.now, TTL, ends_in=ends_in, random=random)
        self.changed_at = self.since = self.now
        assert self.schedule.failures == 0

    @rule(random=RANDOMS)
    def fail(self, random: float) -> None:
        before = self.schedule.failures
        self.schedule = failed(tried(self.schedule, self.now), self.now, TTL, random=random)
        self.changed_at = self.now
        self.since = self.now if self.since is None else self.since
        assert self.schedule.failures == before + 1
        grown = min(TTL, FIRST_RETRY * 2**before)
        assert grown / 2 <= self.schedule.due_at - self.now + 1e-9
        assert self.schedule.due_at - self.now <= grown + 1e-9

    @invariant()
    def due_in_time_and_not_at_once(self) -> None:
        if self.changed_at == -math.inf:
            assert self.schedule.due(self.now)
            return
        wait = self.schedule.due_at - self.changed_at
        assert FIRST_RETRY / 2 - 1e-9 <= wait <= TTL * (1 + JITTER) + 1e-9

    @invariant()
    def age_is_that_of_what_is_known(self) -> None:
        age = self.schedule.age(self.now)
        assert age == (None if self.since is None else self.now - self.since)


TestScheduleMachine = ScheduleMachine.TestCase
