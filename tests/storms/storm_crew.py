"""What the tests of storms need: whole calls from many threads, and what came of each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import requests

import weatherglass
from weatherglass import CallReport
from weatherglass.runtime import SystemRuntime, Wakeable
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    FakeServer,
    Fault,
    FaultPlan,
    FaultRule,
    Maintenance,
    VirtualClock,
    faults,
)

T = TypeVar("T")

PATIENCE = 30.0
"""Real seconds after which a thread in a test is taken to hang."""

CROWD = 20

API = "/api/v2/routing/queues"
"""A route that demands a token."""

OPEN = "/echo"
"""One that does not."""


@dataclass(frozen=True)
class Ended:
    """How one call ended: with a response or with an exception, and in any case with a report."""

    response: requests.Response | None
    error: requests.RequestException | None
    report: CallReport

    @property
    def status(self) -> int | None:
        return None if self.response is None else self.response.status_code

    @property
    def generations(self) -> list[int | None]:
        """The generation of the token that each attempt carried."""
        return [attempt.token_generation for attempt in self.report.attempts]

    @property
    def statuses(self) -> list[int | None]:
        return [attempt.status for attempt in self.report.attempts]


def reach(session: requests.Session, url: str, method: str = "GET", **options: Any) -> Ended:
    """Make one call, and hold on to whatever it ends in."""
    try:
        response = session.request(method, url, **options)
    except requests.RequestException as error:
        return Ended(None, error, weatherglass.report(error))
    return Ended(response, None, weatherglass.report(response))


class Crew(Generic[T]):
    """Threads in real time, at work from the start, and what they returned or raised."""

    def __init__(self, functions: Sequence[Callable[[], T]]) -> None:
        self._results: dict[int, T] = {}
        self._errors: dict[int, BaseException] = {}
        self._threads = [
            threading.Thread(target=self._run, args=item, daemon=True)
            for item in enumerate(functions)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, index: int, function: Callable[[], T]) -> None:
        try:
            self._results[index] = function()
        except BaseException as error:  # noqa: BLE001 - raised again by join, in the test's thread
            self._errors[index] = error

    def join(self) -> list[T]:
        """The results, in the order of the functions; the first error is raised."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a thread hangs"
        for index in sorted(self._errors):
            raise self._errors[index]
        return [self._results[index] for index in range(len(self._threads))]


class WatchedTime(SystemRuntime):
    """Real time, in which a test sees how many calls have begun to wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun = 0

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        with self._changed:
            self._begun += 1
            self._changed.notify_all()
        return super().wait(wake, seconds)

    def await_waits(self, number: int) -> None:
        """Return when this many waits have begun, since the beginning of time."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._begun >= number, PATIENCE)


def credentials(server: FakeServer, **options: Any) -> weatherglass.ClientCredentials:
    """The server's own client, whose token goes to the server and nowhere else."""
    settings: dict[str, Any] = {
        "token_url": server.token_url,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "origins": [server.url],
    }
    return weatherglass.ClientCredentials(**(settings | options))


DOWN = FaultPlan(rules=(FaultRule(fault=faults.answer(503)),))

HOUR = 3600.0

RELEASE = Maintenance(name="release", start=600, end=600 + HOUR)


def always(fault: Fault, **conditions: Any) -> FaultPlan:
    """Every request meets this fault."""
    return FaultPlan(rules=(FaultRule(fault=fault, **conditions),))


def once(session: requests.Session, url: str, **options: Any) -> Ended:
    """One call that is one attempt."""
    return reach(session, url, max_retries=0, **options)


def crowd(clock: VirtualClock, session: requests.Session, url: str, **options: Any) -> list[Ended]:
    """The same call from many threads, in virtual time."""
    return clock.run_together([lambda: reach(session, url, **options)] * CROWD)


def closed_for(window: Maintenance = RELEASE) -> FaultPlan:
    """The server is down in a window that is announced."""
    return FaultPlan(maintenance=(window,))


def in_window(
    server: FakeServer,
    clock: VirtualClock,
    make_session: Callable[..., weatherglass.Session],
    **policy: Any,
) -> weatherglass.Session:
    """A session that knows the server's windows, just after the first has begun."""
    session = make_session(maintenance={"windows": server.maintenance_windows(), **policy})
    clock.advance(601)
    return session
