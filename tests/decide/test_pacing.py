"""Pacing: who may go, who waits, and until when."""

from __future__ import annotations

import math

import pytest

from weatherglass.decide.limits import Allowance, LimitState, is_idle, learned, reading_of, used
from weatherglass.decide.pacing import Paces, Ticket, let_through, take
from weatherglass.policy import PacingPolicy
from weatherglass.testing import VirtualClock

POLICY = PacingPolicy(enabled=True)
FREE = PacingPolicy(enabled=True, start=0.0)
KEY = "https://api.example.com:443|me"


def told(
    state: LimitState, now: float, count: int, reset_in: float, allowed: int | None = 300
) -> LimitState:
    """The state after one more attempt, whose answer says that ``count`` requests are used."""
    state, ticket = let_through(state, now)
    assert ticket.place is not None
    limit = 300 if allowed is None else allowed
    said = Allowance(limit - count, allowed, reset_in, 0.0)
    return learned(state, ticket.place, reading_of(state, said, now), POLICY.start)


def windowed(now: float, count: int, reset_in: float) -> LimitState:
    """A limit that is known to be a fixed window."""
    state = told(LimitState(), now, max(1, count - 100), reset_in)
    state = told(state, now, count, reset_in)
    assert state.moving is False
    return state


def bucket(now: float, count: int) -> LimitState:
    """A limit that is known to restore five requests a second."""
    state = told(LimitState(), now - 0.1, count - 100, (count - 100) / 5)
    state = told(state, now, count, count / 5)
    assert state.moving is True
    return state


def test_what_is_not_known_holds_nobody() -> None:
    """G4: before a server has told of a limit there is none."""
    state = LimitState()
    for number in range(500):
        state, ticket = take(state, 0.0, POLICY)
        assert ticket.seconds == 0
        assert ticket.place is not None
        assert (ticket.place.sequence, ticket.place.settled) == (number + 1, 0)


def test_up_to_the_start_nobody_waits() -> None:
    """G4: a share of the limit is used at full speed, and what is under way counts."""
    state, free = windowed(0.0, 101, 60), 0
    while True:
        state, ticket = take(state, 1.0, POLICY)
        if state.next_at > 0:
            break
        free += 1
    assert free == 150 - 101
    assert ticket.seconds == 0


def test_what_is_left_is_spread_over_the_time() -> None:
    """G4: 100 requests and 50 seconds make one every half second, each caller in its place."""
    state = windowed(10.0, 200, 50)
    places = []
    for _ in range(5):
        state, ticket = take(state, 10.0, POLICY)
        places.append(ticket.release_at - 10.0)
    # The first goes at once and counts, so that the steps grow a little.
    assert places == pytest.approx([0, 0.5, 1.005, 1.51, 2.015], abs=0.02)


def test_a_place_in_the_queue_is_kept() -> None:
    """G4: who comes back in time goes, though others wait before those who came later."""
    state = windowed(0.0, 200, 50)
    state, _ = take(state, 0.0, POLICY)
    state, mine = take(state, 0.0, POLICY)
    state, later = take(state, 0.0, POLICY)
    assert mine.release_at < later.release_at
    state, again = take(state, mine.release_at, POLICY, mine)
    assert again.seconds == 0


def test_an_empty_window_is_waited_out() -> None:
    """G4: nothing left of a fixed window is a wait for its reset, and a second for rounding."""
    state, ticket = take(windowed(0.0, 300, 20), 0.0, POLICY)
    assert (ticket.seconds, ticket.exhausted) == (21.0, True)
    state, ticket = take(state, 21.0, POLICY, ticket)
    assert ticket.seconds == 0
    assert used(state, 21.0) == 1


def test_an_empty_bucket_is_not_waited_out() -> None:
    """G4: in a bucket others would take all meanwhile; we wait for part of what is restored."""
    _, ticket = take(bucket(100.0, 300), 100.0, POLICY)
    assert 0 < ticket.seconds < 1
    assert ticket.exhausted


def test_others_may_have_used_it_up_meanwhile() -> None:
    """G4: who wakes asks again, and an answer that came since then decides."""
    state = windowed(0.0, 200, 50)
    state, _ = take(state, 0.0, POLICY)
    state, mine = take(state, 0.0, POLICY)
    state = told(state, 0.3, 300, 50)
    state, again = take(state, mine.release_at, POLICY, mine)
    assert again.exhausted
    assert again.release_at == pytest.approx(51.3)


