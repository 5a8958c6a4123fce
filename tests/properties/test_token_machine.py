"""The token machine against a model, under any order of events and any behaviour of clocks."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from weatherglass.policy import TokenPolicy
from weatherglass.tokens.generations import (
    Fetch,
    Join,
    Lease,
    Moment,
    Refuse,
    TokenState,
    Use,
    ask,
    begin_anew,
    fail,
    issue,
    lease_seconds,
    quiet_until,
    reject,
    release,
)
from weatherglass.vocabulary import TokenReason

POLICY = TokenPolicy(advisory_window=60, mandatory_window=10, refresh_timeout=20, cooldown=5)

durations = st.one_of(
    st.sampled_from([0.0, 0.1, 1.0, 5.0, 10.0, 25.0, 60.0, 1000.0]),
    st.floats(0, 2000, allow_nan=False),
)
lifetimes = st.one_of(st.none(), st.sampled_from([1.0, 20.0, 60.0, 300.0]), st.floats(0.001, 1e6))
chances = st.floats(0, 1, exclude_max=True)


class TokenMachine(RuleBasedStateMachine):
    """One credential, many callers: some ask, some fetch, some are late, clocks jump."""

    def __init__(self) -> None:
        super().__init__()
        self.state = TokenState()
        self.now = Moment(50.0, 1e9)
        self.out: list[tuple[Lease, Moment]] = []
        # The model: what is true of the newest token and of the endpoint.
        self.born: Moment | None = None
        self.lives: float | None = None
        self.refused = False
        self.cooling_until = 0.0
        self.dead = False

    @rule(seconds=durations)
    def time_passes(self, seconds: float) -> None:
        self.now = Moment(self.now.monotonic + seconds, self.now.wall + seconds)

    @rule(seconds=st.floats(-5000, 5000))
    def wall_clock_is_set(self, seconds: float) -> None:
        self.now = Moment(self.now.monotonic, self.now.wall + seconds)

    def alive(self) -> bool:
        """Whether the newest token is not refused and has not expired on either clock."""
        if self.born is None or self.refused:
            return False
        age = max(self.now.monotonic - self.born.monotonic, self.now.wall - self.born.wall)
        return self.lives is None or age < self.lives

    def leased(self) -> bool:
        lease = self.state.lease
        return lease is not None and self.now.monotonic < lease.lapses_at

    @rule()
    def a_call_asks(self) -> None:
        before, was_leased = self.state, self.leased()
        self.state, verdict = ask(before, self.now, POLICY)
        if isinstance(verdict, Use):
            assert self.alive(), "T5: only a living token is sent"
        elif isinstance(verdict, Fetch):
            assert not was_leased, "T2: never two refreshes at once"
            assert not self.dead, "T7: nothing is fetched with refused credentials"
            assert self.now.monotonic >= self.cooling_until, "T6: none is begun in a cool-down"
            assert all(verdict.lease.number > lease.number for lease, _ in self.out)
            self.out.append((verdict.lease, self.now))
            assert (verdict.lease.reason is TokenReason.MISSING) == (self.born is None)
        elif isinstance(verdict, Join):
            assert was_leased
            assert verdict.lease == before.lease
        else:
            assert isinstance(verdict, Refuse)
            assert not self.alive(), "T6: a living token is never withheld"
            assert verdict.terminal == self.dead
            assert (verdict.retry_in is None) == self.dead
            assert verdict.retry_in is None or 0 < verdict.retry_in <= 3600
        if not isinstance(verdict, Fetch):
            assert self.state == before, "asking changes nothing but who fetches"

    @rule(behind=st.integers(-1, 3))
    def the_server_refuses(self, behind: int) -> None:
        generation = self.state.generation - behind
        before = self.state
        self.state = reject(before, generation)
        if behind == 0 and self.born is not None:
            self.refused = True
        else:
            assert self.state == before, "T3: another generation's 401 says nothing"

    def take(self, pick: float) -> tuple[Lease, Moment, bool]:
        """Any lease ever given out, current or not, and whether it counts."""
        lease, since = self.out[int(pick * len(self.out))]
        return lease, since, self.state.lease == lease

    @precondition(lambda self: self.out)
    @rule(pick=chances, seconds=lifetimes, random=chances)
    def a_fetch_succeeds(self, pick: float, seconds: float | None, random: float) -> None:
        lease, since, counts = self.take(pick)
        before = self.state
        self.state = issue(before, lease.number, seconds, since, policy=POLICY, random=random)
        if not counts:
            assert self.state == before, "T8: a late result changes nothing"
            return
        assert self.state.generation == before.generation + 1
        self.born, self.lives, self.refused = since, seconds, False
        self.cooling_until = 0.0

    @precondition(lambda self: self.out)
    @rule(pick=chances, terminal=st.booleans(), cooldown=st.floats(0, 3600))
    def a_fetch_fails(self, pick: float, *, terminal: bool, cooldown: float) -> None:
        lease, _, counts = self.take(pick)
        before = self.state
        self.state = fail(before, lease.number, self.now, terminal=terminal, cooldown=cooldown)
        assert self.state.generation == before.generation
        if not counts:
            assert self.state == before, "T8: a late failure changes nothing"
            return
        self.cooling_until = self.now.monotonic + cooldown
        self.dead = terminal

    @precondition(lambda self: self.out)
    @rule(pick=chances)
    def a_fetch_is_interrupted(self, pick: float) -> None:
        lease, _, counts = self.take(pick)
        before = self.state
        self.state = release(before, lease.number)
        assert counts or self.state == before

    @rule()
    def credentials_are_replaced(self) -> None:
        self.state = begin_anew(self.state)
        self.born, self.refused, self.dead, self.cooling_until = None, False, False, 0.0

    @invariant()
    def a_lease_ends(self) -> None:
        lease = self.state.lease
        if lease is not None:
            assert lease.lapses_at <= self.now.monotonic + lease_seconds(POLICY), "T8"
            assert not self.state.terminal

    @invariant()
    def quiet_means_quiet(self) -> None:
        until = quiet_until(self.state, self.now)
        if self.now.monotonic < until.monotonic and self.now.wall < until.wall:
            assert ask(self.state, self.now, POLICY) == (self.state, Use())

    @invariant()
    def nobody_is_stuck(self) -> None:
        """T8: whatever happened, once everything has lapsed a call gets on, or is told why not."""
        later = Moment(self.now.monotonic + 4000, self.now.wall + 4000)
        verdict = ask(self.state, later, POLICY)[1]
        assert isinstance(verdict, (Use, Fetch)) or verdict == Refuse(terminal=True, retry_in=None)


TestTokenMachine = TokenMachine.TestCase
TestTokenMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
