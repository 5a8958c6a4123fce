"""Who is sent through the weather: weatherglass, and what else one would use.

All of them read the same lists and write the same evaluations. The two others handle tokens as
most hand-written code does: a session and a token for each worker, fetched when there is none
or when a 401 comes, and the call repeated once after that. Where a ``Retry-After`` in whole
seconds says so, the plain one comes back later, as its author would.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.util import Retry

import weatherglass
from weatherglass import genesys
from weatherglass.demo.fleet import PATIENCE, Client, Done, Failed, PutOff, Verdict
from weatherglass.demo.weather import API_HOST, REGION, Call
from weatherglass.runtime import SYSTEM, Runtime
from weatherglass.telemetry import Recorder
from weatherglass.testing import CLIENT_ID, CLIENT_SECRET, FakeServer
from weatherglass.vocabulary import GiveUpReason

WEATHERGLASS = "weatherglass"
REQUESTS = "plain requests"
URLLIB3_RETRY = "requests + urllib3.Retry"

POLICY = weatherglass.Policy(
    name="demo",
    # What the server is known to do: it honours idempotency keys.
    idempotency=weatherglass.IdempotencyPolicy(key="deterministic", honours_keys=True),
    # What a job wants that has time: to wait for the end of a maintenance window.
    maintenance=weatherglass.MaintenancePolicy(mode="wait"),
)
"""The defaults, but for two groups; what is known of the API is its profile's."""

FEED_TTL = 15.0
"""Compressed seconds between two readings of the status page: the demo's weather changes fast."""

_TIMEOUT = 30.0
"""Real seconds."""
_RETRIES = POLICY.retry.max_retries
_RetryType = TypeVar("_RetryType", bound="CompressedRetry")


def policy_at(server: FakeServer) -> weatherglass.Policy:
    """The policy with the API's profile, whose status page is the server's.

    The page is on a host of its own, as status pages are.
    """
    profile = genesys.profile(REGION, CLIENT_ID, hosts=(API_HOST,), status_feed=server.other_url)
    completed = profile.policy(POLICY)
    often = tuple(replace(feed, ttl=FEED_TTL) for feed in completed.maintenance.feeds)
    return completed.new(maintenance={"feeds": often})


class Contestant(Protocol):
    """One way to call an API."""

    name: str

    def clients(self, count: int) -> list[Client]:
        """One for each worker."""
        ...

    def close(self) -> None:
        """End calls that wait, and let go of all connections."""
        ...


class Weatherglass:
    """One session for all workers."""

    name = WEATHERGLASS

    def __init__(
        self,
        server: FakeServer,
        clock: Runtime,
        workers: int,
        recorder: Recorder | None = None,
        callbacks: weatherglass.Callbacks | None = None,
    ) -> None:
        self._session = genesys.Session(
            region=REGION,
            api_url=server.url,
            login_url=server.url,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            policy=policy_at(server),
            callbacks=callbacks,
            runtime=clock,
            recorder=recorder,
            pool_maxsize=max(10, workers),
        )
        self._policy = self._session.policy

    def clients(self, count: int) -> list[Client]:
        return [self] * count

    def send(self, call: Call, phase: str) -> Verdict:
        try:
            # The policy's name is on each call's span: so the telemetry tells the phases apart.
            response: requests.Response = self._session.request(
                call.method,
                call.path,
                json=_body(call),
                policy=self._policy.new(name=phase),
            )
        except weatherglass.CircuitOpen as refusal:
            return PutOff(refusal.next_probe_in or 0.0, str(refusal.report.give_up_reason))
        except requests.RequestException as error:
            return self._verdict(weatherglass.report(error))
        return self._verdict(weatherglass.report(response))

    @staticmethod
    def _verdict(report: weatherglass.CallReport) -> Verdict:
        if report.succeeded:
            return Done()
        if report.give_up_reason is GiveUpReason.CIRCUIT_OPEN:
            # The breaker opened in mid-retry; when to come back, the next call is told. Reads
            # can be repeated, and a write has the same key when it is.
            return PutOff(0.0, str(report.give_up_reason))
        return Failed(str(report.give_up_reason or (report.failure and report.failure.kind)))

    def close(self) -> None:
        self._session.close()


class PlainRequests:
    """``requests`` as it comes."""

    name = REQUESTS

    def __init__(self, server: FakeServer) -> None:
        self._server = server
        self._sessions: list[requests.Session] = []

    def clients(self, count: int) -> list[Client]:
        return [PlainClient(self._server, self._session()) for _ in range(count)]

    def _session(self) -> requests.Session:
        session = requests.Session()
        self._sessions.append(session)
        return session

    def close(self) -> None:
        for session in self._sessions:
            session.close()


