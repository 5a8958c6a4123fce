"""All feeds of an adapter: who reads them, when, and who is told (rule M2).

There is no timer. Whoever calls, or exports telemetry, nudges; what is due then is read by one
thread of its own, which ends when it has read, and for which nobody waits. What a reading finds
goes into the calendar; one that fails changes nothing but the feed's age.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from weatherglass.feeds.flight import Flight
from weatherglass.feeds.reading import FeedReading, FeedUnreadable
from weatherglass.feeds.schedule import Schedule, failed, succeeded, tried
from weatherglass.feeds.statuspage import windows
from weatherglass.feeds.window_file import WindowFile
from weatherglass.policy import MaintenancePolicy, MaintenanceWindow, StatusFeed
from weatherglass.policy.groups import FILE_FEED
from weatherglass.runtime import Runtime

FILE_TTL: Final = 10.0
"""Seconds between two looks at whether the file of windows has changed."""

_NO_THREAD: Final = 5.0
"""Seconds until it is tried again where no thread could be started."""

_LONGEST_END: Final = 5.0
"""Seconds for which :meth:`Feeds.close` waits for a reading to end: looking up a host's address
cannot be broken off."""


class Transport(Protocol):
    """How the documents of a page are reached; used by one thread at a time."""

    def __call__(self, feed: StatusFeed, flight: Flight, /) -> tuple[bytes, bytes]:
        """The page's documents, in the order of :data:`~weatherglass.feeds.statuspage.PATHS`."""
        ...

    def close(self) -> None:
        """Wake whoever waits in it."""
        ...


@dataclass(slots=True)
class _Source:
    """One feed, and what is known of it."""

    name: str
    ttl: float
    timeout: float
    read: Callable[[Flight], tuple[MaintenanceWindow, ...]]
    schedule: Schedule = field(default_factory=Schedule)
    windows: tuple[MaintenanceWindow, ...] = ()
    error: str | None = None
    detail: str | None = None

    def reading(self, *, whole: bool) -> FeedReading:
        """What is known now; ``whole`` says that it was really read, and not broken off."""
        error = self.error or (None if whole else "interrupted")
        return FeedReading(name=self.name, windows=self.windows, error=error, detail=self.detail)


