"""The fleet: worker threads that do the calls of a phase, the same for every contestant.

Each call is made by one ``session.request``. A call whose session says that trying later will
help, and when, is put back at the end of the queue after that time; a call that ends without
success and without such a word has failed.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, wait
from dataclasses import dataclass, field
from typing import Protocol

from weatherglass.demo.weather import Call, Phase
from weatherglass.runtime import Runtime

PATIENCE = 600.0
"""Compressed seconds: who is told to come back later than that is not waited for."""

_TICK = 0.25
"""Real seconds between two looks at what is going on."""
_SHORTEST = 0.5
"""Compressed seconds before a call that was put off is tried again, however soon it was told to."""


@dataclass(frozen=True, slots=True)
class Done:
    """The call succeeded."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The call failed for good."""

    why: str


@dataclass(frozen=True, slots=True)
class PutOff:
    """The session said that the call will succeed later, and when."""

    seconds: float
    why: str


Verdict = Done | Failed | PutOff
"""What the caller was told at the end of a call."""


class Client(Protocol):
    """One worker's way to the server."""

    def send(self, call: Call, phase: str) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class Tally:
    """What the callers got in one phase."""

    phase: str
    planned: int
    done: int
    failed: Counter[str] = field(default_factory=Counter)
    """By what the caller was told."""
    put_off: Counter[str] = field(default_factory=Counter)
    """Likewise; each time that a call was put back."""
    seconds: float = 0.0
    """Compressed seconds from the beginning of the phase to the end of its last call."""


class Work:
    """The calls of one phase; safe for threads."""

    def __init__(self, calls: Sequence[Call], stop: threading.Event) -> None:
        self._changed = threading.Condition()
        self._waiting = deque(calls)
        self._in_hand = 0
        self._stop = stop
        self.done = 0
        self.failed: Counter[str] = Counter()
        self.put_off: Counter[str] = Counter()

    def take(self) -> Call | None:
        """The next call; ``None`` when there will be none any more."""
        with self._changed:
            # A call that another worker has in hand may yet be put back.
            while not self._waiting and self._in_hand and not self._stop.is_set():
                self._changed.wait(_TICK)
            if self._stop.is_set() or not self._waiting:
                return None
            self._in_hand += 1
            return self._waiting.popleft()

    def settle(self, call: Call, verdict: Verdict) -> None:
        """Say what became of a call that was taken."""
        with self._changed:
            self._in_hand -= 1
            if isinstance(verdict, Done):
                self.done += 1
            elif isinstance(verdict, Failed):
                self.failed[verdict.why] += 1
            else:
                self.put_off[verdict.why] += 1
                self._waiting.append(call)
            self._changed.notify_all()


def work_off(
    phase: Phase,
    clients: Sequence[Client],
    pool: Executor,
    *,
    clock: Runtime,
    stop: threading.Event,
    tick: Callable[[], None],
) -> Tally:
    """Have the clients do all calls of a phase, each in a thread of the pool.

    ``tick`` is called now and then by the thread that waits for them.
    """
    began = clock.monotonic()
    work = Work(phase.calls, stop)
    futures = [pool.submit(_labour, client, phase.name, work, clock, stop) for client in clients]
    while True:
        ended, under_way = wait(futures, _TICK, FIRST_EXCEPTION)
        for future in ended:
            future.result()
        if not under_way:
            break
        tick()
    seconds = clock.monotonic() - began
    return Tally(phase.name, len(phase.calls), work.done, work.failed, work.put_off, seconds)


def _labour(client: Client, phase: str, work: Work, clock: Runtime, stop: threading.Event) -> None:
    give_up_at = clock.monotonic() + PATIENCE
    while (call := work.take()) is not None:
        verdict = client.send(call, phase)
        if isinstance(verdict, PutOff):
            seconds = max(_SHORTEST, verdict.seconds)
            if clock.monotonic() + seconds > give_up_at:
                verdict = Failed(verdict.why)
            else:
                clock.wait(stop, seconds)
        work.settle(call, verdict)