def test_what_was_not_made_is_not_counted_for_ever() -> None:
    """G4: an attempt that was let through and not made is over at once."""
    state = windowed(0.0, 110, 60)
    before = used(state, 0.0)
    state, ticket = let_through(state, 0.0)
    assert ticket.place is not None
    assert used(state, 0.0) == before + 1
    state = learned(state, ticket.place, None, POLICY.start)
    state = told(state, 1.0, 111, 59)
    assert used(state, 1.0) == 111


def test_the_later_attempt_is_believed() -> None:
    """G4: an answer that was overtaken on its way says nothing new."""
    state, first = let_through(LimitState(), 0.0)
    state, second = let_through(state, 0.0)
    assert first.place is not None
    assert second.place is not None
    for ticket, count in ((second, 2), (first, 1)):
        reading = reading_of(state, Allowance(300 - count, 300, 60, 0.0), 0.1)
        state = learned(state, ticket.place, reading, POLICY.start)  # type: ignore[arg-type] # seen above
    assert state.sequence == 2
    # It may be that the server counted the first only after the second.
    assert used(state, 0.1) == 3


def test_the_impatient_take_no_place() -> None:
    """G4, D9: who would wait for too long, and gives up, does not push the others back."""
    state, _ = take(windowed(0.0, 200, 50), 0.0, POLICY)
    after, ticket = take(state, 0.0, POLICY, patience=0.1)
    assert ticket.seconds >= 0.1
    assert after == state


def test_no_wait_is_longer_than_allowed_while_something_is_left() -> None:
    """G4: a limit of a day does not hold a call for hours, as long as it has requests left."""
    state = windowed(0.0, 290, 80_000)
    for _ in range(20):
        state, ticket = take(state, 0.0, POLICY)
        assert ticket.seconds <= POLICY.max_wait


def test_a_limit_without_a_number() -> None:
    """G4: where only what is left is said, the most that was ever left is taken for the limit."""
    state = told(LimitState(), 0.0, 1, 60, allowed=None)
    assert state.reading is not None
    assert (state.reading.allowed, state.reading.used) == (300, 1)
    state = told(state, 1.0, 100, 59, allowed=None)
    assert state.reading is not None
    assert (state.reading.allowed, used(state, 1.0)) == (300, 100)


def test_a_limit_of_nothing_says_nothing() -> None:
    """G4: a limit of no requests would stop everything for ever; it is not believed."""
    assert reading_of(LimitState(), Allowance(0, 0, 60, 0), 0.0) is None


def test_more_left_than_allowed_is_nothing_used() -> None:
    """G4: a server that leaves more than its limit gives no credit for it."""
    reading = reading_of(LimitState(), Allowance(400, 300, 60, 0), 0.0)
    assert reading is not None
    assert reading.used == 0


def test_what_is_under_way_at_a_reset_counts_in_the_new_window() -> None:
    """G4: the server may count it on either side, and its answer may never come."""
    state, places = windowed(0.0, 200, 20), []
    for _ in range(5):
        state, ticket = let_through(state, 19.0)
        places.append(ticket.place)
    state, _ = take(state, 21.0, POLICY)
    for place in places:
        assert place is not None
        state = learned(state, place, None, POLICY.start)
    assert used(state, 21.0) == 6


def test_a_new_window_is_taken_to_be_as_long_as_the_last() -> None:
    """G4: until its first answer says more, its requests are spread over a whole window."""
    state = windowed(0.0, 200, 60)
    state, _ = take(state, 70.0, FREE)
    state, ticket = take(state, 70.0, FREE)
    assert ticket.seconds == pytest.approx(60 / 300, rel=0.01)


def test_no_place_in_a_queue_is_beyond_the_reset() -> None:
    """G4: who would have to wait for longer waits for the reset, after which all begins anew."""
    state = windowed(0.0, 298, 50)
    for _ in range(4):
        state, ticket = take(state, 0.0, POLICY)
    assert (ticket.seconds, ticket.queued) == (51.0, False)


def test_a_limit_is_forgotten_when_nothing_is_known_or_under_way() -> None:
    """G4: what is kept makes room when its reset has passed, but not while answers are due."""
    state = windowed(0.0, 200, 60)
    assert [is_idle(state, now) for now in (60.0, 61.0)] == [False, True]
    state, ticket = let_through(state, 0.0)
    assert ticket.place is not None
    assert not is_idle(state, 61.0)
    assert is_idle(learned(state, ticket.place, None, POLICY.start), 61.0)


