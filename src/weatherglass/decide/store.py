"""Where the states of breakers, budgets and gates are kept: the seam between them and memory.

A store holds immutable states by key and changes them by pure transitions, which it may run
again when somebody else was faster. So a store that several processes share can apply the same
transitions by compare-and-swap; :class:`MemoryStore` serves the threads of one process. This
module knows nothing of what it stores.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

State = TypeVar("State")
Result = TypeVar("Result")

DEFAULT_LIMIT = 1000
"""The most keys that a :class:`MemoryStore` keeps unless told otherwise."""


class Store(Protocol[State]):
    """States by key."""

    def read(self, key: str) -> State | None:
        """The state of a key as it is now, ``None`` if there is none; must be cheap."""
        ...

    def update(
        self,
        key: str,
        transition: Callable[[State | None], tuple[State | None, Result]],
        committed: Callable[[Result], None] | None = None,
    ) -> Result:
        """Replace a state by what ``transition`` makes of it, and return its result.

        ``transition`` must be pure: it may run more than once. A new state of ``None`` forgets
        the key. ``committed`` gets the result once the new state stands, before any later one
        of the same key can; it must be quick and call nobody.
        """
        ...

    def items(self) -> list[tuple[str, State]]:
        """All keys with their states, at one moment."""
        ...

    def reset_after_fork(self) -> None:
        """Drop the locks that a child process has inherited (rule D13)."""
        ...


def _any_state(_: object) -> bool:
    return True


class MemoryStore(Generic[State]):
    """A bounded store in this process' memory; reads take no lock.

    When it is full, the least recently changed state that ``forgettable`` allows makes room for
    a new key. When it allows none, the new state is not kept: whoever asked goes on as if the
    key had never been seen, so a full store fails open and never forgets what must be known.
    """

    def __init__(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        forgettable: Callable[[State], bool] = _any_state,
    ) -> None:
        if limit < 1:
            raise ValueError(f"limit is {limit!r}, but must be a whole number from 1")
        self._limit = limit
        self._forgettable = forgettable
        self._states: OrderedDict[str, State] = OrderedDict()
        self._lock = threading.Lock()
        # The dictionary's own method: the hot path pays for no Python-level call.
        self.read: Callable[[str], State | None] = self._states.get

    def update(
        self,
        key: str,
        transition: Callable[[State | None], tuple[State | None, Result]],
        committed: Callable[[Result], None] | None = None,
    ) -> Result:
        with self._lock:
            state, result = transition(self._states.get(key))
            if self._keep(key, state) and committed is not None:
                committed(result)
        return result

    def items(self) -> list[tuple[str, State]]:
        with self._lock:
            return list(self._states.items())

    def reset_after_fork(self) -> None:
        self._lock = threading.Lock()

    def _keep(self, key: str, state: State | None) -> bool:
        """Whether the state stands now."""
        states = self._states
        if state is None:
            states.pop(key, None)
            return True
        if key in states:
            states[key] = state
            states.move_to_end(key)
            return True
        if len(states) >= self._limit and not self._make_room():
            return False
        states[key] = state
        return True

    def _make_room(self) -> bool:
        for key, state in self._states.items():
            if self._forgettable(state):
                del self._states[key]
                return True
        return False
