"""Pacing against a server that counts: whatever the limit, and however slow its answers are."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from weatherglass.decide.limits import ROUNDING, Allowance, LimitState, learned, reading_of, used
from weatherglass.decide.pacing import Ticket, let_through, take
from weatherglass.policy import PacingPolicy
from weatherglass.testing import Limiting, RateLimit
from weatherglass.testing.limits import Level
from weatherglass.testing.limits import take as count

Step = Callable[[float], None]


@dataclass
class Simulation:
    """Threads under one limit, in a time in which only waits and the wire take any."""

    limit: RateLimit
    threads: int
    there: float
    """Seconds from the client to the server."""
    back: float
    rounded: Callable[[float], float]
    """How the server writes its reset down."""
    policy: PacingPolicy
    horizon: float
    state: LimitState = field(default_factory=LimitState)
    level: Level | None = None
    refused: int = 0
    allowed: list[float] = field(default_factory=list)
    waits: list[tuple[Ticket, float | None]] = field(default_factory=list)
    """Tickets, and the reset that was known when they were given."""
    finished: dict[int, list[float]] = field(default_factory=dict)
    """When each thread's attempts ended."""

    def run(self) -> Simulation:
        self._order = itertools.count()
        self._events: list[tuple[float, int, Step]] = []
        for thread in range(self.threads):
            self.finished[thread] = []
            self._at(0.0, self._asking(thread, None))
        while self._events:
            now, _, step = heapq.heappop(self._events)
            if now <= self.horizon:
                step(now)
        return self

    def _at(self, moment: float, step: Step) -> None:
        heapq.heappush(self._events, (moment, next(self._order), step))

    def _asking(self, thread: int, earlier: Ticket | None) -> Step:
        def ask(now: float) -> None:
            known = self.state.reading
            self.state, ticket = take(self.state, now, self.policy, earlier)
            if ticket.seconds > 0:
                self.waits.append((ticket, None if known is None else known.late))
                self._at(now + ticket.seconds, self._asking(thread, ticket))
            else:
                self._at(now + self.there, self._serving(thread, ticket, now))

        return ask

    def _serving(self, thread: int, ticket: Ticket, sent_at: float) -> Step:
        def serve(now: float) -> None:
            self.level, reading = count(self.limit, self.level, now)
            if reading.allowed:
                self.allowed.append(now)
            else:
                self.refused += 1
            left = self.limit.limit - reading.count
            said = (left, self.rounded(reading.reset_in))
            self._at(now + self.back, self._hearing(thread, ticket, sent_at, said))

        return serve

    def _hearing(
        self, thread: int, ticket: Ticket, sent_at: float, said: tuple[int, float]
    ) -> Step:
        def hear(now: float) -> None:
            allowance = Allowance(said[0], self.limit.limit, said[1], now - sent_at)
            assert ticket.place is not None
            reading = reading_of(self.state, allowance, now)
            self.state = learned(self.state, ticket.place, reading, self.policy.start)
            self.finished[thread].append(now)
            # Never at the very same moment, or a limit without latency would never end.
            self._at(now + 1e-3, self._asking(thread, None))

        return hear


ROUNDINGS: list[Callable[[float], float]] = [math.ceil, math.floor, round, float]


@st.composite
def simulations(draw: st.DrawFn) -> Simulation:
    limit = draw(st.integers(8, 200))
    window = draw(st.sampled_from([10.0, 30.0, 60.0, 120.0]))
    return Simulation(
        RateLimit(limit=limit, window=window, algorithm=draw(st.sampled_from(Limiting))),
        # Before the first answer nothing is known: no more can be held back than there are.
        threads=draw(st.integers(1, min(16, limit // 4))),
        there=draw(st.floats(0, 0.3)),
        back=draw(st.floats(0, 0.3)),
        rounded=draw(st.sampled_from(ROUNDINGS)),
        policy=PacingPolicy(enabled=True, start=draw(st.sampled_from([0.0, 0.25, 0.5, 0.75]))),
        horizon=4 * window,
    )


@settings(deadline=None, max_examples=20)
@given(simulations())
def test_alone_it_never_meets_the_limit(simulation: Simulation) -> None:
    """G4: whoever has a limit alone is never refused, in windows and buckets of any size."""
    assert simulation.run().refused == 0


@settings(deadline=None, max_examples=20)
@given(simulations())
def test_no_wait_is_longer_than_needed(simulation: Simulation) -> None:
    """G4: nobody waits beyond the reset and what it may be rounded by, nor beyond the bound."""
    for ticket, reset in simulation.run().waits:
        began = ticket.release_at - ticket.seconds
        assert reset is not None
        assert ticket.release_at <= max(reset, began) + ROUNDING + 1e-6 or (
            ticket.seconds <= simulation.policy.max_wait + 1e-6
        )


@settings(deadline=None, max_examples=20)
@given(simulations())
def test_no_thread_starves(simulation: Simulation) -> None:
    """G4: every thread gets on in every window, though the fastest gets more at full speed."""
    simulation.run()
    slow = simulation.there + simulation.back
    for ended in simulation.finished.values():
        moments = [0.0, *ended, simulation.horizon]
        gaps = [after - before for before, after in itertools.pairwise(moments)]
        assert max(gaps) <= simulation.limit.window + 2 * ROUNDING + slow


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["take", "settle", "fail", "pass"]),
            st.floats(0, 100),
            st.integers(0, 500),
            st.one_of(st.none(), st.integers(-5, 400)),
            st.floats(0, 1e7),
        ),
        max_size=60,
    )
)
def test_no_answers_break_it(events: list[tuple[str, float, int, int | None, float]]) -> None:
    """G4: whatever servers say, tickets are finite, and every attempt is counted once."""
    state, policy, now = LimitState(), PacingPolicy(enabled=True), 0.0
    under_way: list[Ticket] = []
    for event, passed, remaining, allowed, reset_in in events:
        now += passed
        if event in ("take", "pass"):
            state, ticket = take(state, now, policy) if event == "take" else let_through(state, now)
            assert 0 <= ticket.seconds < math.inf
            if ticket.seconds == 0:
                under_way.append(ticket)
        elif under_way:
            place = under_way.pop(0).place
            assert place is not None
            said = Allowance(remaining, allowed, reset_in, 0.1)
            reading = reading_of(state, said, now) if event == "settle" else None
            state = learned(state, place, reading, policy.start)
        assert state.in_flight == len(under_way)
        assert used(state, now) >= len(under_way)
