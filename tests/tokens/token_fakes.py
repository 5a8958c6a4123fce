"""What the tests of tokens need around the code: a clock, a token endpoint, a listener."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import requests

from weatherglass.runtime import Wakeable
from weatherglass.tokens import RefreshReport, TokenRequest
from weatherglass.vocabulary import TokenReason

PATIENCE = 30.0
"""Seconds after which a thread in a test is taken to hang."""


class StoppedClock:
    """A runtime whose time passes only by waiting, and when told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.wall_offset = 1.7e9
        self.chance = 0.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + self.wall_offset

    def random(self) -> float:
        return self.chance

    def wait(self, wake: Wakeable, seconds: float) -> bool:
        self.waits.append(seconds)
        if not wake.is_set():
            self.now += seconds
        return wake.is_set()


def answer(
    payload: Any = None,
    status: int = 200,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> requests.Response:
    """An HTTP answer as a transport returns it."""
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps(payload).encode() if body is None else body
    response.headers.update(headers or {})
    return response


def token(value: str = "token-1", expires_in: Any = 3600, **more: Any) -> requests.Response:
    """A token endpoint's good answer."""
    return answer({"access_token": value, "token_type": "bearer", "expires_in": expires_in} | more)


Reply: TypeAlias = "requests.Response | BaseException | Callable[[TokenRequest], requests.Response]"


class Endpoint:
    """A token endpoint behind the transport's seam: replies in order, the last one for ever."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests: list[TokenRequest] = []

    def __call__(self, request: TokenRequest) -> requests.Response:
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, BaseException):
            raise reply
        return reply if isinstance(reply, requests.Response) else reply(request)

    @property
    def forms(self) -> list[dict[str, str]]:
        return [dict(request.form) for request in self.requests]


class Counting(Endpoint):
    """Answers ``token-1``, ``token-2`` … and can be held up at its gate."""

    def __init__(self, expires_in: float | None = 3600) -> None:
        super().__init__(self._next)
        self.expires_in = expires_in
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def _next(self, request: TokenRequest) -> requests.Response:
        assert request.timeout > 0
        number = len(self.requests)
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        return token(f"token-{number}", self.expires_in)


def pickled(thing: Any) -> Any:
    """What arrives in another process."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - its own pickle of a moment ago


class Listener:
    """An observer that keeps what it is told, and says when so many calls are waiting."""

    def __init__(self) -> None:
        self.started: list[tuple[str, TokenReason]] = []
        self.ended: list[tuple[Any, RefreshReport]] = []
        self.waited_for: list[Any] = []
        self.planned: list[float] = []
        self.callback_errors: list[tuple[str, BaseException]] = []
        self._waiting = threading.Semaphore(0)

    def refresh_started(self, source: str, reason: TokenReason) -> str:
        self.started.append((source, reason))
        return f"refresh {len(self.started)}"

    def refresh_ended(self, handle: Any, report: RefreshReport) -> None:
        self.ended.append((handle, report))

    @contextmanager
    def waiting(self, handle: Any, planned: float) -> Iterator[None]:
        self.waited_for.append(handle)
        self.planned.append(planned)
        self._waiting.release()
        yield

    def callback_error(self, name: str, error: BaseException) -> None:
        self.callback_errors.append((name, error))

    def await_waiters(self, number: int) -> None:
        """Until so many more waits have begun."""
        for _ in range(number):
            assert self._waiting.acquire(timeout=PATIENCE)

    @property
    def reasons(self) -> list[TokenReason]:
        return [reason for _, reason in self.started]


class Crew:
    """Threads that start together and whose results or errors are collected."""

    def __init__(self, number: int, work: Callable[[], Any]) -> None:
        self._barrier = threading.Barrier(number)
        self._work = work
        self.results: list[Any] = []
        self.errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        self._barrier.wait(PATIENCE)
        try:
            self.results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - the test judges what it was
            self.errors.append(error)

    def join(self) -> Crew:
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a thread hangs"
        return self