def test_a_reset_in_the_far_future_is_not_believed() -> None:
    """G4: one absurd answer does not shut a session up for years."""
    assert reading_of(LimitState(), Allowance(0, 300, 86_400, 0), 0.0) is not None
    assert reading_of(LimitState(), Allowance(0, 300, 86_401, 0), 0.0) is None


@pytest.mark.parametrize("kind", ["bucket", "window"])
def test_a_later_reset_is_a_later_answer_in_a_bucket(kind: str) -> None:
    """G4: requests overtake each other; what a bucket counted last is not restored first."""
    state = bucket(0.0, 200) if kind == "bucket" else windowed(0.0, 200, 40)
    state, first = let_through(state, 0.0)
    state, second = let_through(state, 0.0)
    # The server had the second one first, and the other one ten requests of others later.
    for ticket, count, reset in ((second, 201, 40.2), (first, 212, 42.4)):
        assert ticket.place is not None
        reading = reading_of(state, Allowance(300 - count, 300, reset, 0.0), 0.1)
        state = learned(state, ticket.place, reading, POLICY.start)
    assert state.reading is not None
    assert state.sequence == second.place.sequence  # type: ignore[union-attr] # seen above
    # The reset of a window stands still, so there it is no sign of anything.
    assert state.reading.used == (212 if kind == "bucket" else 201)


def test_the_rest_of_a_window_is_shared() -> None:
    """G4: others who were seen to use the limit are left what they will go on to use."""
    alone = shared = windowed(0.0, 140, 60)
    for second in range(1, 11):
        alone = told(alone, float(second), 140 + second, 60 - second)
        shared = told(shared, float(second), 140 + 3 * second, 60 - second)
    steps = []
    for state in (alone, shared):
        after, _ = take(state, 10.0, POLICY)
        steps.append(after.next_at - 10.0)
    # 149 left in 50 seconds, or 129 of which others will take two a second.
    assert steps == pytest.approx([50 / 149, 50 / 29], rel=0.05)
    later, _ = take(shared, 20.0, POLICY)
    # Nobody has said so, but in these ten seconds others will have taken twenty more.
    assert later.next_at - 20.0 == pytest.approx(40 / 29, rel=0.05)


class TestPaces:
    """The shell around it."""

    def test_credentials_do_not_hold_each_other(self) -> None:
        """G4: every key has a limit of its own."""
        paces = Paces(FREE, VirtualClock())
        for _ in range(2):
            paces.settle(KEY, paces.take(KEY), Allowance(0, 300, 30, 0))
        assert paces.take(KEY).seconds > 0
        assert paces.take("https://api.example.com:443|you").seconds == 0

    def test_a_reset_forgets(self) -> None:
        """G4: when the reset has passed, what was used before does not count."""
        clock = VirtualClock()
        paces = Paces(POLICY, clock)
        paces.settle(KEY, paces.take(KEY), Allowance(0, 300, 30, 0))
        clock.advance(31)
        ticket = paces.take(KEY)
        assert ticket.seconds == 0
        assert used(paces.states()[KEY], clock.monotonic()) == 1

    def test_tickets_that_wait_are_not_settled(self) -> None:
        """G4: only attempts that were let through are counted as over."""
        paces = Paces(POLICY, VirtualClock())
        paces.settle(KEY, Ticket(1.0, math.inf))
        assert paces.states() == {}

    def test_it_works_after_a_fork(self) -> None:
        """D13: with its locks dropped, a child still knows of the limit, and learns of more."""
        paces = Paces(FREE, VirtualClock())
        for _ in range(2):
            paces.settle(KEY, paces.take(KEY), Allowance(0, 300, 30, 0))
        paces.reset_after_fork()
        assert paces.take(KEY).exhausted
        paces.settle(KEY, paces.pass_by(KEY), Allowance(299, 300, 30, 0))
        assert not paces.take(KEY).exhausted

    def test_it_is_bounded(self) -> None:
        """S1: what is idle makes room for what is new."""
        paces = Paces(POLICY, VirtualClock())
        for number in range(2000):
            key = f"origin|{number}"
            paces.settle(key, paces.take(key))
        assert len(paces.states()) == 1000
