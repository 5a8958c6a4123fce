"""One contestant's way through the weather, and the figures that are left of it.

Each contestant gets a server and a clock of its own, made from the same seed, and each phase
begins when the one before it is over: nobody meets the rest of another's weather.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from weatherglass.demo.contestants import (
    Contestant,
    PlainRequests,
    RequestsWithRetry,
    Weatherglass,
)
from weatherglass.demo.fleet import Tally, work_off
from weatherglass.demo.weather import FULL, QUICK, Phase, shifted, weather
from weatherglass.runtime import Runtime
from weatherglass.telemetry import Recorder
from weatherglass.testing import FakeServer, Ledger, ScaledClock
from weatherglass.testing.plan import STATUS_PAGE_PATHS

_LOOK = 5.0
"""Compressed seconds between two looks while nothing is done."""

Maker = Callable[[FakeServer, Runtime, threading.Event], Contestant]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run of the demo goes by."""

    seed: int = 1
    workers: int = 8
    quick: bool = False
    speed: float = 25.0
    """How many seconds of the compressed clock pass in a real one."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The weather."""
        return weather(QUICK if self.quick else FULL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the server's ledger says of one contestant."""

    requests: int
    """To the API: those to the token endpoint and to the status page not counted."""
    token_calls: int
    page_reads: int = 0
    """Requests to the status page, which are nobody's calls."""
    duplicates: int
    """Executions of writes beyond the first of each."""
    replayed: int
    """Answers that an idempotency key had again, without a second execution."""
    statuses: Counter[int | None] = field(default_factory=Counter)
    """Answers of the API and the token endpoint; ``None`` where the connection was reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contestant's way through the weather."""

    name: str
    tallies: tuple[Tally, ...]
    books: Books

    @property
    def planned(self) -> int:
        return sum(tally.planned for tally in self.tallies)

    @property
    def done(self) -> int:
        return sum(tally.done for tally in self.tallies)

    @property
    def failed(self) -> Counter[str]:
        """Calls that failed for good, by what the caller was told."""
        return sum((tally.failed for tally in self.tallies), Counter())

    @property
    def put_off(self) -> Counter[str]:
        """How often calls were put off until later, by what the caller was told."""
        return sum((tally.put_off for tally in self.tallies), Counter())

    @property
    def seconds(self) -> float:
        """Compressed seconds, all phases together."""
        return sum(tally.seconds for tally in self.tallies)


class Watcher(Protocol):
    """Who looks on during a run; called by the thread that runs it."""

    def phase_begins(self, phase: Phase) -> None: ...

    def tick(self) -> None: ...

    def phase_ends(self, phase: Phase, tally: Tally) -> None: ...


def makers(
    settings: Settings, make_recorder: Callable[[Runtime], Recorder] | None = None
) -> dict[str, Maker]:
    """How each contestant is made, by name and in the order of their appearance."""

    def make_weatherglass(server: FakeServer, clock: Runtime, _stop: threading.Event) -> Contestant:
        recorder = None if make_recorder is None else make_recorder(clock)
        return Weatherglass(server, clock, settings.workers, recorder)

    return {
        Weatherglass.name: make_weatherglass,
        PlainRequests.name: lambda server, _clock, _stop: PlainRequests(server),
        RequestsWithRetry.name: RequestsWithRetry,
    }


def go_through(make: Maker, settings: Settings, clock: ScaledClock, watcher: Watcher) -> Run:
    """Send a contestant through all phases; however it ends, no thread or socket is left."""
    stop = threading.Event()
    tallies: list[Tally] = []
    server = FakeServer(clock=clock, seed=settings.seed, require_tokens=True)
    # What is entered first is left last: the workers are told to stop, their waits and requests
    # are cut short, and only then their threads are waited for.
    with ExitStack() as ending:
        pool = ending.enter_context(ThreadPoolExecutor(settings.workers, "weatherglass-worker"))
        ending.enter_context(server)
        contestant = make(server, clock, stop)
        ending.callback(contestant.close)
        ending.callback(stop.set)
        clients = contestant.clients(settings.workers)
        for phase in settings.phases:
            watcher.phase_begins(phase)
            server.plan = shifted(phase.plan, clock.time() - server.started_at)
            _let_pass(phase.notice, clock, stop, watcher.tick)
            tally = work_off(phase, clients, pool, clock=clock, stop=stop, tick=watcher.tick)
            tallies.append(tally)
            watcher.phase_ends(phase, tally)
    return Run(name=contestant.name, tallies=tuple(tallies), books=books_of(server.ledger))


def _let_pass(
    seconds: float, clock: ScaledClock, stop: threading.Event, tick: Callable[[], None]
) -> None:
    """Wait, looking on."""
    until = clock.monotonic() + seconds
    while (left := until - clock.monotonic()) > 0:
        clock.wait(stop, min(left, _LOOK))
        tick()


def books_of(ledger: Ledger) -> Books:
    """The figures of a ledger."""
    token_calls = ledger.token_calls()
    pages = [entry for entry in ledger.requests() if entry.path in STATUS_PAGE_PATHS]
    groups: Sequence[Sequence[object]] = ledger.duplicates()
    return Books(
        requests=len(ledger) - len(token_calls) - len(pages),
        token_calls=len(token_calls),
        page_reads=len(pages),
        duplicates=sum(len(group) - 1 for group in groups),
        replayed=sum(entry.replayed for entry in ledger.requests(path="/api/*")),
        statuses=Counter(ledger.by_status()) - Counter(entry.status for entry in pages),
    )
