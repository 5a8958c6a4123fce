"""The life of one credential's token as a pure state machine (rules T2, T3, T5, T6 and T7).

States and moments go in, states and verdicts come out. There is no token in here, no lock and
no clock: the manager brings those, and a store shared by several processes could take its place.

A refresh is a **lease**: whoever holds it fetches, and its result counts only while it is held.
A fetch that hangs or whose thread died loses its lease after a while, so that another may try,
and whatever it still brings is ignored.

The age of a token is measured on both clocks and the greater counts. The wall clock can be set
back and the monotonic clock stands still while a machine sleeps; either alone would take a dead
token for a fresh one, and a refresh too many is the cheaper mistake.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from weatherglass.policy import TokenPolicy
from weatherglass.vocabulary import TokenReason

LEASE_MARGIN = 5.0
"""Seconds beyond the refresh timeout that a refresh is still believed to be alive."""

ADVISORY_SHARE = 0.2
"""The most of a token's life that the advisory window takes, so that short lives are used."""

MANDATORY_SHARE = 0.1
"""The most of a token's life that the mandatory window takes."""


class Moment(NamedTuple):
    """One instant on both clocks, in seconds."""

    monotonic: float
    wall: float


NEVER = Moment(-math.inf, -math.inf)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long the held token lives, and from which ages it should and must be replaced."""

    since: Moment
    seconds: float
    """Infinite for a token without a known lifetime."""
    advisory: float
    mandatory: float

    def age(self, now: Moment) -> float:
        """Seconds since the token was asked for, on the clock that went further."""
        return max(now.monotonic - self.since.monotonic, now.wall - self.since.wall)

    def moment(self, age: float) -> Moment:
        """When the token has this age."""
        return Moment(self.since.monotonic + age, self.since.wall + age)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to fetch the next token."""

    number: int
    reason: TokenReason
    lapses_at: float
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class TokenState:
    """All that is known about one credential's token, except the token."""

    generation: int = 0
    """The number of the newest token that was issued; 0 before the first."""
    lifetime: Lifetime | None = None
    """``None`` while no token is held."""
    rejected: bool = False
    """Whether the server refused the held token."""
    lease: Lease | None = None
    leases: int = 0
    """How many were given out so far: their numbers are never used again."""
    cooldown_until: float = -math.inf
    """Monotonic seconds until which no refresh is begun (rule T6)."""
    terminal: bool = False
    """Whether the credentials were refused (rule T7)."""

    def usable(self, now: Moment) -> bool:
        """Whether the held token may still be sent: alive as far as anybody knows."""
        lifetime = self.lifetime
        return lifetime is not None and not self.rejected and lifetime.age(now) < lifetime.seconds

    def need(self, now: Moment) -> TokenReason | None:
        """Why a new token is wanted; ``None`` while none is (rule T5)."""
        if self.lifetime is None:
            return TokenReason.MISSING
        if self.rejected:
            return TokenReason.UNAUTHORIZED
        age = self.lifetime.age(now)
        if age >= self.lifetime.mandatory:
            return TokenReason.MANDATORY
        return TokenReason.ADVISORY if age >= self.lifetime.advisory else None


@dataclass(frozen=True, slots=True)
class Use:
    """Go on with the held token."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Fetch a new one under this lease."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Join:
    """Wait for the fetch that holds this lease."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Refuse:
    """There is no token, and none is going to be fetched now."""

    terminal: bool
    retry_in: float | None
    """Seconds until a refresh may be begun; ``None`` when waiting does not help."""


Verdict = Use | Fetch | Join | Refuse


def ask(state: TokenState, now: Moment, policy: TokenPolicy) -> tuple[TokenState, Verdict]:
    """What a call that needs a token does.

    The first to find that a new token is wanted gets the lease. While it fetches, the others go
    on with the old token in the advisory window and wait in the mandatory one (rules T2, T5).
    In a cool-down, and after a terminal failure, a token is used for as long as it lives.
    """
    reason = state.need(now)
    if reason is None:
        return state, Use()
    lease = state.lease
    if lease is not None and now.monotonic < lease.lapses_at:
        return state, Use() if reason is TokenReason.ADVISORY else Join(lease)
    cooling = state.cooldown_until - now.monotonic
    if state.terminal or cooling > 0:
        if state.usable(now):
            return state, Use()
        return state, Refuse(state.terminal, None if state.terminal else cooling)
    lease = Lease(state.leases + 1, reason, now.monotonic + lease_seconds(policy))
    return replace(state, lease=lease, leases=lease.number), Fetch(lease)


