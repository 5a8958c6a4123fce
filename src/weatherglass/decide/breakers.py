"""All breakers of a session behind one small shell: clock, store and watcher.

The rules are in :mod:`weatherglass.decide.breaker`. Here stands what makes them fast and safe
for threads: a closed breaker costs its callers one read to enter and one note to leave, and
transitions are told in their order, with no lock held (rule B8).
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from weatherglass.decide import breaker as machine
from weatherglass.decide.breaker import (
    Alive,
    BreakerData,
    BreakerResult,
    Ignored,
    Permit,
    Refusal,
    Step,
    Success,
    Transition,
)
from weatherglass.decide.store import MemoryStore, Store
from weatherglass.policy import BreakerPolicy
from weatherglass.runtime import Runtime
from weatherglass.vocabulary import BreakerState

_log = logging.getLogger("weatherglass")

_SHUT: Final = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.FORCED_OPEN)

_NOTES: Final = 128
"""Good calls that are noted before they are counted together: counting one by one would cost
every call a lock."""


class Breakers:
    """The breakers of all names, safe for threads; a name's breaker is made when it is asked for.

    ``on_transition`` is called for every transition, in order, by one thread at a time. What it
    raises is logged and changes nothing. It may use the breakers itself.
    """

    def __init__(
        self,
        policy: BreakerPolicy,
        runtime: Runtime,
        store: Store[BreakerData] | None = None,
        on_transition: Callable[[Transition], None] | None = None,
    ) -> None:
        self._policy = policy
        self._monotonic = runtime.monotonic
        self._random = runtime.random
        self._slow = math.inf if policy.slow_call is None else policy.slow_call
        self._store: Store[BreakerData] = (
            MemoryStore(forgettable=partial(machine.forgettable, policy=policy))
            if store is None
            else store
        )
        self._read = self._store.read
        self._on_transition = on_transition or _unwatched
        self._shut: set[str] = set()
        self._untold: deque[Transition] = deque()
        self._telling = threading.Lock()

    @property
    def any_shut(self) -> bool:
        """Whether this process knows of a breaker that may refuse; costs next to nothing."""
        return bool(self._shut)

    def acquire(self, name: str) -> Permit | Refusal:
        """Ask for leave to make one attempt; a permit must be settled (rules B2, B3 and B6)."""
        data = self._read(name)
        if data is None:
            return self._acquire(name)
        # A closed breaker's permit, which all its callers share: no lock, nothing is made.
        return data.permit or machine.refuse(data, self._monotonic()) or self._acquire(name)

    def refusal(self, name: str) -> Refusal | None:
        """The refusal that :meth:`acquire` would give now; it takes and changes nothing."""
        data = self._read(name)
        if data is None or data.permit is not None:
            return None
        return machine.refuse(data, self._monotonic())

    def succeeded(self, permit: Permit, duration: float) -> None:
        """Settle a permit with a success that took ``duration`` seconds: the fast way."""
        data = self._read(permit.name)
        if data is not None and data.permit is permit and not data.run and duration < self._slow:
            # Nothing changes but a count, so it is noted without a lock, and counted when a
            # failure needs it or enough have come together.
            noted = permit.noted
            noted.append(self._monotonic())
            if len(noted) < _NOTES:
                return
            self._apply(permit.name, lambda data: (data, None), permit)
        else:
            self._settle(permit, Success(duration))

    def settle(self, permit: Permit, result: BreakerResult) -> None:
        """Report what became of an attempt that was admitted."""
        if isinstance(result, Success):
            self.succeeded(permit, result.duration)
        elif permit.probe or not _says_nothing(result):
            self._settle(permit, result)

    def state(self, name: str) -> BreakerState:
        """The state of a breaker."""
        return self.data(name).state

    def states(self) -> Mapping[str, BreakerState]:
        """The states of all breakers that are known."""
        return {name: data.state for name, data in self._store.items()}

    def data(self, name: str) -> BreakerData:
        """All that is known of a breaker; good calls may be counted a little later."""
        return self._read(name) or machine.fresh(name, self._policy)

    def force_open(self, name: str) -> None:
        """Refuse everything until told otherwise."""
        self._force(name, BreakerState.FORCED_OPEN)

    def force_closed(self, name: str) -> None:
        """Close now, forgetting all failures; the ordinary rules go on from there."""
        self._force(name, BreakerState.CLOSED)

    def disable(self, name: str) -> None:
        """Admit everything and count nothing until told otherwise."""
        self._force(name, BreakerState.DISABLED)

    def maintenance_ends(self, name: str, ends_in: float) -> None:
        """A window may end sooner than announced, or be over: probe soon after its end (M5)."""
        data = self._read(name)
        if data is None or data.maintenance is None:
            return
        now, random = self._monotonic(), self._random()
        self._apply(
            name,
            lambda data: (machine.end_maintenance(data, ends_in, now, random=random), None),
        )

    def reset(self, name: str) -> None:
        """Begin as if the breaker had never been used: closed, or disabled if the policy is."""
        self._force(name, machine.fresh(name, self._policy).state)

    def reset_after_fork(self) -> None:
        """Drop inherited locks, and what is the parent's business: its probes and news (D13)."""
        self._store.reset_after_fork()
        self._telling = threading.Lock()
        self._untold.clear()
        for name, data in self._store.items():
            if data.state is BreakerState.HALF_OPEN:
                self._apply(name, lambda data: (machine.abandon_probe(data), None))

    def _acquire(self, name: str) -> Permit | Refusal:
        now, policy = self._monotonic(), self._policy

        def transition(
            data: BreakerData | None,
        ) -> tuple[BreakerData, tuple[Permit | Refusal, Transition | None]]:
            known = data or machine.fresh(name, policy)
            after, answer, changed = machine.acquire(known, now, policy)
            return after, (answer, changed)

        answer, changed = self._store.update(name, transition, lambda result: self._note(result[1]))
        if changed is not None:
            self._tell()
        return answer

    def _settle(self, permit: Permit, result: BreakerResult) -> None:
        now, random, policy = self._monotonic(), self._random(), self._policy
        self._apply(
            permit.name,
            lambda data: machine.settle(data, permit, result, now, policy, random=random),
            permit,
        )

    def _force(self, name: str, state: BreakerState) -> None:
        now = self._monotonic()
        self._apply(name, lambda data: machine.force(data, state, now))

    def _apply(
        self, name: str, step: Callable[[BreakerData], Step], permit: Permit | None = None
    ) -> None:
        """Take a step, after counting the good calls that were noted under ``permit``."""
        policy = self._policy
        times = [] if permit is None else _take_all(permit.noted)

        def transition(data: BreakerData | None) -> Step:
            known = data or machine.fresh(name, policy)
            if permit is not None and times:
                known = machine.count_successes(known, permit, times, policy)
            return step(known)

        if self._store.update(name, transition, self._note) is not None:
            self._tell()

    def _note(self, transition: Transition | None) -> None:
        """Called by the store in the order of the states, which is the order to tell them in."""
        if transition is None:
            return
        if transition.state in _SHUT:
            self._shut.add(transition.name)
        else:
            self._shut.discard(transition.name)
        self._untold.append(transition)

    def _tell(self) -> None:
        # One teller at a time keeps the order. Whoever finds another one at it leaves the news
        # to them: the teller looks again after letting go.
        while self._untold and self._telling.acquire(blocking=False):
            try:
                while self._untold:
                    self._tell_one(self._untold.popleft())
            finally:
                self._telling.release()

    def _tell_one(self, transition: Transition) -> None:
        try:
            self._on_transition(transition)
        except Exception:  # noqa: BLE001 - a watcher's fault is not the caller's
            _log.exception("a watcher of breaker transitions failed")


def _unwatched(_: Transition) -> None:
    """The watcher of breakers that nobody watches."""


def _says_nothing(result: BreakerResult) -> bool:
    """Whether a result leaves a breaker that admits everybody as it is."""
    return isinstance(result, Ignored) or (isinstance(result, Alive) and not result.ends_run)


def _take_all(noted: deque[float]) -> list[float]:
    times: list[float] = []
    take = noted.popleft
    # Another thread may take at the same time: each note is taken once.
    with suppress(IndexError):
        times.extend(take() for _ in range(len(noted)))
    return times
