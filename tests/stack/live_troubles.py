"""The troubles that the demo's weather lacks, made to happen round after round.

Everything here is on ``localhost``, which makes it another origin than the demo's ``127.0.0.1``:
so each has a ledger of its own to be compared with. Nothing is asserted here.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import Any

import requests
from live_notes import Notes

import weatherglass
from weatherglass import genesys
from weatherglass.policy import MaintenanceWindow
from weatherglass.report import Attempt
from weatherglass.runtime import Runtime
from weatherglass.testing import (
    CLIENT_ID,
    CLIENT_SECRET,
    TOKEN_PATH,
    FakeServer,
    FaultPlan,
    FaultRule,
    IdempotencyMode,
    RateLimit,
    faults,
)
from weatherglass.vocabulary import RetryAfterVariant

HOST = "localhost"
ROUNDS = 3

LIMIT = RateLimit(limit=8, window=20, path="/status/*")
"""A limit that nobody runs into: who calls this path is paced."""

_MANY = tuple(range(1, 100))
_TOKEN_TROUBLES = (2, 3, 4, 8, 9, 10, 13, 14, 15)
"""Requests to the token endpoint: in each round, one refresh fails with both of its retries."""


def plan() -> FaultPlan:
    """Which path meets which trouble; all others are served."""
    variants = tuple(RetryAfterVariant)
    rules = [
        FaultRule(fault=faults.answer(500), path=TOKEN_PATH, nth=_TOKEN_TROUBLES),
        # A run of 429s, and then the 403 that a server turns to (rule C9).
        FaultRule(fault=faults.answer(403), path="/escalating", nth=_MANY[3::4]),
        FaultRule(fault=faults.answer(429), path="/escalating"),
        FaultRule(fault=faults.daily_limit(), path="/daily"),
        FaultRule(fault=faults.answer(404), path="/missing"),
        FaultRule(fault=faults.answer(400, code="bad.request"), path="/wrong"),
        FaultRule(fault=faults.answer(401), path="/locked"),
        FaultRule(fault=faults.hang(), path="/silent"),
        FaultRule(fault=faults.reset(), path="/torn", nth=_MANY[::2]),
        FaultRule(fault=faults.answer(503), path="/down"),
        FaultRule(fault=faults.answer(500, form="html"), path="/broken"),
        FaultRule(fault=faults.lose(), path="/lossy", nth=_MANY[::2]),
    ]
    rules += [
        FaultRule(
            fault=faults.answer(429, retry_after=variant, retry_after_seconds=2.0),
            path=f"/limited/{variant}",
            nth=_MANY[::2],
        )
        for variant in variants
    ]
    rules += [
        FaultRule(fault=faults.answer(200), path=path) for path in ("/limited/*", "/torn", "/lossy")
    ]
    return FaultPlan(rules=rules, idempotency=IdempotencyMode.IETF, rate_limit=LIMIT)


def _raise(attempt: Attempt) -> None:
    raise LookupError(f"an application's callback is broken, at attempt {attempt.number}")


def _window(name: str, clock: Runtime, begins: float, ends: float) -> MaintenanceWindow:
    start, end = (
        datetime.fromtimestamp(clock.time() + at, tz=timezone.utc) for at in (begins, ends)
    )
    return MaintenanceWindow(name=name, start=start, end=end, hosts=(HOST,))


class Troubles:
    """Sessions, each with a trouble of its own; a context manager."""

    def __init__(self, clock: Runtime, notes: Notes) -> None:
        self._clock = clock
        self._notes = notes
        self._ending = ExitStack()
        # A token outlives a round, but not the run: so one is always about to expire.
        self.server = FakeServer(plan(), clock, require_tokens=True, token_lifetime=420.0)

    def __enter__(self) -> Troubles:  # noqa: PYI034 - Self needs Python 3.11
        self._ending.enter_context(self.server)
        self._steps = list(self._make_steps())
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def round(self) -> None:
        """One round of all troubles."""
        for step in self._steps:
            with contextlib.suppress(requests.RequestException):
                step()

    def _session(self, name: str, **settings: Any) -> weatherglass.Session:
        options = {key: settings.pop(key) for key in ("tokens", "callbacks") if key in settings}
        options.setdefault("callbacks", self._notes.callbacks())
        settings.setdefault("breaker", {"enabled": False})
        policy = weatherglass.Policy().new(name=name, **settings)
        session = weatherglass.Session(policy=policy, runtime=self._clock, **options)
        self._ending.callback(session.close)
        return session

    def _get(self, session: weatherglass.Session, path: str, **options: Any) -> None:
        with contextlib.suppress(requests.RequestException):
            session.get(self.server.other_url + path, **options)

    def _make_steps(self) -> Iterator[Callable[[], None]]:
        yield from (self._plain(), self._delayed(), self._escalating(), self._observed())
        yield from (self._authenticated(), self._disowned(), self._poor(), self._keyed())
        yield from (self._broken(), self._in_maintenance(), self._overrun(), self._hurried())
        yield self._paced()

    def _plain(self) -> Callable[[], None]:
        session = self._session("plain", callbacks=self._notes.callbacks(on_failure=_raise))

        def step() -> None:
            for path in ("/echo", "/missing", "/wrong", "/torn"):
                self._get(session, path)
            self._get(session, "/silent", timeout=0.1, max_retries=1)
            port = self.server.refused_url().rpartition(":")[2]
            with contextlib.suppress(requests.RequestException):
                session.get(f"http://{HOST}:{port}/", max_retries=1)

        return step

    def _delayed(self) -> Callable[[], None]:
        session = self._session("delayed")

        def step() -> None:
            for variant in RetryAfterVariant:
                self._get(session, f"/limited/{variant}")
            self._get(session, "/daily")

        return step

    def _escalating(self) -> Callable[[], None]:
        session = self._session("escalating", retry_after={"gate": False})

        def step() -> None:
            for _ in range(4):
                self._get(session, "/escalating", max_retries=0)

        return step

    def _observed(self) -> Callable[[], None]:
        session = self._session("observed", mode="observe", breaker={"enabled": True})

        def step() -> None:
            for _ in range(3):
                self._get(session, "/down")

        return step

    def _authenticated(self) -> Callable[[], None]:
        session = self._session(
            "authenticated",
            tokens=weatherglass.ClientCredentials(
                token_url=self.server.other_url + TOKEN_PATH,
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
                origins=[self.server.other_url],
                name="troubles",
            ),
        )

        def step() -> None:
            for _ in range(3):
                self._get(session, "/api/v2/routing/queues")
            self.server.revoke_tokens()
            self._get(session, "/api/v2/routing/queues")
            # Long enough for the cool-down after a failed refresh to pass.
            self._clock.wait(threading.Event(), 6)
            self._get(session, "/api/v2/routing/queues")
            self._get(session, "/locked")

        return step

    def _disowned(self) -> Callable[[], None]:
        session = self._session(
            "disowned",
            tokens=weatherglass.RefreshToken(
                token_url=self.server.other_url + TOKEN_PATH,
                client_id=CLIENT_ID,
                client_secret=CLIENT_SECRET,
                refresh_token="one that was taken back",
                origins=[self.server.other_url],
                name="disowned",
            ),
        )
        return lambda: self._get(session, "/echo")

    def _poor(self) -> Callable[[], None]:
        empty = {"capacity": 1, "per_success": 0, "per_second": 0}
        session = self._session("poor", retry_budget=empty)
        return lambda: self._get(session, "/down")

    def _keyed(self) -> Callable[[], None]:
        sessions = [
            self._session(f"keyed {key}", idempotency={"key": key, "honours_keys": True})
            for key in ("deterministic", "per_call")
        ]
        count = iter(range(1000))

        def step() -> None:
            for session in sessions:
                for path in ("/echo", "/lossy"):
                    with contextlib.suppress(requests.RequestException):
                        session.post(self.server.other_url + path, json={"n": next(count)})

        return step

    def _broken(self) -> Callable[[], None]:
        session = self._session(
            "broken", breaker={"consecutive_failures": 3, "cooldown": 20}, retry={"max_retries": 1}
        )

        def step() -> None:
            for _ in range(4):
                self._get(session, "/down")
            self._clock.wait(threading.Event(), 25)
            self._get(session, "/echo")
            self._get(session, "/broken")
            session.breakers.force_open(self.server.other_url)
            self._get(session, "/echo")
            session.breakers.reset(self.server.other_url)

        return step

    def _in_maintenance(self) -> Callable[[], None]:
        windows = (_window("works", self._clock, -30, 900),)
        session = self._session(
            "in maintenance", maintenance={"windows": windows}, breaker={"enabled": True}
        )

        def step() -> None:
            for _ in range(3):
                self._get(session, "/down")

        return step

    def _overrun(self) -> Callable[[], None]:
        windows = (
            _window("overdue", self._clock, -600, -60),
            _window("tonight", self._clock, 7200, 10800),
        )
        session = self._session("overrun", maintenance={"windows": windows})

        def step() -> None:
            for _ in range(2):
                self._get(session, "/down", max_retries=1)

        return step

    def _paced(self) -> Callable[[], None]:
        limit_headers = genesys.profile().limit_headers
        session = self._session("paced", pacing={"enabled": True}, limit_headers=limit_headers)

        def step() -> None:
            for _ in range(2 * LIMIT.limit):
                self._get(session, "/status/200")

        return step

    def _hurried(self) -> Callable[[], None]:
        session = self._session("hurried")
        return lambda: self._get(session, "/down", deadline=0.5)