def lease_seconds(policy: TokenPolicy) -> float:
    """How long a refresh is believed to be alive (rule T8)."""
    return policy.refresh_timeout + LEASE_MARGIN


def reject(state: TokenState, generation: int) -> TokenState:
    """The server refused a token; of an older generation that says nothing (rule T3)."""
    if generation != state.generation or state.lifetime is None:
        return state
    return replace(state, rejected=True)


def issue(
    state: TokenState,
    lease: int,
    seconds: float | None,
    since: Moment,
    *,
    policy: TokenPolicy,
    random: float,
) -> TokenState:
    """The fetch under this lease brought a token that lives for ``seconds`` from ``since`` on.

    ``since`` is when it was asked for: the server began to count no earlier. The advisory
    window is cut at random by up to a half, so that processes which started together do not
    refresh together. A result under another lease than the current one changes nothing.
    """
    if not holds(state, lease):
        return state
    return replace(
        state,
        generation=state.generation + 1,
        lifetime=_lifetime(math.inf if seconds is None else seconds, since, policy, random),
        rejected=False,
        lease=None,
        cooldown_until=-math.inf,
        terminal=False,
    )


def _lifetime(seconds: float, since: Moment, policy: TokenPolicy, random: float) -> Lifetime:
    if seconds == math.inf:
        return Lifetime(since, seconds, math.inf, math.inf)
    mandatory = min(policy.mandatory_window, MANDATORY_SHARE * seconds)
    advisory = min(policy.advisory_window, ADVISORY_SHARE * seconds)
    advisory = max(mandatory, advisory * (1 - random / 2))
    return Lifetime(since, seconds, seconds - advisory, seconds - mandatory)


def fail(
    state: TokenState, lease: int, now: Moment, *, terminal: bool, cooldown: float
) -> TokenState:
    """The fetch under this lease failed: no other is begun for ``cooldown`` seconds (T6, T7)."""
    if not holds(state, lease):
        return state
    return replace(state, lease=None, cooldown_until=now.monotonic + cooldown, terminal=terminal)


def release(state: TokenState, lease: int) -> TokenState:
    """The fetch was cut short by its own thread, which says nothing about the endpoint."""
    return replace(state, lease=None) if holds(state, lease) else state


def begin_anew(state: TokenState) -> TokenState:
    """New credentials: the old ones' token and failures are forgotten (rule T7).

    Generations and leases go on counting, so that what is late stays late.
    """
    return TokenState(generation=state.generation, leases=state.leases)


def count_on_from(state: TokenState, generation: int) -> TokenState:
    """Number the tokens from here on above another credential's, while none is held yet."""
    if state.lifetime is not None or state.generation >= generation:
        return state
    return replace(state, generation=generation)


def holds(state: TokenState, lease: int) -> bool:
    """Whether results under this lease still count."""
    return state.lease is not None and state.lease.number == lease


def quiet_until(state: TokenState, now: Moment) -> Moment:
    """Up to when, on both clocks, :func:`ask` would only say "use it": no need to ask.

    The hot path compares the clocks with this and takes no lock.
    """
    lifetime = state.lifetime
    if lifetime is None or not state.usable(now):
        return NEVER
    age, until = lifetime.advisory, math.inf
    if state.terminal:
        age = lifetime.seconds
    elif state.lease is not None:
        age, until = lifetime.mandatory, state.lease.lapses_at
    elif state.cooldown_until > now.monotonic:
        age, until = lifetime.seconds, state.cooldown_until
    moment = lifetime.moment(age)
    return Moment(min(moment.monotonic, until), moment.wall)
