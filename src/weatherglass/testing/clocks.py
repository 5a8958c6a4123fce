"""Clocks for tests and demos: one that need not wait, and one that waits less.

Both are a :class:`weatherglass.runtime.Runtime`: give them to the client and to the server, and
both live in the same time.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from weatherglass.runtime import Wakeable

_Result = TypeVar("_Result")

START = 1_767_225_600.0
"""Where virtual time begins: 2026-01-01 00:00:00 UTC."""

_LOOK = 0.001
"""Real seconds between two looks at whether a foreign event has been set."""


@dataclass(slots=True, eq=False)
class _Waiter:
    """A thread of :meth:`VirtualClock.run_together` that waits."""

    until: float
    wake: Wakeable
    released: bool = False


class VirtualClock:
    """Time that passes only when somebody waits.

    A wait advances the clock at once by what was asked for, so hours pass in microseconds. That
    is right for one thread. Several threads that live in the same time are started with
    :meth:`run_together`: then the clock advances only when all of them wait, to the moment at
    which the first of them is due, as in a discrete-event simulation. A wait of any other
    thread, such as that of a server which delays an answer, still advances the clock at once.

    The time that real work takes (sockets, locks, computing) is no time on this clock.
    """

    def __init__(self, *, start: float = START, seed: int = 0) -> None:
        self.waits: list[float] = []
        """The seconds of every wait that was asked for and not already over, in order."""
        self._start = start
        self._now = 0.0
        self._random = random.Random(seed)  # noqa: S311 - chance that must repeat
        self._changed = threading.Condition()
        self._together = threading.local()
        self._running = 0
        self._waiting: list[_Waiter] = []

    def monotonic(self) -> float:
        """Virtual seconds since the clock was made."""
        return self._now

    def time(self) -> float:
        """Virtual seconds since the epoch."""
        return self._start + self._now

    def random(self) -> float:
        """A number in [0, 1) from the clock's seed."""
        return self._random.random()

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        """Let ``seconds`` pass, unless ``wake`` is set; returns whether it is."""
        if wake.is_set() or seconds <= 0:
            return wake.is_set()
        with self._changed:
            self.waits.append(seconds)
            if getattr(self._together, "runs", False):
                self._wait_with_others(wake, seconds)
            else:
                self._advance_to(self._now + seconds)
        return wake.is_set()

    def advance(self, seconds: float) -> None:
        """Let time pass from outside."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds:g} s")
        with self._changed:
            self._advance_to(self._now + seconds)

    def run_together(
        self, functions: Sequence[Callable[[], _Result]], *, timeout: float = 60.0
    ) -> list[_Result]:
        """Run each function in a thread of its own, all in the same time; returns their results.

        ``timeout`` is in real seconds, a safety net for functions that block each other.

        Raises:
            TimeoutError: when a function has not ended by then.
            BaseException: the first that a function raised, in their order.
        """
        results: dict[int, _Result] = {}
        errors: dict[int, BaseException] = {}

        def run(index: int, function: Callable[[], _Result]) -> None:
            self._together.runs = True
            try:
                results[index] = function()
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                errors[index] = error
            finally:
                with self._changed:
                    self._running -= 1
                    self._advance_if_idle()

        threads = [
            threading.Thread(target=run, args=(index, function), daemon=True)
            for index, function in enumerate(functions)
        ]
        with self._changed:
            # All of them count from the start, or the first would run off alone.
            self._running += len(threads)
        for thread in threads:
            thread.start()
        give_up_at = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
            if thread.is_alive():
                raise TimeoutError(f"the threads have not ended after {timeout:g} real seconds")
        if errors:
            raise errors[min(errors)]
        return [results[index] for index in range(len(threads))]

    def _wait_with_others(self, wake: Wakeable, seconds: float) -> None:
        waiter = _Waiter(self._now + seconds, wake)
        self._waiting.append(waiter)
        self._running -= 1
        self._advance_if_idle()
        # A foreign event cannot tell this condition that it has been set, hence the looking; but
        # time never advances past one that is set, so only the latency depends on it.
        while not waiter.released:
            if wake.is_set():
                self._release(waiter)
            else:
                self._changed.wait(_LOOK)
                self._advance_if_idle()

    def _advance_if_idle(self) -> None:
        if self._running == 0 and self._waiting and not any(w.wake.is_set() for w in self._waiting):
            self._advance_to(min(waiter.until for waiter in self._waiting))

    def _advance_to(self, moment: float) -> None:
        self._now = max(self._now, moment)
        for waiter in [waiter for waiter in self._waiting if waiter.until <= self._now]:
            self._release(waiter)
        self._changed.notify_all()

    def _release(self, waiter: _Waiter) -> None:
        # Counted as running from here, not from when its thread wakes up: else time could
        # advance past what it is going to do.
        waiter.released = True
        self._waiting.remove(waiter)
        self._running += 1


class ScaledClock:
    """Real time, run faster: a wait of ``factor`` seconds takes one.

    For a demo, or a run against real sockets, in which minutes of backoff should pass in
    seconds. Time begins at the real present.
    """

    def __init__(self, factor: float, seed: int = 0) -> None:
        if not factor > 0:
            raise ValueError(f"factor is {factor:g}, but must be above 0")
        self.factor = factor
        self._began = time.monotonic()
        self._start = time.time()
        self._random = random.Random(seed)  # noqa: S311 - chance that must repeat

    def monotonic(self) -> float:
        """Scaled seconds since the clock was made."""
        return (time.monotonic() - self._began) * self.factor

    def time(self) -> float:
        """Scaled seconds since the epoch."""
        return self._start + self.monotonic()

    def random(self) -> float:
        """A number in [0, 1) from the clock's seed."""
        return self._random.random()

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        """Wait for ``seconds`` of this clock, unless ``wake`` is set; returns whether it is."""
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:
            if wake.wait(left / self.factor):
                return True
        return wake.is_set()