class Feeds:
    """The feeds of one adapter; safe for threads.

    Args:
        policy: which feeds there are.
        runtime: the clock that the feeds' times are measured with, which is never waited on.
        transport: how pages are reached.
        replace: takes a source's name and its windows, whenever they may have changed.
        changed: called after windows have really changed.
        told: takes the name of a feed that has begun to fail, and the type of the error.
    """

    def __init__(
        self,
        policy: MaintenancePolicy,
        runtime: Runtime,
        transport: Transport,
        *,
        replace: Callable[[str, Iterable[MaintenanceWindow]], None],
        changed: Callable[[], None],
        told: Callable[[str, str], None],
    ) -> None:
        self._monotonic = runtime.monotonic
        self._time = runtime.time
        self._random = runtime.random
        self._transport = transport
        self._replace = replace
        self._changed = changed
        self._told = told
        self._sources = [self._page(feed) for feed in policy.feeds]
        if policy.file is not None:
            self._sources.append(_file(WindowFile(policy.file)))
        self._lock = threading.Lock()
        self._flight: Flight | None = None
        self._closed = False
        self._due = -math.inf

    def nudge(self) -> None:
        """Have read what is due, in a thread of its own; on the way of every call."""
        if self._monotonic() >= self._due:
            self._take_off()

    def ages(self) -> Mapping[str, float]:
        """Seconds since the last good reading by feed; since the first try while there was none.

        Nudges as well, unless the session was closed and not used again.
        """
        if not self._closed:
            self.nudge()
        now = self._monotonic()
        found = {source.name: source.schedule.age(now) for source in self._sources}
        return {name: age for name, age in found.items() if age is not None}

    def read(self) -> Mapping[str, FeedReading]:
        """Read all feeds now, in this thread, after whoever reads already."""
        flight = self._own_flight()
        if flight is not None:
            self._fly(flight, self._sources)
        whole = flight is not None and not flight.stopped
        return {source.name: source.reading(whole=whole) for source in self._sources}

    def close(self) -> None:
        """Break off a reading and wait for its end; the next call begins anew (rule D14)."""
        with self._lock:
            flight, self._closed = self._flight, True
        if flight is None:
            return
        flight.stop()
        self._transport.close()
        thread = flight.thread
        if thread is not None and thread is not threading.current_thread():
            flight.landed.wait(_LONGEST_END)
            if flight.landed.is_set():
                thread.join()

    def reset_after_fork(self) -> None:
        """Drop the inherited lock, and a reading whose thread has stayed behind (rule D13)."""
        self._lock = threading.Lock()
        self._flight = None
        self._due = -math.inf

    def _page(self, feed: StatusFeed) -> _Source:
        def read(flight: Flight) -> tuple[MaintenanceWindow, ...]:
            return windows(feed, *self._transport(feed, flight))

        return _Source(feed.name, feed.ttl, feed.timeout, read)

    def _take_off(self) -> None:
        with self._lock:
            now = self._monotonic()
            if self._flight is not None or now < self._due:
                return
            flight = self._flight = Flight()
            self._due, self._closed = math.inf, False
            due = [source for source in self._sources if source.schedule.due(now)]
            # Before anybody can see the flight: close waits for its thread.
            flight.thread = thread = threading.Thread(
                target=self._fly, args=(flight, due), name="weatherglass-feeds", daemon=True
            )
        try:
            thread.start()
        except RuntimeError:
            # The process is ending, or may have no more threads.
            flight.thread = None
            self._land(flight, not_before=now + _NO_THREAD)

    def _own_flight(self) -> Flight | None:
        """A flight for this thread, when there is no other any more; ``None`` if one hangs."""
        patience = _LONGEST_END + sum(source.timeout for source in self._sources)
        while True:
            with self._lock:
                other = self._flight
                if other is None:
                    flight = self._flight = Flight()
                    self._due = math.inf
                    return flight
            if not other.landed.wait(patience):
                return None

    def _fly(self, flight: Flight, sources: Iterable[_Source]) -> None:
        try:
            for source in sources:
                if not flight.stopped:
                    self._read(source, flight)
        finally:
            self._land(flight)

    def _land(self, flight: Flight, not_before: float = -math.inf) -> None:
        with self._lock:
            if self._flight is flight:
                self._flight = None
                due = min(source.schedule.due_at for source in self._sources)
                self._due = max(due, not_before)
        flight.land()

    def _read(self, source: _Source, flight: Flight) -> None:
        source.schedule = tried(source.schedule, self._monotonic())
        try:
            found = source.read(flight)
        except FeedUnreadable as error:
            self._failed(source, flight, error.error_type, error.detail)
        except Exception as error:  # noqa: BLE001 - whatever it is, it changes no call (M2)
            self._failed(source, flight, type(error).__name__)
        else:
            self._succeeded(source, found)

    def _failed(
        self, source: _Source, flight: Flight, error: str, detail: str | None = None
    ) -> None:
        if flight.stopped:
            return
        was_good = source.error is None
        source.error, source.detail = error, detail
        source.schedule = failed(
            source.schedule, self._monotonic(), source.ttl, random=self._random()
        )
        if was_good:
            self._told(source.name, error)

    def _succeeded(self, source: _Source, found: tuple[MaintenanceWindow, ...]) -> None:
        source.error = source.detail = None
        now = self._time()
        ends = [window.end.timestamp() - now for window in found]
        source.schedule = succeeded(
            source.schedule,
            self._monotonic(),
            source.ttl,
            ends_in=min((end for end in ends if end > 0), default=math.inf),
            random=self._random(),
        )
        if found != source.windows:
            source.windows = found
            self._replace(f"feed {source.name}", found)
            self._changed()


def _file(file: WindowFile) -> _Source:
    return _Source(FILE_FEED, FILE_TTL, FILE_TTL, lambda _: file.read())
