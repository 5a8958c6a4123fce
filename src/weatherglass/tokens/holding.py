"""What is held of one credential, by all who use its source: the token, and its refresh.

The locked shell over the pure machine in :mod:`weatherglass.tokens.generations`. Sessions that
share a token source share what is held of it: one refresh serves the threads of all of them
(rule T2), and a refresh token that rotates is never spent by two of them at once. Nothing is
fetched, waited for or told here.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

from weatherglass.policy import TokenPolicy
from weatherglass.runtime import Runtime
from weatherglass.tokens import generations
from weatherglass.tokens.endpoint import IssuedToken
from weatherglass.tokens.errors import TokenEndpointError
from weatherglass.tokens.flight import Flight, Token
from weatherglass.tokens.generations import Fetch, Join, Moment, TokenState, Verdict
from weatherglass.tokens.secret import refuse_to_pickle
from weatherglass.tokens.sources import TokenSource

_NO_TOKEN = Token("", 0)


class Holding:
    """One credential's token and refresh, safe for threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._monotonic = runtime.monotonic
        self._wall = runtime.time
        self.lock = threading.Lock()
        self.flight: Flight | None = None
        """The refresh under way."""
        self.error: TokenEndpointError | None = None
        """What the last refresh failed with, if it did."""
        # Replaced together, so that not even a fork sees one without the other.
        self.held: tuple[TokenState, Token | None] = (TokenState(), None)
        self.fresh: tuple[Token, float, float] = (_NO_TOKEN, *generations.NEVER)
        """The token, and until when on both clocks it may be used without asking."""

    def now(self) -> Moment:
        """This instant on both clocks."""
        return Moment(self._monotonic(), self._wall())

    def ask(
        self, rejected: int | None, source: TokenSource, policy: TokenPolicy
    ) -> tuple[Verdict, Token | None, Flight | None, threading.Event | None]:
        """What to do, with the token held, and the flight and its event if it is about one."""
        with self.lock:
            state, token = self.held
            if rejected is not None:
                state = generations.reject(state, rejected)
            state, verdict = generations.ask(state, self.now(), policy)
            if isinstance(verdict, Fetch):
                self.flight = Flight(verdict.lease, source)
            self._keep(state, token)
            flight = self.flight
            if flight is None or not isinstance(verdict, (Fetch, Join)):
                return verdict, token, None, None
            return verdict, token, flight, flight.ended

    def reject(self, generation: int) -> None:
        """The server refused the token of this generation: it is not to be sent again."""
        with self.lock:
            state, token = self.held
            self._keep(generations.reject(state, generation), token)

    def accept(
        self, flight: Flight, issued: IssuedToken, began: Moment, policy: TokenPolicy, random: float
    ) -> Token | None:
        """Hold what a flight brought; ``None`` if it came too late to count."""
        with self.lock:
            state, _ = self.held
            number = flight.lease.number
            if not generations.holds(state, number):
                return None
            state = generations.issue(
                state, number, issued.expires_in, began, policy=policy, random=random
            )
            token = Token(issued.value, state.generation, issued.token_type)
            self.error = None
            self._land(flight, state, token, token)
        flight.ended.set()
        return token

    def fail(self, flight: Flight, error: TokenEndpointError, cooldown: float) -> None:
        """A flight failed: everybody who waits for it does, and none is begun for a while."""
        with self.lock:
            state, token = self.held
            number = flight.lease.number
            if not generations.holds(state, number):
                return
            state = generations.fail(
                state, number, self.now(), terminal=error.terminal, cooldown=cooldown
            )
            self.error = error.detached()
            self._land(flight, state, token, error)
        flight.ended.set()

    def let_go(self, flight: Flight) -> None:
        """End a flight without a result, if it is still under way."""
        with self.lock:
            state, token = self.held
            if not generations.holds(state, flight.lease.number):
                return
            self._land(flight, generations.release(state, flight.lease.number), token, None)
        flight.ended.set()

    def interrupt(self) -> None:
        """Wake whoever waits for the refresh, to look around and perhaps to wait on."""
        with self.lock:
            flight = self.flight
            if flight is None:
                return
            ended, flight.ended = flight.ended, threading.Event()
        ended.set()

    def begin_anew(self) -> None:
        """Forget token, failure and refresh (rule T7)."""
        with self.lock:
            self.error = None
            flight, self.flight = self.flight, None
            self._keep(generations.begin_anew(self.held[0]), None)
        if flight is not None:
            flight.ended.set()

    def count_on_from(self, generation: int) -> None:
        """Take over from a credential whose tokens may still be under way: theirs stay older."""
        with self.lock:
            state, token = self.held
            self._keep(generations.count_on_from(state, generation), token)

    def reset_after_fork(self) -> None:
        """In a child: drop the lock and the refresh of threads that do not exist (rule D13)."""
        self.lock = threading.Lock()
        self.flight = None
        state, token = self.held
        if state.lease is not None:
            state = generations.release(state, state.lease.number)
        self._keep(state, token)

    def __reduce__(self) -> tuple[Any, ...]:
        raise refuse_to_pickle(self)

    def _keep(self, state: TokenState, token: Token | None) -> None:
        self.held = (state, token)
        until = generations.quiet_until(state, self.now())
        self.fresh = (token or _NO_TOKEN, *until)

    def _land(
        self,
        flight: Flight,
        state: TokenState,
        token: Token | None,
        outcome: Token | TokenEndpointError | None,
    ) -> None:
        """Under the lock: the flight is over. Its event is set, and stays, once that is left."""
        flight.outcome = outcome
        self.flight = None
        self._keep(state, token)


_lock = threading.Lock()
_holdings: weakref.WeakValueDictionary[tuple[int, int], Holding] = weakref.WeakValueDictionary()
# By identity: a holding lives only as long as a manager that keeps its source and runtime, so
# neither id can be another's meanwhile.


def holding_of(source: TokenSource, runtime: Runtime) -> Holding:
    """What is held of a source, in one time: the same for all who ask."""
    with _lock:
        key = (id(source), id(runtime))
        found = _holdings.get(key)
        if found is None:
            found = _holdings[key] = Holding(runtime)
        return found


def _forget_all() -> None:
    """In a forked child: hold nothing that the parent's threads have a hand on (rule D13)."""
    global _lock, _holdings  # noqa: PLW0603 - both are the parent's, and may be in use
    _lock = threading.Lock()
    _holdings = weakref.WeakValueDictionary()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
