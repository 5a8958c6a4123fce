"""The token of one source, kept fresh for all threads (rules T2 to T8).

What is to be done is decided by the pure machine in :mod:`weatherglass.tokens.generations`;
this is the shell that holds the token, does the fetching in the thread of whichever call got
the lease, and lets the others wait. Sending the refused request again (rule T4) is not done
here. No lock is held while anything is fetched, waited for or told (rule D13).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

from weatherglass.policy import TokenPolicy
from weatherglass.runtime import SYSTEM, Runtime, Wakeable
from weatherglass.tokens import generations
from weatherglass.tokens.endpoint import IssuedToken, Transport
from weatherglass.tokens.errors import TokenEndpointError, TokenUnavailable, Unavailability
from weatherglass.tokens.flight import Flight, Limit, Token
from weatherglass.tokens.generations import Fetch, Moment, Refuse
from weatherglass.tokens.holding import Holding, holding_of
from weatherglass.tokens.observer import Observer, RefreshReport, SilentObserver, Waiter
from weatherglass.tokens.secret import refuse_to_pickle
from weatherglass.tokens.sources import TokenSource
from weatherglass.vocabulary import TokenReason

_ADVISORY_SHARE = 0.5
"""The share of its limit that a call spends on a refresh that it could do without."""

_CUT_SHORT = 0.9
"""The share of a shortened timeout after which a failure is put down to the shortening."""


class TokenManager:
    """One source's token: obtained, refreshed by a single flight, and replaced when refused.

    ``transport`` sends a :class:`~weatherglass.tokens.TokenRequest`. ``bound_to`` says for an
    origin's name whether the token may go there; it is asked when the source names no origins
    of its own (rule T11), and without either the token goes nowhere.
    """

    def __init__(
        self,
        source: TokenSource,
        policy: TokenPolicy,
        *,
        transport: Transport,
        observer: Observer | None = None,
        runtime: Runtime = SYSTEM,
        bound_to: Callable[[str], bool] | None = None,
    ) -> None:
        # Replaced together: a token must not be held for another source than it came from.
        self._using: tuple[TokenSource, Holding] = (source, holding_of(source, runtime))
        self._origins = source.origins
        self._bound_to = bound_to
        self._policy = policy
        self._transport = transport
        self._observer: Observer = SilentObserver() if observer is None else observer
        self._runtime = runtime
        self._monotonic = runtime.monotonic
        self._wall = runtime.time

    @property
    def name(self) -> str:
        """The credential's name."""
        return self._using[0].name

    @property
    def current(self) -> Token | None:
        """The token held, whatever its state; ``None`` before the first. Nothing is fetched."""
        return self._using[1].held[1]

    def ttl(self) -> float | None:
        """Seconds that the held token has left; ``None`` without a token or a known lifetime."""
        _, holding = self._using
        lifetime = holding.held[0].lifetime
        if lifetime is None or lifetime.seconds == math.inf:
            return None
        return max(0.0, lifetime.seconds - lifetime.age(holding.now()))

    def serves(self, origin: str) -> bool:
        """Whether an origin, by its name, may receive the token (rule T11)."""
        if self._origins is not None:
            return origin in self._origins
        return self._bound_to is not None and self._bound_to(origin)

    def obtain(
        self,
        wait_limit: float | None = None,
        wake: Wakeable | None = None,
        waiter: Waiter | None = None,
    ) -> Token:
        """A token to send: the held one, or a new one when that is missing or too old (T5).

        At most ``wait_limit`` seconds are spent on it. ``wake``, together with a later
        :meth:`interrupt`, ends a wait. ``waiter`` is told of a wait in place of the observer.

        Raises:
            TokenUnavailable: when there is none.
        """
        token, until, wall_until = self._using[1].fresh
        if self._monotonic() < until and self._wall() < wall_until:
            return token
        return self._secure(None, wait_limit, wake, waiter)

    def rejected(
        self,
        generation: int,
        wait_limit: float | None = None,
        wake: Wakeable | None = None,
        waiter: Waiter | None = None,
    ) -> Token:
        """A token to send in place of the one of this generation, which the server refused.

        If that is still the current one, one refresh is made for all who say so (rule T2); if
        there is a newer one already, that is returned and nothing is refreshed (rule T3).

        Raises:
            TokenUnavailable: when there is none.
        """
        return self._secure(generation, wait_limit, wake, waiter)

    def discard(self, generation: int) -> None:
        """Note that the server refused a token, for a call that cannot use another.

        Nothing is fetched: the next call that asks does so.
        """
        self._using[1].reject(generation)

    def replace_credentials(self, source: TokenSource) -> None:
        """Begin anew with another source, also after a terminal failure (rule T7).

        A source without origins of its own takes over those that the old one was bound to.
        Other managers of the old source keep to it. The same source may be given again, when
        what it asks for its secrets has new ones: then all its managers begin anew.
        """
        used, old = self._using
        if source is used:
            old.begin_anew()
            return
        holding = holding_of(source, self._runtime)
        holding.count_on_from(old.held[0].generation)
        self._origins = self._origins if source.origins is None else source.origins
        self._using = (source, holding)
        old.interrupt()

    def interrupt(self) -> None:
        """Wake whoever waits for a refresh, to look at its ``wake``: set that first (rule D14)."""
        self._using[1].interrupt()

    def reset_after_fork(self) -> None:
        """In a child: drop the lock and the refresh of threads that do not exist (rule D13)."""
        self._using[1].reset_after_fork()

    def __reduce__(self) -> tuple[Any, ...]:
        raise refuse_to_pickle(self)

    def _secure(
        self,
        rejected: int | None,
        wait_limit: float | None,
        wake: Wakeable | None,
        waiter: Waiter | None,
    ) -> Token:
        patience = generations.lease_seconds(self._policy)
        limit = Limit(self._runtime, wait_limit, patience)
        while True:
            source, holding = self._using
            verdict, held, flight, ended = holding.ask(rejected, source, self._policy)
            if isinstance(verdict, Refuse):
                raise self._refused(holding, verdict) from holding.error
            if flight is None or ended is None:
                # The machine says "use it" only while there is something to use.
                assert held is not None  # noqa: S101 - states an invariant
                return held
            if isinstance(verdict, Fetch):
                token = self._lead(holding, flight, limit, wake)
            else:
                token = self._follow(
                    flight, ended, limit, wake, self._observer if waiter is None else waiter
                )
            if token is not None:
                return token

    def _lead(
        self, holding: Holding, flight: Flight, limit: Limit, wake: Wakeable | None
    ) -> Token | None:
        """Fetch for everybody; ``None`` when the result came too late to count."""
        try:
            left = limit.left()
            _demand(left, wake)
            reason = flight.lease.reason
            flight.handle = self._observer.refresh_started(flight.source.name, reason)
            flight.announced.set()
            token = self._refresh(holding, flight, left, wake)
            # Who has been given other credentials meanwhile asks for a token of those.
            return token if self._using[1] is holding else None
        finally:
            # Whatever interrupted this thread, the next one to ask takes over at once.
            flight.announced.set()
            holding.let_go(flight)

    def _refresh(
        self, holding: Holding, flight: Flight, left: float, wake: Wakeable | None
    ) -> Token | None:
        dispensable = flight.lease.reason is TokenReason.ADVISORY
        full = self._policy.refresh_timeout
        timeout = min(full, left * _ADVISORY_SHARE if dispensable else left)
        began = holding.now()
        try:
            fetched = flight.fetch(self._transport, timeout, self._observer.callback_error)
        except BaseException as interruption:
            self._tell(flight, began, None, interruption)
            raise
        if isinstance(fetched, IssuedToken):
            token = holding.accept(flight, fetched, began, self._policy, self._runtime.random())
            self._tell(flight, began, token, None, fetched.expires_in)
            return token
        took = self._monotonic() - began.monotonic
        # That one call was in a hurry, or its session was closed while it waited for another
        # try, says nothing about the endpoint, so nobody else suffers.
        hurried = timeout < full and not dispensable and took >= timeout * _CUT_SHORT
        closed = wake is not None and wake.is_set()
        if (hurried or closed) and not fetched.terminal:
            holding.let_go(flight)
        else:
            holding.fail(flight, fetched, max(self._policy.cooldown, fetched.retry_after or 0.0))
        self._tell(flight, began, None, fetched)
        if not fetched.terminal:
            _demand(math.inf, wake)
        return self._make_do(fetched, Unavailability.TIMED_OUT if hurried else None)

    def _follow(
        self,
        flight: Flight,
        ended: threading.Event,
        limit: Limit,
        wake: Wakeable | None,
        waiter: Waiter,
    ) -> Token | None:
        """Wait for another thread's refresh; ``None`` to ask again."""
        source = flight.source.name
        if flight.owner == threading.get_ident():
            return self._make_do(_stuck(f"{source!r} made a call that needs its own token"))
        _demand(limit.left(), wake)
        if not flight.announced.is_set():
            self._runtime.wait(flight.announced, max(0.0, self._to_wait(flight, limit)))
        if limit.to_wait() <= 0:
            _demand(limit.left(), wake)
            return self._make_do(_stuck(f"refreshes of {source!r} by other calls take too long"))
        planned = self._to_wait(flight, limit)
        if planned <= 0:
            return None
        with waiter.waiting(flight.handle, planned):
            self._runtime.wait(ended, planned)
        outcome = flight.outcome
        return self._make_do(outcome) if isinstance(outcome, TokenEndpointError) else outcome

    def _to_wait(self, flight: Flight, limit: Limit) -> float:
        """Seconds until the call's patience or the flight's lease ends."""
        return min(limit.to_wait(), flight.lease.lapses_at - self._monotonic())

    def _tell(
        self,
        flight: Flight,
        began: Moment,
        token: Token | None,
        error: BaseException | None,
        expires_in: float | None = None,
    ) -> None:
        report = RefreshReport(
            source=flight.source.name,
            reason=flight.lease.reason,
            duration=self._monotonic() - began.monotonic,
            generation=None if token is None else token.generation,
            expires_in=expires_in,
            error=error,
        )
        self._observer.refresh_ended(flight.handle, report)

    def _make_do(self, error: TokenEndpointError, why: Unavailability | None = None) -> Token:
        """After a failed refresh: the held token, should it still be alive (rule T5)."""
        _, holding = self._using
        state, token = holding.held
        now = holding.now()
        if token is not None and state.usable(now):
            return token
        if error.terminal:
            why = Unavailability.TERMINAL
        retry_in = None if error.terminal else max(0.0, state.cooldown_until - now.monotonic)
        raise self._unavailable(error, why or Unavailability.FAILED, retry_in) from error

    def _refused(self, holding: Holding, verdict: Refuse) -> TokenUnavailable:
        why = Unavailability.TERMINAL if verdict.terminal else Unavailability.FAILED
        return self._unavailable(holding.error, why, verdict.retry_in)

    def _unavailable(
        self, error: TokenEndpointError | None, why: Unavailability, retry_in: float | None
    ) -> TokenUnavailable:
        if why is Unavailability.TERMINAL:
            text = f"the credentials of {self.name!r} are refused, new ones must be given"
        elif why is Unavailability.TIMED_OUT:
            text = f"no token from {self.name!r} within the limit of the call"
        else:
            text = f"no token from {self.name!r}"
        if error is not None:
            text += f": {error}"
        return TokenUnavailable(text, why=why, error=error, retry_in=retry_in)


def _demand(left: float, wake: Wakeable | None) -> None:
    """Raise if the call may not spend another moment on its token."""
    if wake is not None and wake.is_set():
        raise TokenUnavailable("the session was closed", why=Unavailability.CLOSED)
    if left <= 0:
        raise TokenUnavailable(
            "the call's time is over before a token is there", why=Unavailability.TIMED_OUT
        )


def _stuck(message: str) -> TokenEndpointError:
    return TokenEndpointError(message, transient=True)