class RequestsWithRetry(PlainRequests):
    """``requests`` with ``urllib3.Retry`` mounted, the well-known recipe."""

    name = URLLIB3_RETRY

    def __init__(self, server: FakeServer, clock: Runtime, stop: threading.Event) -> None:
        super().__init__(server)
        self._retry = CompressedRetry(
            total=_RETRIES,
            backoff_factor=1,
            status_forcelist=[429, 502, 503, 504],
            # POST is in it, as it must be where reads alone are not the work.
            allowed_methods=["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "POST"],
            respect_retry_after_header=True,
        ).living_in(clock, stop)

    def _session(self) -> requests.Session:
        session = super()._session()
        session.mount("http://", HTTPAdapter(max_retries=self._retry))
        return session


class PlainClient:
    """A worker with a session and a token of its own."""

    def __init__(self, server: FakeServer, session: requests.Session) -> None:
        self._url = server.url
        self._token_url = server.token_url
        self._session = session
        self._token: str | None = None

    def send(self, call: Call, phase: str) -> Verdict:  # noqa: ARG002 - told to telemetry, if any
        try:
            response = self._attempt(call)
            if response.status_code == 401:
                self._token = None
                response = self._attempt(call)
        except (requests.RequestException, AsleepForTooLong) as error:
            return Failed(type(error).__name__)
        if response.ok:
            return Done()
        return _told(response) or Failed(f"HTTP {response.status_code}")

    def _attempt(self, call: Call) -> requests.Response:
        if self._token is None:
            self._token = self._fetch_token()
        headers = {"Authorization": f"Bearer {self._token}"}
        return self._session.request(
            call.method,
            self._url + call.path,
            json=_body(call),
            headers=headers,
            timeout=_TIMEOUT,
        )

    def _fetch_token(self) -> str:
        response = self._session.post(
            self._token_url,
            data={"grant_type": "client_credentials"},
            auth=(CLIENT_ID, CLIENT_SECRET),
            timeout=_TIMEOUT,
        )
        response.raise_for_status()
        return str(response.json()["access_token"])


def _told(response: requests.Response) -> PutOff | None:
    """When to come back, if the answer says so in whole seconds."""
    try:
        seconds = int(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None
    sensible = response.status_code in (429, 503) and 0 <= seconds <= PATIENCE
    return PutOff(seconds, f"HTTP {response.status_code}") if sensible else None


def _body(call: Call) -> dict[str, str] | None:
    return {"evaluation": call.name} if call.method == "POST" else None


class AsleepForTooLong(Exception):
    """A retry would sleep until long after the end of the demo."""


class CompressedRetry(Retry):
    """``urllib3.Retry`` that sleeps, and reads dates, on the compressed clock.

    A sleep of more than :data:`~weatherglass.demo.fleet.PATIENCE` seconds is not begun: a number
    that is a point in time is taken for a delay by ``urllib3``, and the demo has an end.
    """

    _clock: Runtime = SYSTEM
    _stop: threading.Event = threading.Event()

    def living_in(  # noqa: PYI019 - Self needs Python 3.11
        self: _RetryType, clock: Runtime, stop: threading.Event
    ) -> _RetryType:
        """The same, in this clock's time; ``stop`` ends its sleeps."""
        self._clock = clock
        self._stop = stop
        return self

    def new(self: _RetryType, **changes: Any) -> _RetryType:  # noqa: PYI019 - likewise
        return super().new(**changes).living_in(self._clock, self._stop)

    def parse_retry_after(self, retry_after: str) -> float:
        seconds = super().parse_retry_after(retry_after)
        if retry_after.strip().isdecimal():
            return seconds
        # A date was measured against the real clock, which the compressed one has left behind.
        return max(0.0, seconds - (self._clock.time() - SYSTEM.time()))

    def sleep_for_retry(self, response: BaseHTTPResponse) -> bool:
        seconds = self.get_retry_after(response)
        if not seconds:
            return False
        self._sleep(seconds)
        return True

    def _sleep_backoff(self) -> None:
        self._sleep(self.get_backoff_time())

    def _sleep(self, seconds: float) -> None:
        if seconds > PATIENCE:
            raise AsleepForTooLong(f"for {seconds:.0f} s")
        if self._clock.wait(self._stop, seconds):
            raise AsleepForTooLong("the demo has ended")
