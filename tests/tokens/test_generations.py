"""The pure machine of token generations, rule by rule."""

from __future__ import annotations

import math

import pytest

from weatherglass.policy import TokenPolicy
from weatherglass.tokens.generations import (
    Fetch,
    Join,
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

POLICY = TokenPolicy(advisory_window=300, mandatory_window=30, refresh_timeout=30, cooldown=5)


def at(seconds: float, *, wall: float = 0.0) -> Moment:
    """So many seconds after the start, with the wall clock so far off from where it was."""
    return Moment(100.0 + seconds, 1e9 + seconds + wall)


def leased(state: TokenState, now: Moment) -> TokenState:
    state, verdict = ask(state, now, POLICY)
    assert isinstance(verdict, Fetch)
    return state


def holding(seconds: float | None = 3600, *, random: float = 0.0) -> TokenState:
    """Generation 1, issued at the start."""
    state = leased(TokenState(), at(0))
    return issue(state, 1, seconds, at(0), policy=POLICY, random=random)


def verdict(state: TokenState, now: Moment) -> object:
    return ask(state, now, POLICY)[1]


def reason(state: TokenState, now: Moment) -> TokenReason:
    found = verdict(state, now)
    assert isinstance(found, Fetch)
    return found.lease.reason


def test_first_call_fetches_and_the_others_join() -> None:
    """T2: without a token the first gets the lease, and everybody else waits for it."""
    state = leased(TokenState(), at(0))
    assert state.lease is not None
    assert state.lease.reason is TokenReason.MISSING
    assert verdict(state, at(1)) == Join(state.lease)


@pytest.mark.parametrize(
    ("seconds", "random", "advisory_at", "mandatory_at"),
    [
        (3600, 0.0, 3300, 3570),
        (3600, 0.999999, 3450, 3570),
        (60, 0.0, 48, 54),
        (60, 0.999999, 54, 54),
        (1, 0.0, 0.8, 0.9),
        (172800, 0.5, 172575, 172770),
    ],
)
def test_windows(seconds: float, random: float, advisory_at: float, mandatory_at: float) -> None:
    """T5: windows are cut to a share of short lives, and the advisory one is jittered."""
    state = holding(seconds, random=random)
    assert state.lifetime is not None
    assert state.lifetime.advisory == pytest.approx(advisory_at, abs=0.01)
    assert state.lifetime.mandatory == pytest.approx(mandatory_at, abs=0.01)


def test_advisory_window_refreshes_once_and_lets_the_others_go_on() -> None:
    """T5: in the advisory window one fetches while the rest use the old token."""
    state = holding()
    assert verdict(state, at(3299)) == Use()
    assert reason(state, at(3300)) is TokenReason.ADVISORY
    assert verdict(leased(state, at(3300)), at(3301)) == Use()


def test_mandatory_window_makes_all_wait() -> None:
    """T5: in the mandatory window everybody waits for the fetch, also one begun earlier."""
    state = holding()
    assert reason(state, at(3570)) is TokenReason.MANDATORY
    assert isinstance(verdict(leased(state, at(3570)), at(3570)), Join)
    assert isinstance(verdict(leased(state, at(3560)), at(3570)), Join)


def test_token_without_lifetime_is_refreshed_when_refused_only() -> None:
    """T5: no lifetime, no window."""
    state = holding(None)
    assert verdict(state, at(1e12)) == Use()
    assert quiet_until(state, at(0)) == Moment(math.inf, math.inf)
    assert reason(reject(state, 1), at(1)) is TokenReason.UNAUTHORIZED


def test_refusal_of_an_older_generation_refreshes_nothing() -> None:
    """T3: only the current generation can be refused; an older or unknown one cannot."""
    state = issue(leased(reject(holding(), 1), at(10)), 2, 3600, at(10), policy=POLICY, random=0)
    assert state.generation == 2
    assert reject(state, 1) == state
    assert reject(state, 3) == state
    assert reject(TokenState(), 0) == TokenState()
    assert reason(reject(state, 2), at(11)) is TokenReason.UNAUTHORIZED


def test_refusal_during_a_refresh_joins_it() -> None:
    """T2: a 401 while the next token is under way already begins no second refresh."""
    state = reject(leased(holding(), at(3300)), 1)
    assert isinstance(verdict(state, at(3301)), Join)


def test_failure_cools_down_and_then_one_tries_again() -> None:
    """T6: after a failed refresh calls are refused, told when to come back, until then."""
    state = fail(leased(TokenState(), at(0)), 1, at(2), terminal=False, cooldown=5)
    assert verdict(state, at(4)) == Refuse(terminal=False, retry_in=3.0)
    assert isinstance(verdict(state, at(7)), Fetch)


@pytest.mark.parametrize("age", [3300, 3580])
def test_failed_refresh_does_not_cost_a_living_token(age: float) -> None:
    """T5, T6: until it expires, the old token is used when its replacement cannot be had."""
    state = fail(leased(holding(), at(age)), 2, at(age), terminal=False, cooldown=600)
    assert verdict(state, at(3599)) == Use()
    assert isinstance(verdict(state, at(3600)), Refuse)


def test_terminal_failure_lasts_until_new_credentials() -> None:
    """T7: nothing is fetched again; a living token is used to its end."""
    state = fail(leased(holding(), at(3300)), 2, at(3301), terminal=True, cooldown=5)
    assert verdict(state, at(3590)) == Use()
    assert verdict(state, at(3600)) == Refuse(terminal=True, retry_in=None)
    assert verdict(state, at(1e9)) == Refuse(terminal=True, retry_in=None)
    renewed = begin_anew(state)
    assert reason(renewed, at(1e9)) is TokenReason.MISSING


def test_new_credentials_do_not_reuse_numbers() -> None:
    """T3, T7: generations and leases go on counting, so that late results stay late."""
    state = begin_anew(leased(holding(), at(3300)))
    assert issue(state, 2, 3600, at(3301), policy=POLICY, random=0) == state
    state = leased(state, at(3301))
    assert state.lease is not None
    assert state.lease.number == 3
    assert issue(state, 3, 3600, at(3301), policy=POLICY, random=0).generation == 2


def test_lease_lapses() -> None:
    """T8: a fetch past its timeout and a margin is taken over, and its result is ignored."""
    state = leased(TokenState(), at(0))
    lapse = lease_seconds(POLICY)
    assert isinstance(verdict(state, at(lapse - 0.1)), Join)
    taken_over = leased(state, at(lapse))
    assert issue(taken_over, 1, 3600, at(0), policy=POLICY, random=0) == taken_over
    assert fail(taken_over, 1, at(lapse), terminal=True, cooldown=5) == taken_over
    assert release(taken_over, 1) == taken_over
    assert issue(taken_over, 2, 3600, at(lapse), policy=POLICY, random=0).generation == 1


def test_released_lease_is_free_at_once() -> None:
    """T2: an interrupted fetch leaves no cool-down behind."""
    state = release(leased(TokenState(), at(0)), 1)
    assert reason(state, at(0)) is TokenReason.MISSING


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (at(3600), False),
        (at(0, wall=3600), False),
        (at(3600, wall=-3600), False),
        (at(1000, wall=-5000), True),
    ],
)
def test_the_clock_that_went_further_decides(now: Moment, *, expected: bool) -> None:
    """T5: neither a wall clock set back nor a clock that slept makes a dead token fresh."""
    assert holding().usable(now) is expected


@pytest.mark.parametrize(
    ("state", "now", "until"),
    [
        (TokenState(), at(0), -math.inf),
        (holding(), at(0), 3300),
        (reject(holding(), 1), at(0), -math.inf),
        (leased(holding(), at(3300)), at(3301), 3335),
        (leased(holding(), at(3560)), at(3561), 3570),
        (
            fail(leased(holding(), at(3300)), 2, at(3300), terminal=False, cooldown=5),
            at(3301),
            3305,
        ),
        (
            fail(leased(holding(), at(3598)), 2, at(3598), terminal=False, cooldown=5),
            at(3599),
            3600,
        ),
        (fail(leased(holding(), at(3300)), 2, at(3300), terminal=True, cooldown=5), at(3301), 3600),
        (holding(), at(3600), -math.inf),
    ],
)
def test_quiet_time(state: TokenState, now: Moment, until: float) -> None:
    """T5: the hot path need not ask before the next moment at which the answer can change."""
    assert quiet_until(state, now).monotonic == pytest.approx(100 + until)
