"""What the tests of whole calls have in common: time, tokens, threads and child processes."""

from __future__ import annotations

import os
import pickle
import select
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter

import weatherglass
from weatherglass.testing import CLIENT_ID, CLIENT_SECRET, Action, FakeServer, Fault, VirtualClock

PATIENCE = 30.0
"""Real seconds after which a thread or child is taken to be stuck; nothing should come near."""

SHORT = 0.05
"""Real seconds of a socket timeout that is meant to pass."""

QUEUES = "/api/v2/routing/queues"

CERTIFICATE = Path(__file__).parent.parent / "testing" / "loopback.pem"
"""Key and certificate for 127.0.0.1 and localhost."""

Result = TypeVar("Result")


def read_timeout(fault: Fault) -> tuple[float, float]:
    """Timeouts to connect and to read; the latter passes only where nothing else would happen."""
    return 20.0, SHORT if fault.action is Action.HANG else 20.0


class Clock(VirtualClock):
    """A virtual clock with the same chance every time, so that delays are known."""

    chance = 0.5

    def random(self) -> float:
        return self.chance


class Noting(HTTPAdapter):
    """Sends as usual, and notes what it was asked to send and how."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[requests.PreparedRequest] = []
        self.timeouts: list[Any] = []

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:  # type: ignore[override]  # whatever requests passes
        self.sent.append(request)
        self.timeouts.append(how["timeout"])
        return super().send(request, **how)


def token_source(server: FakeServer, **changes: Any) -> weatherglass.ClientCredentials:
    """The credentials of the server's own client, for the server's origin."""
    given: dict[str, Any] = {
        "token_url": server.token_url,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "origins": [server.url],
    }
    return weatherglass.ClientCredentials(**{**given, **changes})


def kinds(subject: requests.Response | BaseException) -> list[str | None]:
    """The kind of each attempt's failure, ``None`` for the success."""
    attempts = weatherglass.report(subject).attempts
    return [None if a.failure is None else str(a.failure.kind) for a in attempts]


def statuses(subject: requests.Response | BaseException) -> list[int | None]:
    """The status of each attempt."""
    return [attempt.status for attempt in weatherglass.report(subject).attempts]


def reason(subject: requests.Response | BaseException) -> str | None:
    """Why the call gave up."""
    given = weatherglass.report(subject).give_up_reason
    return None if given is None else str(given)


def outcome_of(call: Callable[[], Any]) -> Any:
    """What a call comes to, raised or returned."""
    try:
        return call()
    except OSError as error:  # of which all exceptions of requests are
        return error


class Background:
    """Functions in threads of their own, and what becomes of them."""

    def __init__(self, functions: Sequence[Callable[[], Any]]) -> None:
        self._results: dict[int, Any] = {}
        self._errors: dict[int, BaseException] = {}
        self._threads = [
            threading.Thread(target=self._run, args=(index, function), daemon=True)
            for index, function in enumerate(functions)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, index: int, function: Callable[[], Any]) -> None:
        try:
            self._results[index] = function()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self._errors[index] = error

    def results(self) -> list[Any]:
        """What the functions returned, in their order; raises what the first of them raised."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a thread is stuck"
        if self._errors:
            raise self._errors[min(self._errors)]
        return [self._results[index] for index in range(len(self._threads))]


def in_threads(count: int, function: Callable[[int], Result]) -> list[Result]:
    """Run a function in so many threads, which begin together; returns their results."""
    begin = threading.Barrier(count)

    def run(number: int) -> Result:
        begin.wait(PATIENCE)
        return function(number)

    return Background([partial(run, number) for number in range(count)]).results()


def in_child(function: Callable[[], Result]) -> Result:
    """Run a function in a forked child; returns its result, or fails with its traceback."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(function, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        ready, _, _ = select.select([pipe], [], [], PATIENCE)
        if not ready:
            os.kill(pid, signal.SIGKILL)
        sent = pipe.read()
    os.waitpid(pid, 0)
    assert sent, "the child is stuck or died"
    succeeded, result = pickle.loads(sent)  # noqa: S301 - from our own child
    assert succeeded, result
    return result  # type: ignore[no-any-return]  # what the function returned


def _be_child(function: Callable[[], Any], writer: int) -> None:
    try:
        try:
            told = (True, function())
        except BaseException:  # noqa: BLE001 - told to the parent
            told = (False, traceback.format_exc())
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(told, pipe)
    finally:
        # Nothing of pytest's may run here.
        os._exit(0)
